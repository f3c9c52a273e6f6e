"""Tensors as raw bytes: a code for the type, the shape, then the numbers in C order, little-endian.

Only types on the list below exist, and a shape is compared with the bytes that are there before anything is made of
it. Nothing is ever unpickled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ianvs_collab.cloud.errors import FrameError
from ianvs_collab.cloud.wire.bytestream import Reader, put_uint

if TYPE_CHECKING:
    import torch

FLOATS = ("float32", "float16", "bfloat16")
TOKENS = ("uint16", "int32")
_SIZES = {"float32": 4, "float16": 2, "bfloat16": 2, "uint16": 2, "int32": 4}
_CODES = {name: code for code, name in enumerate(_SIZES, 1)}
_NAMES = {code: name for name, code in _CODES.items()}
MAX_DIMENSIONS, MAX_LENGTH = 4, 2**31 - 1


def nbytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes of the numbers of a tensor."""
    return math.prod(shape) * _SIZES[dtype]


@dataclass(frozen=True)
class Tensor:
    """A tensor on the wire.

    Attributes:
        dtype: One of `FLOATS` or `TOKENS`.
        shape: Its lengths, at most four.
        data: Its numbers.

    Raises:
        FrameError: If type and shape are not allowed, or the bytes are not as many as they ask for.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview

    def __post_init__(self) -> None:
        """Refuse what could not be sent."""
        if self.dtype not in _SIZES or len(self.shape) > MAX_DIMENSIONS or min(self.shape, default=0) < 0:
            raise FrameError(f"there are no tensors of {self.dtype!r} and shape {self.shape} here")
        if len(self.data) != nbytes(self.dtype, self.shape):
            raise FrameError(f"a tensor of {self.dtype!r} and shape {self.shape} does not have {len(self.data)} bytes")


EMPTY = Tensor("uint16", (0,), b"")


def put_tensor(out: bytearray, tensor: Tensor) -> None:
    """Append a tensor."""
    out.append(_CODES[tensor.dtype])
    out.append(len(tensor.shape))
    for length in tensor.shape:
        put_uint(out, length)
    out += tensor.data


def take_tensor(reader: Reader, allowed: tuple[str, ...]) -> Tensor:
    """Take a tensor, without copying its numbers.

    Args:
        reader: Where it comes next.
        allowed: Types that may stand there.

    Raises:
        FrameError: If the type is not allowed, there are too many dimensions, or bytes are missing.
    """
    code, dimensions = reader.byte(), reader.byte()
    name = _NAMES.get(code)
    if name not in allowed:
        raise FrameError(f"a tensor here is of type {' or '.join(allowed)}, not {name or f'number {code}'}")
    if dimensions > MAX_DIMENSIONS:
        raise FrameError(f"a tensor has at most {MAX_DIMENSIONS} dimensions, not {dimensions}")
    shape = tuple(reader.uint() for _ in range(dimensions))
    if max(shape, default=0) > MAX_LENGTH:
        raise FrameError(f"a tensor's lengths are at most {MAX_LENGTH}; its shape is {shape}")
    need = nbytes(name, shape)
    if need > reader.left:
        raise FrameError(f"a tensor of {name} and shape {shape} has {need} bytes, but {reader.left} are left")
    return Tensor(name, shape, reader.take(need))


def pack(tensor: torch.Tensor, dtype: str) -> Tensor:
    """A tensor of torch as one on the wire, in the type `dtype`."""
    import torch  # noqa: PLC0415 - a client that only asks for text does not load it

    plain = tensor.detach().to("cpu", getattr(torch, dtype)).contiguous()
    return Tensor(dtype, tuple(plain.shape), plain.reshape(-1).view(torch.uint8).numpy().tobytes())


def unpack(tensor: Tensor) -> torch.Tensor:
    """A tensor on the wire as one of torch, with memory of its own."""
    import torch  # noqa: PLC0415

    kind = getattr(torch, tensor.dtype)
    if not tensor.data:
        return torch.empty(tensor.shape, dtype=kind)
    return torch.frombuffer(bytearray(tensor.data), dtype=kind).reshape(tensor.shape)
