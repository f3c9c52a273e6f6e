"""Rows of a trace as lines of JSON, checked field by field when they are read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields
from typing import Any

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.hints import did_you_mean
from ianvs_collab.routing.traces.trace import Side, TraceRow

OUTCOMES = ("ok", "unparsed", "error", "timeout")
_SIDES = ("edge", "cloud")


def encode_row(row: TraceRow) -> bytes:
    """A row as a line in UTF-8 with its line feed; what is not known is left out.

    Raises:
        RouterError: If a number is not finite, because JSON has no word for it.
    """
    content = _known(row) | {side: _known(getattr(row, side)) for side in _SIDES}
    try:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise RouterError(f"query {row.query_id!r}: a number is not finite, so it cannot be stored") from error
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape sequence can hold
        return json.dumps(content).encode() + b"\n"


def decode_row(line: bytes) -> TraceRow:
    """The row of a line.

    Raises:
        ValueError: If it is no row; the message says which field is wrong.
    """
    content = json.loads(line.decode("utf-8"), parse_constant=_not_finite)
    values = _checked(content, _ROW, _ROW_NEEDED, "")
    for side in _SIDES:
        given = _checked(values[side], _SIDE, _SIDE_NEEDED, f"{side}.")
        if len(given.get("sample_answers", ())) not in (0, len(given.get("samples", ()))):
            raise ValueError(f"{side}.sample_answers and {side}.samples are of unequal lengths")
        values[side] = Side(**given)
    return TraceRow(**values)


def _known(value: Side | TraceRow) -> dict[str, Any]:
    """Fields that differ from their defaults, by name."""
    found = {field.name: (getattr(value, field.name), field.default) for field in fields(value)}
    return {name: given for name, (given, default) in found.items() if given != default}


def _checked(
    content: Any, kinds: Mapping[str, Callable[[Any], Any]], needed: Collection[str], prefix: str
) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"{prefix.rstrip('.') or 'the line'} must be an object, not {content!r:.60}")
    values = {}
    for name, value in content.items():
        if name not in kinds:
            raise ValueError(f"unknown field {prefix}{name}{did_you_mean(name, kinds)}")
        try:
            values[name] = kinds[name](value)
        except TypeError as error:
            raise ValueError(f"{prefix}{name} must be {error}, not {value!r:.60}") from None
    for name in needed:
        if name not in values:
            raise ValueError(f"{prefix}{name} is missing")
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("a finite number")
    return float(value)


def _amount(value: Any) -> float:
    if _number(value) < 0:
        raise TypeError("a number from 0 up")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError("a whole number from 0 up")
    return value


def _outcome(value: Any) -> str:
    if value not in OUTCOMES:
        raise TypeError("one of " + ", ".join(OUTCOMES))
    return str(value)


def _numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise TypeError("a list of finite numbers")
    return tuple(map(_number, value))


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("a list of texts")
    return tuple(map(_text, value))


def _optional(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else kind(value)


def _same(value: Any) -> Any:
    return value


def _not_finite(word: str) -> float:
    raise ValueError(f"{word} is no finite number")


_ROW: dict[str, Callable[[Any], Any]] = {
    "query_id": _text,
    "text": _text,
    "edge": _same,
    "cloud": _same,
    "subject": _text,
    "language": _text,
    "gold": _optional(_text),
    "request_bytes": _optional(_count),
}
_SIDE: dict[str, Callable[[Any], Any]] = {
    "quality": _number,
    "completion": _optional(_text),
    "answer": _optional(_text),
    "outcome": _outcome,
    "prompt_tokens": _optional(_count),
    "completion_tokens": _optional(_count),
    "prefill_seconds": _optional(_amount),
    "total_seconds": _optional(_amount),
    "logprobs": _optional(_numbers),
    "samples": _numbers,
    "sample_answers": _texts,
}
_ROW_NEEDED, _SIDE_NEEDED = (
    tuple(field.name for field in fields(kind) if field.default is MISSING) for kind in (TraceRow, Side)
)
