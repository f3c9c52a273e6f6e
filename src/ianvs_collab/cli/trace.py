"""`ianvs trace record|import|check`: makes traces, and tells what is in one."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ianvs_collab.cli.arguments import MAX_SEED, error_limit, whole
from ianvs_collab.compat.logs import make_logger

LOGGER = make_logger("ianvs")
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str]) -> int:
    """Run `ianvs trace <argv>`.

    Args:
        argv: What stands behind `ianvs trace` on the command line.

    Returns:
        0 for success, 1 for failure (what is wrong stands on stderr), 130 if interrupted.

    Raises:
        SystemExit: If the command line is wrong (status 2) or asks for help (0).
    """
    arguments = _parser().parse_args(list(argv))
    level = LOGGER.level
    LOGGER.setLevel(logging.WARNING if arguments.quiet else logging.INFO)
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        print("interrupted; what was recorded is kept. Go on with the same command and --resume", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - every failure ends in a message and status 1
        _report(error, arguments.verbose)
        return 1
    finally:
        LOGGER.setLevel(level)
    return 0


def _report(error: Exception, verbose: bool) -> None:
    if verbose:
        traceback.print_exception(error)
    for problem in getattr(error, "problems", (str(error) or type(error).__name__,)):
        print(problem, file=sys.stderr)


def _record(arguments: argparse.Namespace) -> None:
    from ianvs_collab.job.jobfile import JobFile  # noqa: PLC0415 - `ianvs trace --help` needs none of it
    from ianvs_collab.job.tracing import RecordOptions, record  # noqa: PLC0415
    from ianvs_collab.routing.traces.describe import describe  # noqa: PLC0415
    from ianvs_collab.routing.traces.recorder import Sampling  # noqa: PLC0415

    options = RecordOptions(
        target=Path(arguments.target),
        algorithm=arguments.algorithm,
        split=arguments.split,
        limit=arguments.limit,
        sampling=Sampling(arguments.samples, arguments.temperature, arguments.seed),
        resume=arguments.resume,
        max_errors=arguments.max_errors,
        quiet=arguments.quiet,
    )
    print(describe(record(JobFile.read(arguments.file), options)).summary())


def _import(arguments: argparse.Namespace) -> None:
    from ianvs_collab.routing.traces import write_trace  # noqa: PLC0415
    from ianvs_collab.routing.traces.describe import describe  # noqa: PLC0415

    target = Path(arguments.target)
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"{target} holds files already; choose another --to, or move them away")
    trace = _reader(arguments)
    write_trace(trace, target)
    print(describe(trace).summary())


def _reader(arguments: argparse.Namespace) -> Any:
    names = {"edge": arguments.edge, "cloud": arguments.cloud}
    if arguments.csv:
        from ianvs_collab.routing.traces.correctness import read_correctness  # noqa: PLC0415

        _needs(arguments, "--csv", "mmlu")
        return read_correctness(arguments.csv, arguments.mmlu, **names)
    if arguments.cache:
        from ianvs_collab.routing.traces.cache import read_caches  # noqa: PLC0415

        _needs(arguments, "--cache", "data")
        return read_caches(
            arguments.cache, arguments.data, **names, extractor=arguments.extractor, partial=arguments.allow_partial
        )
    from ianvs_collab.routing.traces.mixinstruct import read_mixinstruct  # noqa: PLC0415

    _needs(arguments, "--mixinstruct", "edge", "cloud", "score")
    return read_mixinstruct(arguments.mixinstruct, **names, score=arguments.score, partial=arguments.allow_partial)


def _needs(arguments: argparse.Namespace, source: str, *others: str) -> None:
    missing = [f"--{name}" for name in others if getattr(arguments, name) is None]
    if missing:
        raise ValueError(f"{source} also needs {', '.join(missing)}; see `ianvs trace import --help`")


def _check(arguments: argparse.Namespace) -> None:
    from ianvs_collab.routing.traces import read_trace  # noqa: PLC0415
    from ianvs_collab.routing.traces.describe import describe  # noqa: PLC0415

    trace = read_trace(arguments.folder)
    print(describe(trace).table())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ianvs trace", description="What both models answered to each query.")
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="warnings and results only, no progress bar")
    common.add_argument("--verbose", action="store_true", help="show where a failure came from")
    for name, add, run, text in (
        ("record", _add_record, _record, "ask both models of a job every query"),
        ("import", _add_import, _import, "make a trace of recorded answers"),
        ("check", _add_check, _check, "tell what a trace holds, and what is odd about it"),
    ):
        command = commands.add_parser(name, help=text, description=text, parents=[common])
        command.set_defaults(run=run)
        add(command)
    return parser


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", dest="file", required=True, metavar="JOB", help="job file that names data and models")
    parser.add_argument("--to", dest="target", required=True, metavar="FOLDER", help="folder for the trace")
    parser.add_argument("--algorithm", metavar="NAME", help="whose models to ask (default: the first with two models)")
    parser.add_argument("--split", choices=("test", "train"), default="test", help="data to ask (default: test)")
    parser.add_argument("--limit", type=whole(1), metavar="N", help="ask the first N questions only")
    parser.add_argument("--samples", type=whole(0), default=0, metavar="K", help="also draw K answers from each model")
    parser.add_argument("--temperature", type=float, default=0.7, metavar="T", help="of drawn answers (default: 0.7)")
    parser.add_argument("--seed", type=whole(0, MAX_SEED), default=0, metavar="N", help="of drawn answers (default: 0)")
    parser.add_argument("--resume", action="store_true", help="go on with a recording that was interrupted")
    parser.add_argument(
        "--max-errors",
        type=error_limit,
        default=0.0,
        metavar="X",
        help="failed queries to survive: a count, or a fraction such as 0.05 (default: 0)",
    )


def _add_import(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--csv", metavar="FILE", help="correctness: subject,row,edge_correct,cloud_correct")
    source.add_argument(
        "--cache", metavar="FILE", action="append", help="Ianvs's cache.json; twice for edge, then cloud"
    )
    source.add_argument("--mixinstruct", metavar="FILE", help="candidates as LLM-Blender publishes them")
    parser.add_argument("--to", dest="target", required=True, metavar="FOLDER", help="folder for the trace")
    parser.add_argument("--mmlu", metavar="FOLDER", help="with --csv: folder that holds MMLU's test/")
    parser.add_argument("--data", metavar="FILE", help="with --cache: the data.jsonl that was asked")
    parser.add_argument("--edge", metavar="MODEL", help="name of the edge model in the file")
    parser.add_argument("--cloud", metavar="MODEL", help="name of the cloud model in the file")
    parser.add_argument("--score", metavar="NAME", help="with --mixinstruct: score that is the quality, e.g. bartscore")
    parser.add_argument(
        "--extractor", default="option-text", metavar="NAME", help="with --cache: how answers are read (option-text)"
    )
    parser.add_argument(
        "--allow-partial", action="store_true", help="leave out queries that one of the models did not answer"
    )


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="folder of the trace")
