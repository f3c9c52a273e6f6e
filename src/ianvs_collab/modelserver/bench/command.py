"""`ianvs model bench`: the latency, throughput and goodput of a model under a load."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ianvs_collab.modelserver.bench.arguments import read_arguments
from ianvs_collab.modelserver.bench.session import Result, bench
from ianvs_collab.modelserver.types import ModelServerError

INTERRUPTED = 130  # what shells make of Ctrl-C


def main(argv: Sequence[str]) -> int:
    """Run `ianvs model bench <argv>`.

    Args:
        argv: What stands behind `ianvs model bench` on the command line.

    Returns:
        0 if the load was measured; 1 if it was not, if no request was answered, or if an open loop did not keep its
        schedule (the reason stands on stderr); 130 if it was interrupted.

    Raises:
        SystemExit: If the command line is wrong (status 2) or asks for help (0).
    """
    plan, output = read_arguments(argv)
    try:
        return _report(bench(plan), output)
    except ModelServerError as error:
        print(f"{error}\nnothing was measured", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was measured", file=sys.stderr)
        return INTERRUPTED


def _report(result: Result, output: Path | None) -> int:
    from ianvs_collab.modelserver.bench.report import document, table  # noqa: PLC0415 - SciPy takes a while to import
    from ianvs_collab.modelserver.bench.summary import summarise  # noqa: PLC0415

    summary = summarise(result.runs, result.plan.slos, result.plan.seed)
    print(table(result, summary))
    if output is not None:
        try:
            _write(output, document(result, summary))
        except OSError as error:
            print(f"{output}: cannot be written ({error.strerror}); choose another --output", file=sys.stderr)
            return 1
    return _verdict(result)


def _verdict(result: Result) -> int:
    if not any(one.ok for run in result.runs for one in run):
        print("no request was answered", file=sys.stderr)
        return 1
    late = result.lateness
    if late is not None and not late.kept:
        print(
            f"this was no open loop: 1 % of the requests were sent more than {1000 * late.p99:.1f} ms late, and "
            f"{1000 * result.plan.max_lateness:g} ms are allowed. Lower --rate, free the machine, measure from another "
            "one, or raise --max-lateness",
            file=sys.stderr,
        )
        return 1
    return 0


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write the document as a whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
