"""Conversion of checkpoints into other forms.

`gguf_file.convert_to_gguf("zoo:edge", Path("."), ["f16", "q8_0"])` makes files for llama.cpp; `command` is the same on
the command line. Nothing is imported here, so that the command line answers `-h` without loading PyTorch.
"""
