"""The command `ianvs`. Nothing heavy is imported before a sub-command needs it, so `ianvs -v` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from ianvs_collab.cli.arguments import make_parser

__all__ = ["main"]

SUB_COMMANDS = {
    "cloud": "ianvs_collab.cloud.command",
    "data": "ianvs_collab.datasets.command",
    "model": "ianvs_collab.cli.model",
    "router": "ianvs_collab.routing.command",
    "trace": "ianvs_collab.cli.trace",
}
"""Name -> module with a `main(argv)`, imported when it is asked for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        The exit status: 0 for success, 1 for failure, 130 if interrupted by Ctrl-C.

    Raises:
        SystemExit: For `-h`, `-v` (0) and arguments that are wrong (2).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in SUB_COMMANDS:
        status: int = import_module(SUB_COMMANDS[arguments[0]]).main(arguments[1:])
        return status
    parser = make_parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 1
    options = parser.parse_args(arguments)
    if not hasattr(options, "file"):
        parser.error("nothing to run; name a job file: -f benchmarkingjob.yaml")
    from ianvs_collab.cli.run import run  # noqa: PLC0415 - reading a job takes far longer to import than -v to answer

    return run(options, arguments)
