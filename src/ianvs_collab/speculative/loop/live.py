"""A query whose cloud half is really elsewhere: edge and cloud work at the same time, and a link lies between them.

The timeline then tells what happened, by this machine's clock. The edge's operations are put where they ran; the
cloud's where they must have been, from what it tells of their length and from when their verdict came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ianvs_collab.link import Deployment, Timeline
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.loop.edge import EdgeHalf
from ianvs_collab.speculative.loop.exchange import Exchange
from ianvs_collab.speculative.protocols import Ids

T = TypeVar("T")


@dataclass(frozen=True)
class Arrival:
    """A verdict that has come.

    Attributes:
        payload: The message.
        at: When it came, by `time.perf_counter()`.
        verify_s: Seconds that the cloud's model worked on it.
        prefill_s: Seconds that it worked on the prompt, with the first verdict; else 0.
        nbytes: Bytes of the message with framing, and of those before it that brought no verdict.
    """

    payload: bytes
    at: float
    verify_s: float
    prefill_s: float
    nbytes: int


class FarCloud(Protocol):
    """The cloud's half at the other end of a connection. What breaks it is a `ConnectionError` or a `TimeoutError`."""

    def open(self, payload: bytes) -> int:
        """Send the prompt and wait for nothing; the bytes that went out, with framing."""
        ...

    def post(self, payload: bytes) -> int:
        """Send a block and wait for nothing; the bytes that went out, with framing."""
        ...

    @property
    def arrived(self) -> bool:
        """Whether `take` would not have to wait."""
        ...

    def take(self) -> Arrival:
        """Wait for the next verdict."""
        ...


class LiveExchange(Exchange):
    """Runs the edge's operations of one query, while the cloud runs its own.

    Args:
        edge: The edge's half.
        cloud: The cloud's half.
        codec: The protocol.
        timeline: Where the times go; the query begins now.
        clock: What measures the edge's operations, in seconds.

    Raises:
        SpeculativeError: If the deployment is one that only a virtual timeline can play.
    """

    def __init__(
        self,
        edge: EdgeHalf,
        cloud: FarCloud,
        codec: Ids,
        timeline: Timeline,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(edge, codec, timeline, clock)
        _check(timeline.deployment)
        self._cloud = cloud
        self._origin = time.perf_counter() - timeline.now

    @property
    def arrived(self) -> bool:
        """Whether a verdict is at the edge by now."""
        return self._cloud.arrived

    def _open(self, payload: bytes) -> None:
        self._up("prompt", self._cloud.open, payload)

    def _send(self, payload: bytes) -> None:
        self._up("block", self._cloud.post, payload)

    def _receive(self) -> bytes:
        try:
            arrival = self._cloud.take()
        except (ConnectionError, TimeoutError) as error:
            raise self._lost(error) from error
        at = arrival.at - self._origin
        # The cloud was ready half a round trip before the verdict came; just then, if the link's is not known.
        begun = at - self.timeline.deployment.link.rtt_ms / 2000 - arrival.verify_s
        if arrival.prefill_s:
            self.timeline.compute("cloud", arrival.prefill_s, "prefill", after=max(0.0, begun - arrival.prefill_s))
        self.timeline.compute("cloud", arrival.verify_s, "verify", after=max(0.0, begun))
        self.timeline.transfer("downlink", arrival.nbytes, "verdict", after=at)
        self.meter.verify_s.append(arrival.verify_s)
        self.meter.wire_downlink_bytes += arrival.nbytes
        self._catch_up()
        return arrival.payload

    def _up(self, label: str, send: Callable[[bytes], int], payload: bytes) -> None:
        self._catch_up()
        try:
            nbytes = send(payload)
        except (ConnectionError, TimeoutError) as error:
            raise self._lost(error) from error
        self.meter.wire_uplink_bytes += nbytes
        self.timeline.transfer("uplink", nbytes, label)

    def _at_edge(self, deed: Callable[[], T], label: str) -> tuple[T, float]:
        self._catch_up()
        done = super()._at_edge(deed, label)
        # A device that is slower than this machine has worked until the timeline's now.
        left = self._origin + self.timeline.now - time.perf_counter()
        if left > 0:
            time.sleep(left)
        return done

    def _catch_up(self) -> None:
        """Let the query's time be this machine's."""
        self.timeline.wait(time.perf_counter() - self._origin)


def _check(deployment: Deployment) -> None:
    if deployment.tier == "virtual":
        raise SpeculativeError(
            f"deployment {deployment.name!r} is of tier virtual, whose timeline adds a link, but the target is reached "
            "over one that is there; set tier: relay, namespaces or real"
        )
    if deployment.edge.slowdown < 1:
        raise SpeculativeError(
            f"deployment {deployment.name!r} has edge.slowdown {deployment.edge.slowdown:g}: this machine cannot be "
            "faster than it is while a cloud works beside it; set 1 or more, or use tier: virtual"
        )
