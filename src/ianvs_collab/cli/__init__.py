"""The command `ianvs`. Nothing heavy is imported before a sub-command needs it, so `ianvs -v` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ianvs_collab.cli.arguments import make_parser

__all__ = ["main"]


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
    if arguments[:1] == ["data"]:
        from ianvs_collab.datasets.command import main as data  # noqa: PLC0415 - only this sub-command needs it

        return data(arguments[1:])
    if arguments[:1] == ["trace"]:
        from ianvs_collab.cli.trace import main as trace  # noqa: PLC0415

        return trace(arguments[1:])
    if arguments[:1] == ["router"]:
        from ianvs_collab.routing.command import main as router  # noqa: PLC0415

        return router(arguments[1:])
    if arguments[:1] == ["model"]:
        from ianvs_collab.cli.model import main as model  # noqa: PLC0415

        return model(arguments[1:])
    parser = make_parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 1
    options = parser.parse_args(arguments)
    if not hasattr(options, "file"):
        parser.error("nothing to run; name a job file: -f benchmarkingjob.yaml")
    from ianvs_collab.cli.run import run  # noqa: PLC0415 - reading a job takes far longer to import than -v to answer

    return run(options, arguments)
