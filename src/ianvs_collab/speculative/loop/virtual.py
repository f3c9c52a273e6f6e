"""A query whose cloud half is called like a function, and put on the timeline where a cloud far away would have been.

The cloud works on a block when it is handed over, and the timeline says when that would have been. That is the same,
because blocks reach it in the order in which they were sent, and nothing else does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from ianvs_collab.link import Timeline
from ianvs_collab.link.deployment import Direction
from ianvs_collab.speculative.loop.edge import EdgeHalf
from ianvs_collab.speculative.loop.exchange import Exchange
from ianvs_collab.speculative.protocols import Ids, frame

T = TypeVar("T")


class Cloud(Protocol):
    """The cloud's half, wherever it is; see `CloudHalf`."""

    def open(self, payload: bytes) -> None:
        """Take the prompt."""
        ...

    def answer(self, payload: bytes) -> Iterator[bytes]:
        """Answer a block."""
        ...

    def close(self) -> None:
        """Release the session."""
        ...


class VirtualExchange(Exchange):
    """Runs the operations of one query one after the other, and lets them overlap on the timeline.

    Args:
        edge: The edge's half.
        cloud: The cloud's half.
        codec: The protocol.
        timeline: Where the times go.
        clock: What measures them, in seconds.
    """

    def __init__(
        self,
        edge: EdgeHalf,
        cloud: Cloud,
        codec: Ids,
        timeline: Timeline,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(edge, codec, timeline, clock)
        self.cloud = cloud
        self._coming: deque[tuple[bytes, float]] = deque()

    @property
    def arrived(self) -> bool:
        """Whether a verdict is at the edge by now."""
        return bool(self._coming) and self._coming[0][1] <= self.timeline.now

    def _open(self, payload: bytes) -> None:
        arrived = self._transfer("uplink", payload, "prompt", self.timeline.now)
        _, seconds = self._at_cloud(lambda: self.cloud.open(payload))
        self.timeline.compute("cloud", seconds, "prefill", after=arrived)

    def _send(self, payload: bytes) -> None:
        ready = self._transfer("uplink", payload, "block", self.timeline.now)
        answers, _ = self._at_cloud(lambda: self.cloud.answer(payload))
        while True:
            verdict, seconds = self._at_cloud(lambda: next(answers, None))
            if verdict is None:
                return
            self.meter.verify_s.append(seconds)
            ready = self.timeline.compute("cloud", seconds, "verify", after=ready)
            self._coming.append((verdict, self._transfer("downlink", verdict, "verdict", ready)))

    def _receive(self) -> bytes:
        verdict, at = self._coming.popleft()
        self.timeline.wait(at)
        return verdict

    def _transfer(self, direction: Direction, payload: bytes, label: str, after: float) -> float:
        nbytes = len(frame(payload))
        if direction == "uplink":
            self.meter.wire_uplink_bytes += nbytes
        else:
            self.meter.wire_downlink_bytes += nbytes
        return self.timeline.transfer(direction, nbytes, label, after=after)

    def _at_cloud(self, deed: Callable[[], T]) -> tuple[T, float]:
        try:
            return self._timed(deed)
        except (ConnectionError, TimeoutError) as error:
            raise self._lost(error) from error
