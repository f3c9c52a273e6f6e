"""The kinds of field that a message may have, each with its form as bytes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ianvs_collab.cloud.errors import FrameError
from ianvs_collab.cloud.wire.bytestream import Reader, put_uint
from ianvs_collab.cloud.wire.tensors import FLOATS, TOKENS, Tensor, put_tensor, take_tensor

_FORMATS = {"uint16": "H", "int32": "i"}
_NARROW = 2**16


@dataclass(frozen=True)
class Field:
    """One kind of field.

    Attributes:
        put: Function that appends a value.
        take: Function that takes one.
    """

    put: Callable[[bytearray, Any], None]
    take: Callable[[Reader], Any]


def _put_flag(out: bytearray, value: bool) -> None:
    out.append(value)


def _take_flag(reader: Reader) -> bool:
    value = reader.byte()
    if value > 1:
        raise FrameError(f"a flag is 0 or 1, not {value}")
    return bool(value)


def _put_text(out: bytearray, value: str) -> None:
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise FrameError(f"a text cannot be sent: {error}") from error
    put_uint(out, len(data))
    out += data


def _take_text(reader: Reader) -> str:
    try:
        return str(reader.take(reader.uint()), "utf-8")
    except UnicodeDecodeError as error:
        raise FrameError(f"a text is not in UTF-8: {error}") from error


def _put_json(out: bytearray, value: Any) -> None:
    try:
        text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise FrameError(f"a value cannot be sent as JSON: {error}") from error
    _put_text(out, text)


def _take_json(reader: Reader) -> Any:
    text = _take_text(reader)
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a value is not in JSON: {error}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _put_reals(out: bytearray, values: tuple[float, ...]) -> None:
    put_uint(out, len(values))
    out += struct.pack(f"<{len(values)}d", *values)


def _take_reals(reader: Reader) -> tuple[float, ...]:
    count = reader.uint()
    data = reader.take(8 * count)
    values: tuple[float, ...] = struct.unpack(f"<{count}d", data)
    if any(map(math.isnan, values)):
        raise FrameError("a number is none (NaN)")
    return values


def _put_tokens(out: bytearray, tokens: tuple[int, ...]) -> None:
    kind = "uint16" if max(tokens, default=0) < _NARROW and min(tokens, default=0) >= 0 else "int32"
    try:
        data = struct.pack(f"<{len(tokens)}{_FORMATS[kind]}", *tokens)
    except struct.error as error:
        raise FrameError(f"tokens are whole numbers below 2^31: {error}") from error
    put_tensor(out, Tensor(kind, (len(tokens),), data))


def _take_tokens(reader: Reader) -> tuple[int, ...]:
    tensor = take_tensor(reader, TOKENS)
    if len(tensor.shape) != 1:
        raise FrameError(f"tokens come in one dimension, not in shape {tensor.shape}")
    return struct.unpack(f"<{tensor.shape[0]}{_FORMATS[tensor.dtype]}", tensor.data)


UINT = Field(put_uint, Reader.uint)
FLAG = Field(_put_flag, _take_flag)
TEXT = Field(_put_text, _take_text)
JSON = Field(_put_json, _take_json)
REALS = Field(_put_reals, _take_reals)
TOKEN_IDS = Field(_put_tokens, _take_tokens)
"""Token ids: a tensor of one dimension, two bytes a token where all are below 65,536, else four."""
FLOAT_TENSOR = Field(put_tensor, lambda reader: take_tensor(reader, FLOATS))
ANY_TENSOR = Field(put_tensor, lambda reader: take_tensor(reader, FLOATS + TOKENS))
