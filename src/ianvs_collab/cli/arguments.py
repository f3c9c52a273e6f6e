"""The arguments of `ianvs`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import ianvs_collab

EPILOG = """\
sub-commands:
  ianvs data import --help     turn published data sets into Ianvs's form
  ianvs trace --help           record, import and check what both models answer to each query
  ianvs router --help          train, calibrate and evaluate routers on such traces
  ianvs model --help           convert, measure and profile models
  ianvs cloud --help           serve a model to edge devices

A job that was interrupted goes on with `ianvs -f FILE --resume`.
"""
MAX_SEED = 2**32 - 1  # NumPy takes no larger one


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of `ianvs`; without `-f` the parsed namespace has no attribute `file`."""
    parser = argparse.ArgumentParser(
        prog="ianvs",
        description="Benchmark of cloud-edge collaboration for large language models.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-v", "--version", action="version", version=ianvs_collab.__version__)
    parser.add_argument(
        "-f",
        "--benchmarking_config_file",
        dest="file",
        metavar="FILE",
        nargs="?",
        default=argparse.SUPPRESS,
        help="run the job that this file describes",
    )
    _add_run_options(parser.add_argument_group("what to run"))
    _add_output_options(parser.add_argument_group("how to tell"))
    return parser


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--dry-run", action="store_true", help="check everything, list the test cases, run nothing")
    group.add_argument("--strict", action="store_true", help="take unknown keys in configuration files for errors")
    group.add_argument("--resume", action="store_true", help="go on with the last run in this workspace")
    group.add_argument("--limit", type=whole(1), metavar="N", help="use the first N test items only")
    group.add_argument("--seed", type=whole(0, MAX_SEED), metavar="N", help="seed random numbers in every test case")
    group.add_argument("--jobs", type=whole(1), default=1, metavar="N", help="run N test cases side by side")
    group.add_argument("--workspace", metavar="DIR", help="keep results in DIR instead of the job's workspace")
    group.add_argument(
        "--max-errors",
        type=error_limit,
        default=0.0,
        metavar="X",
        help="failed queries that a test case survives: a count, or a fraction such as 0.05 (default: 0)",
    )
    group.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="let models run code that comes with them; recorded in run.json",
    )


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    loudness = group.add_mutually_exclusive_group()
    loudness.add_argument("--verbose", action="store_true", help="debug messages, full tracebacks")
    loudness.add_argument("--quiet", action="store_true", help="warnings and results only, no progress bars")


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Returns the reader of a whole number from `least` to `most`."""
    limits = f"at least {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"must be a whole number, {limits}, not {text!r}")
        return number

    return parse


def error_limit(text: str) -> float:
    """Reads how many failures are allowed: a count, or a fraction below 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (0 <= number < 1 or number.is_integer() and number > 0):
        raise argparse.ArgumentTypeError(f"must be a count, or a fraction below 1, not {text!r}")
    return number
