"""Reading and writing the bytes of a frame; nothing is taken that is not there.

Numbers are little-endian. Whole numbers without a fixed width are in LEB128 (DWARF 5, section 7.6), seven bits a byte,
and only in their shortest form, so that a message has one form as bytes.
"""

from __future__ import annotations

from ianvs_collab.cloud.errors import FrameError

MOST = 2**63 - 1
_BYTES = 9  # of seven bits, for 63 bits


class Reader:
    """Takes one part after the other.

    Args:
        data: The bytes.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not taken yet."""
        return len(self._data) - self._at

    def take(self, count: int) -> memoryview:
        """The next `count` bytes.

        Raises:
            FrameError: If there are fewer.
        """
        if count > self.left:
            raise FrameError(f"the message ends too early: {count} bytes are wanted at {self._at}, {self.left} left")
        self._at += count
        return self._data[self._at - count : self._at]

    def byte(self) -> int:
        """The next byte.

        Raises:
            FrameError: If there is none.
        """
        return self.take(1)[0]

    def uint(self) -> int:
        """The next whole number, 0 to 2^63 - 1.

        Raises:
            FrameError: If it is cut off, too large, or longer than it need be.
        """
        number = 0
        for place in range(_BYTES):
            byte = self.byte()
            number |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
                if byte == 0 and place:
                    raise FrameError(f"a number before {self._at} is longer than it need be")
                return number
        raise FrameError(f"a number before {self._at} is larger than 2^63 - 1")

    def finish(self) -> None:
        """Check that everything was taken.

        Raises:
            FrameError: If something is left.
        """
        if self.left:
            raise FrameError(f"{self.left} bytes follow the end of the message")


def put_uint(out: bytearray, number: int) -> None:
    """Append a whole number.

    Raises:
        FrameError: If it is not from 0 to 2^63 - 1.
    """
    if not 0 <= number <= MOST:
        raise FrameError(f"{number} cannot be sent; whole numbers go from 0 to 2^63 - 1")
    while number >= 0x80:  # noqa: PLR2004
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
