"""Memory of sessions that have ended goes back to the system.

The C library keeps what is freed for later use, and the caches of many sessions are freed in pieces between other
things. Left alone, a worker that once had a hundred sessions keeps most of their memory for good.
"""

from __future__ import annotations

import ctypes
import time

_MANY, _SECONDS = 8, 60.0


class Trimmer:
    """Gives memory back when the last of many sessions has ended, and otherwise once a minute at most."""

    def __init__(self) -> None:
        self._peak, self._last = 0, time.monotonic()

    def note(self, sessions: int) -> bool:
        """Take note of how many sessions there are.

        Returns:
            Whether memory was given back.
        """
        self._peak = max(self._peak, sessions)
        if sessions or (self._peak < _MANY and time.monotonic() - self._last < _SECONDS):
            return False
        self._peak, self._last = 0, time.monotonic()
        return give_back()


def give_back() -> bool:
    """Give free memory back to the system; False where the C library has no way to (it is not glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))
