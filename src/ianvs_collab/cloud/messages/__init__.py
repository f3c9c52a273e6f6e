"""The worker's own messages, one file for each thing that can be asked, with the functions that answer them.

Numbers: 1 to 9 administration, 10 to 19 the step interface, 20 to 25 texts and tokens, 26 to 29 generation, 30 and 31
scoring. From 32 on they belong to extensions.
"""
