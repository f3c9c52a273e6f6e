"""Reads configuration files and collects what is wrong with them, each problem with its file and line."""
