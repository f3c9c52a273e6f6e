"""The link's own clock, which stands still while the link is cut."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable


class LinkClock:
    """Seconds of link time. What is under way when the link is cut arrives as much later as the cut lasted.

    Args:
        real_time: A monotonic clock in seconds.
    """

    def __init__(self, real_time: Callable[[], float] = time.monotonic) -> None:
        self._real_time = real_time
        self._paused = 0.0
        self._standing_at = 0.0
        self._cut_until = -math.inf

    def now(self) -> float:
        """Link time; the real clock's, less the cuts so far."""
        real = self._real_time()
        return self._standing_at if real < self._cut_until else real - self._paused

    def cut(self, seconds: float) -> None:
        """Let the clock stand still for a while from now; cuts that overlap end when the last of them ends."""
        real = self._real_time()
        until = max(self._cut_until, real + seconds)
        if real < self._cut_until:
            self._paused += until - self._cut_until
        else:
            self._standing_at = real - self._paused
            self._paused += seconds
        self._cut_until = until

    def wait(self, link_time: float) -> float:
        """Real seconds until a link time has come and the link is not cut, as far as cuts are known; 0 if it has."""
        return max(0.0, max(link_time + self._paused, self._cut_until) - self._real_time())

    async def sleep(self, seconds: float) -> None:
        """Sleep for a span of link time."""
        due = self.now() + seconds
        while wait := self.wait(due):
            await asyncio.sleep(wait)
