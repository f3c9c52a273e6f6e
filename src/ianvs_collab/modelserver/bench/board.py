"""Where the requests of a load stand: not sent, under way, or over; and how long to wait for those under way."""

from __future__ import annotations

import threading

from ianvs_collab.modelserver.bench.measurement import Clock, Measurement


class Board:
    """Keeps one place for each request; many threads write to it.

    A thread that waits for a model cannot be stopped, so a request that does not come back is given up instead: it
    is a timeout, and what it may still say is not listened to. It keeps its place in a closed loop, because the model
    may still be at work on it.

    Args:
        requests: How many there are.
        clock: Seconds since the load began.
        patience: Seconds after which a request under way is given up.
    """

    def __init__(self, requests: int, clock: Clock, patience: float) -> None:
        self._size, self._clock, self._patience = requests, clock, patience
        self._unsent = iter(range(requests))
        self._sent = 0
        self._under_way: dict[int, tuple[float, float]] = {}  # number -> due, sent
        self._over: dict[int, Measurement] = {}
        self._last_sent = self._last_ended = 0.0
        self._change = threading.Condition()
        self._closed = False

    def next(self) -> int | None:
        """A request that nobody has sent, or None; it is due now, and the caller's to send."""
        with self._change:
            return None if self._closed else self._begin(None)

    def begin(self, scheduled: float) -> int:
        """Note that the next request is being sent; returns its number."""
        with self._change:
            number = self._begin(scheduled)
        assert number is not None, "no more requests are sent than there are"
        return number

    def end(self, measurement: Measurement) -> None:
        """Note what became of a request."""
        with self._change:
            if self._closed:
                return
            number = measurement.number
            due, sent = self._under_way.pop(number)
            in_time = measurement.ended - sent <= self._patience
            self._over[number] = measurement if in_time else self._given_up(number, due, sent, measurement.ended)
            self._last_ended = measurement.ended
            self._change.notify()

    def results(self) -> list[Measurement]:
        """Wait until every request is over or given up; returns them in order."""
        with self._change:
            while len(self._over) < self._size:
                # What was sent before the last sign of life has had its time if that one has; and a request that is
                # still to be sent will be sent when one comes back.
                sign = max(self._last_sent, self._last_ended) if self._sent < self._size else self._last_sent
                left = sign + self._patience - self._clock()
                if left <= 0:
                    break
                self._change.wait(left)
            self._closed = True
            return [self._over.get(number) or self._lost(number) for number in range(self._size)]

    def _begin(self, scheduled: float | None) -> int | None:
        number = next(self._unsent, None)
        if number is not None:
            self._last_sent = now = self._clock()
            self._under_way[number] = (now if scheduled is None else scheduled, now)
            self._sent += 1
        return number

    def _lost(self, number: int) -> Measurement:
        now = self._clock()
        if number in self._under_way:
            return self._given_up(number, *self._under_way[number], now)
        words = "not sent: requests that never came back hold every place"
        return Measurement(number, now, now, now, outcome="error", error=words)

    def _given_up(self, number: int, due: float, sent: float, now: float) -> Measurement:
        words = f"no answer within {self._patience:g} s; raise --timeout if the model is only slow"
        return Measurement(number, due, sent, now, outcome="timeout", error=words)
