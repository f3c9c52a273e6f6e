"""`ianvs model ...`: everything that is done to a model outside of a job, each a command of its own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "bench": ("ianvs_collab.modelserver.bench.command", "measure latency, throughput and goodput under a load"),
    "convert": ("ianvs_collab.modelserver.convert.command", "make GGUF files, which llama.cpp runs, of a checkpoint"),
    "profile": ("ianvs_collab.precision.profile.command", "measure every variant of a model, for an orchestrator"),
}
"""Name on the command line -> module with a `main(argv)`, and what the help says of it."""


def main(argv: Sequence[str]) -> int:
    """Run `ianvs model <argv>`.

    Args:
        argv: What stands behind `ianvs model` on the command line.

    Returns:
        The exit status of the command.

    Raises:
        SystemExit: If the command line is wrong (status 2) or asks for help (0).
    """
    arguments = list(argv)
    if arguments and arguments[0] in COMMANDS:
        status: int = import_module(COMMANDS[arguments[0]][0]).main(arguments[1:])
        return status
    parser = argparse.ArgumentParser(prog="ianvs model", description="Convert, measure and compare models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (_, summary) in COMMANDS.items():
        commands.add_parser(name, help=summary)
    parser.parse_args(arguments)  # ends in help or in an error: every command that exists was run above
    return 2
