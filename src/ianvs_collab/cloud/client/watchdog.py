"""One thread that does something unless it is called off in time: how a blocking call of gRPC gets a time limit."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Alarm:
    """One watch.

    Attributes:
        rang: Whether its time came.
    """

    def __init__(self, action: Callable[[], object]) -> None:
        self._action: Callable[[], object] | None = action
        self._lock = threading.Lock()
        self.rang = False

    @property
    def off(self) -> bool:
        """Whether there is nothing left to do."""
        return self._action is None

    def call_off(self) -> None:
        """Do nothing when the time comes."""
        with self._lock:
            self._action = None

    def ring(self) -> None:
        """Do what is to be done, unless called off."""
        with self._lock:
            action, self._action = self._action, None
            if action is not None:
                self.rang = True
                action()


class Watchdog:
    """Watches over any number of calls; its thread starts with the first."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def watch(self, seconds: float, action: Callable[[], object]) -> Iterator[Alarm]:
        """Do something if the body of the `with` takes longer.

        Args:
            seconds: How long it may take.
            action: What to do then, in the watchdog's thread.
        """
        alarm = Alarm(action)
        self._add(time.monotonic() + seconds, alarm)
        try:
            yield alarm
        finally:
            alarm.call_off()

    def close(self) -> None:
        """End the thread; nothing rings any more. Closing twice is harmless."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _add(self, due: float, alarm: Alarm) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cloud time limits", daemon=True)
                self._thread.start()
            while self._due and self._due[0][2].off:
                heapq.heappop(self._due)
            heapq.heappush(self._due, (due, next(self._numbers), alarm))
            if self._due[0][2] is alarm:
                self._changed.notify()

    def _run(self) -> None:
        while (alarm := self._next()) is not None:
            alarm.ring()

    def _next(self) -> Alarm | None:
        """The next alarm whose time has come; None at the end."""
        with self._changed:
            while not self._closed:
                if not self._due:
                    self._changed.wait()
                elif self._due[0][2].off:
                    heapq.heappop(self._due)
                elif (left := self._due[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    return heapq.heappop(self._due)[2]
            return None
