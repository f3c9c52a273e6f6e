"""Bytes from numbers and back: LEB128 integers, the length in front of a message, and a reader that trusts nobody.

Unsigned LEB128 (DWARF 5, section 7.6; Protocol Buffers' varint) takes 7 bits a byte, the low ones first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ianvs_collab.speculative.errors import ProtocolError

_PAYLOAD_BITS, _MORE = 7, 0x80


def varint(value: int) -> bytes:
    """LEB128 of a number that is not negative."""
    out = bytearray()
    while value >= _MORE:
        out.append(value & (_MORE - 1) | _MORE)
        value >>= _PAYLOAD_BITS
    out.append(value)
    return bytes(out)


def varint_bytes(value: int) -> int:
    """How many bytes `varint` takes."""
    return max(1, -(-value.bit_length() // _PAYLOAD_BITS))


def frame(payload: bytes) -> bytes:
    """A message as it goes over a byte stream: its length in front."""
    return varint(len(payload)) + payload


class Reader:
    """Reads a message from front to back.

    Args:
        payload: The message.
        kind: What it is, for messages of errors.
    """

    def __init__(self, payload: bytes, kind: str) -> None:
        self._payload, self._kind, self._at = payload, kind, 0

    def varint(self, below: int, what: str) -> int:
        """The next number.

        Args:
            below: Smallest number that is too large.
            what: What the number is, for messages of errors.

        Raises:
            ProtocolError: If the message ends, or the number is too large or longer than it has to be.
        """
        value = shift = 0
        while True:
            byte = self.take(1, what)[0]
            value |= (byte & (_MORE - 1)) << shift
            shift += _PAYLOAD_BITS
            if value >= below:
                raise self.error(f"{what} must be below {below}, not {value} or more")
            if byte < _MORE:
                break
        if byte == 0 and shift > _PAYLOAD_BITS:
            raise self.error(f"{what} is written with more bytes than it needs")
        return value

    def take(self, count: int, what: str) -> bytes:
        """The next bytes.

        Raises:
            ProtocolError: If the message ends before.
        """
        end = self._at + count
        if end > len(self._payload):
            raise self.error(f"it ends after {len(self._payload)} bytes, in the middle of {what}")
        self._at, start = end, self._at
        return self._payload[start:end]

    def array(self, count: int, dtype: str, what: str) -> NDArray[np.float64]:
        """The next numbers of a fixed width, as float64.

        Args:
            count: How many.
            dtype: Of numpy, with byte order, e.g. `<u4`.
            what: What they are, for messages of errors.

        Raises:
            ProtocolError: If the message ends before.
        """
        kind = np.dtype(dtype)
        return np.frombuffer(self.take(count * kind.itemsize, what), kind).astype(np.float64)

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return len(self._payload) - self._at

    def end(self) -> None:
        """Make sure that nothing is left.

        Raises:
            ProtocolError: If something is.
        """
        if self.left:
            raise self.error(f"{self.left} bytes are left over")

    def error(self, reason: str) -> ProtocolError:
        """An error about this message."""
        return ProtocolError(f"{self._kind} of {len(self._payload)} bytes is not valid: {reason}")
