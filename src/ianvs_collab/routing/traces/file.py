"""Traces on disk: a folder with `trace.jsonl`, one line a query, and `trace.json`, where it comes from.

A line is complete or it is the last one: recording appends each with one `write`, so a killed recording leaves at most
a torn last line. Lines end at a line feed and nowhere else, because a question may hold U+2028 and its like.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.rows import decode_row, encode_row
from ianvs_collab.routing.traces.trace import Trace, TraceRow

ROWS, ABOUT = "trace.jsonl", "trace.json"
_RECORD = "`ianvs trace record` and `ianvs trace import` make traces"


def write_trace(trace: Trace, folder: str | Path) -> None:
    """Write a trace into a folder, which is made; a trace that is there is replaced.

    Raises:
        RouterError: If it holds no row, an id twice or a number that is not finite, or cannot be written.
    """
    path = Path(folder)
    check_rows(trace, trace.name)
    lines = b"".join(map(encode_row, trace))
    with _explained():
        path.mkdir(parents=True, exist_ok=True)
        _replace(path / ROWS, lines)
        write_about(path, {"name": trace.name, "queries": len(trace), **trace.provenance})


def read_trace(folder: str | Path, *, partial: bool = False) -> Trace:
    """Read a trace.

    Args:
        folder: Where `trace.jsonl` and `trace.json` lie.
        partial: Take what there is of a recording that has not come to its end.

    Raises:
        RouterError: If the trace is missing, empty or incomplete, a row is wrong, or an id occurs twice.
    """
    path = Path(folder)
    about = read_about(path)
    rows, torn = read_rows(path)
    name, expected = about.pop("name", path.name), about.pop("queries", None)
    if torn and not partial:
        raise RouterError(f"{path / ROWS}:{len(rows) + 1}: the line is cut off, {_resume()}")
    check_rows(rows, path / ROWS)
    if isinstance(expected, int) and len(rows) != expected and not partial:
        raise RouterError(f"{path / ROWS} holds {len(rows)} of {expected} queries, {_resume()}")
    return Trace(rows, str(name), about)


def read_rows(folder: Path) -> tuple[list[TraceRow], int]:
    """Read the rows of a trace as far as they are complete.

    Returns:
        The rows, and the number of bytes of a torn last line after them.

    Raises:
        RouterError: If the file cannot be read, or a complete line is no row.
    """
    path = folder / ROWS
    with _explained():
        content = path.read_bytes()
    *lines, torn = content.split(b"\n")
    return [_row(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)], len(torn)


def check_rows(rows: Iterable[TraceRow], where: object) -> None:
    """See that there are rows, and that no two are of one query.

    Args:
        rows: The rows.
        where: Whose they are, for the message.

    Raises:
        RouterError: If there is none, or an id occurs twice.
    """
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if seen.setdefault(row.query_id, number) != number:
            first = seen[row.query_id]
            raise RouterError(f"{where}:{number}: the id {row.query_id!r} occurs twice (first in row {first})")
    if not seen:
        raise RouterError(f"{where} holds no row; {_RECORD}")


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Write `trace.json` in one step.

    Raises:
        RouterError: If it cannot be written.
    """
    text = json.dumps(about, indent=2, ensure_ascii=False, default=str) + "\n"
    with _explained():
        _replace(folder / ABOUT, text.encode("utf-8", "backslashreplace"))


def read_about(folder: Path) -> dict[str, Any]:
    """Read `trace.json`.

    Raises:
        RouterError: If it is missing or no JSON object.
    """
    path = folder / ABOUT
    with _explained():
        content = path.read_bytes()
    try:
        about = json.loads(content)
    except ValueError as error:
        raise RouterError(f"{path} is not JSON ({error}); it is damaged, {_RECORD}") from error
    if not isinstance(about, dict):
        raise RouterError(f"{path} is no JSON object; it is damaged, {_RECORD}")
    return about


def _row(line: bytes, where: str) -> TraceRow:
    try:
        return decode_row(line)
    except ValueError as error:
        raise RouterError(f"{where}: not a row of a trace: {error}") from error


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _resume() -> str:
    return "so the recording was interrupted; go on with it by `ianvs trace record ... --resume`"


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = _RECORD if isinstance(error, FileNotFoundError) else "check the path, its permissions and the disk"
        raise RouterError(f"{error.filename}: {error.strerror}; {hint}") from error
