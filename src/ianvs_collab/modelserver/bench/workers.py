"""Threads that make requests: as many as are under way, started before the clock is, and never waited for at the end.

The standard pool is not used because the interpreter waits for its threads when it ends, and a model that hangs would
hang the program.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Work = Callable[[], None]


class Workers:
    """Runs each piece of work in a thread at once: an idle one, or a new one.

    Args:
        ready: Threads to start beforehand, so that starting them costs no measured time.
    """

    def __init__(self, ready: int) -> None:
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads = 0
        for _ in range(ready):
            self._start()
            self._idle.release()

    def run(self, work: Work) -> None:
        """Run this in a thread of its own, without waiting for it."""
        if not self._idle.acquire(blocking=False):
            self._start()
        self._work.put(work)

    def dismiss(self) -> None:
        """Let the threads end as soon as they have nothing to do."""
        for _ in range(self._threads):
            self._work.put(None)

    def _start(self) -> None:
        self._threads += 1
        threading.Thread(target=self._loop, name=f"request {self._threads}", daemon=True).start()

    def _loop(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            self._idle.release()
