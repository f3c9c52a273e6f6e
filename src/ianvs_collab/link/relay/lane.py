"""One direction of one connection: bytes wait here until the link lets them arrive.

A lane holds no more than its capacity and one read. Beyond that the relay stops reading, the sender's socket fills, and
the sender waits: so a slow reader at one side slows the writer at the other, as TCP's flow control does.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from ianvs_collab.link.deployment import Direction
from ianvs_collab.link.relay.clock import LinkClock
from ianvs_collab.link.relay.settings import RelaySettings
from ianvs_collab.link.relay.shaper import Shaper

READ_BYTES = 64 * 1024

EARLY_SECONDS = 0.00015
"""What a wake-up of the event loop takes (about 0.15 ms were measured): the loop is woken so much earlier, and what is
left then, mostly nothing, is waited out without sleeping."""

NO_LINGER = struct.pack("ii", 1, 0)
"""The value of SO_LINGER that makes closing a socket a reset, not a good end."""


@dataclass
class Traffic:
    """Payload bytes of one direction, over all connections.

    Attributes:
        sent: Bytes that have entered the link.
        delivered: Bytes that have been handed to the other side.
        held: Bytes inside the relay now.
        peak: The most it has held.
    """

    sent: int = 0
    delivered: int = 0
    held: int = 0
    peak: int = 0

    def enter(self, nbytes: int) -> None:
        """Count bytes that enter the link."""
        self.sent += nbytes
        self.held += nbytes
        self.peak = max(self.peak, self.held)

    def leave(self, nbytes: int, *, delivered: bool = True) -> None:
        """Count bytes that leave it, at the other side or because their connection is gone."""
        self.held -= nbytes
        self.delivered += nbytes if delivered else 0


@dataclass
class Wire:
    """What all lanes share: the link's clock, its shape and the byte counters."""

    settings: RelaySettings
    clock: LinkClock
    shaper: Shaper
    traffic: dict[Direction, Traffic] = field(default_factory=lambda: {"uplink": Traffic(), "downlink": Traffic()})


class Lane:
    """Moves bytes from a source transport to a sink transport, both set when they connect.

    Args:
        wire: The link.
        direction: Which way.
        traffic: Where bytes are counted.
        done: Called when the sink has been told of the end.
    """

    source: asyncio.Transport
    sink: asyncio.Transport

    def __init__(self, wire: Wire, direction: Direction, traffic: Traffic, done: Callable[[], None]) -> None:
        self._done = done
        self._clock = wire.clock
        self._stream = wire.shaper.stream(direction)
        self._traffic = traffic
        self._capacity = wire.settings.capacity(direction)
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, memoryview]] = deque()
        self._held = 0
        self._end_due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._blocked = self._closed = False
        self.finished = False

    def push(self, data: bytes) -> None:
        """Take bytes that the source has sent."""
        self._traffic.enter(len(data))
        if self._closed:
            self._traffic.leave(len(data), delivered=False)
            return
        now, rest = self._clock.now(), memoryview(data)
        size = self._stream.piece_bytes(now)
        while rest:
            piece, rest = rest[:size], rest[size:]
            self._queue.append((self._stream.admit(now, len(piece)), piece))
        self._held += len(data)
        if self._held > self._capacity:
            self.source.pause_reading()
        self._wake()

    def finish(self) -> None:
        """The source has sent its last byte: the end travels behind it."""
        self._end_due = self._stream.end(self._clock.now())
        self._wake()

    def reset(self) -> None:
        """The source is gone for good: the sink is told after the one-way delay, whether it reads or not."""
        self._reset_at(self._stream.end(self._clock.now()))

    def block(self) -> None:
        """The sink takes no more for now."""
        self._blocked = True

    def unblock(self) -> None:
        """The sink takes bytes again."""
        self._blocked = False
        self._wake()

    def close(self) -> None:
        """The sink is gone: drop what is under way, and all that is still to come."""
        self._closed = True
        self._traffic.leave(self._held, delivered=False)
        self._held = 0
        self._queue.clear()
        if self._timer:
            self._timer.cancel()

    def _wake(self) -> None:
        if not (self._timer or self._blocked or self._closed):
            self._deliver()

    def _deliver(self) -> None:
        """Hand over all that is due, then sleep until the next piece is."""
        self._timer = None
        while self._queue and not self._blocked:
            due, piece = self._queue[0]
            if self._sleep_until(due):
                return
            self._queue.popleft()
            self._hand_over(piece)
        if not self._queue and self._end_due is not None and not self.finished and not self._sleep_until(self._end_due):
            self._hand_over_end()

    def _sleep_until(self, due: float) -> bool:
        """Come back when a time is near, or wait out what is left of it; returns whether to come back."""
        wait = self._clock.wait(due)
        if wait > EARLY_SECONDS:
            self._timer = self._loop.call_later(wait - EARLY_SECONDS, self._deliver)
            return True
        while self._clock.wait(due):
            pass
        return False

    def _hand_over(self, piece: memoryview) -> None:
        self._traffic.leave(len(piece))
        self._held -= len(piece)
        self.sink.write(piece)
        if self._held <= self._capacity - READ_BYTES and self._end_due is None:
            self.source.resume_reading()

    def _hand_over_end(self) -> None:
        self.finished = True
        with suppress(OSError):  # the other side has gone in the meantime; its transport will say so
            self.sink.write_eof()
        self._done()

    def _reset_at(self, due: float) -> None:
        wait = self._clock.wait(due)
        if wait:
            self._loop.call_later(wait, self._reset_at, due)
            return
        with suppress(OSError):  # closed in the meantime
            self.sink.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.sink.abort()
