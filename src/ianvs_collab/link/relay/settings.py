"""What a relay emulates, taken from the link of the same deployment as the virtual tier's, and how it is told."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from ianvs_collab.link.deployment import Deployment, Direction
from ianvs_collab.link.rate import BITS_PER_MEGABIT, RateTrace

DIRECTIONS: tuple[Direction, Direction] = ("uplink", "downlink")

QUEUE_BYTES = 128 * 1024
QUEUE_SECONDS = 0.005
"""What may wait for its turn: enough that a fast link is not idle while the relay is woken, little enough that a bulk
transfer does not hold up a small message on another connection for long."""

SEGMENT_BYTES = 1448
BUCKET_SECONDS = 200e-6
"""A token bucket takes two TCP segments (with time stamps), or what comes between two wake-ups of the kernel; with less
it would lose rate."""

MAX_CONNECTIONS = 480
"""`select`, which wakes the relay on time, watches file descriptors below 1024: two for each connection."""

JITTER_DEVIATIONS = 4
MAX_RETRANSMISSIONS = 8
RARE = 1e-7
"""Delays that the buffer is sized for: four standard deviations of jitter, and so many retransmissions in a row that
fewer than one packet in ten million needs more (eight at most)."""


@dataclass(frozen=True)
class RelaySettings:
    """Everything the relay's process has to know of the link.

    Attributes:
        rtt_ms: Round-trip time in milliseconds, half of it each way.
        jitter_ms: Standard deviation of the one-way delay, in milliseconds.
        loss: Probability that a packet is lost and sent again one round trip later.
        seed: Seed of jitter and loss.
        uplink: Rate from edge to cloud.
        downlink: Rate from cloud to edge.
        handshake: Whether a new connection costs a round trip before its first byte, as TCP's handshake does.
        realtime: Whether the relay asks the system for real-time priority, which only root gets.
        max_connections: Connections open at once; further ones are refused.
        kernel_rate: Whether the kernel holds bytes to the rate, by a token bucket, and not the relay. The relay then
            adds to the delay what those bytes should have taken that an idle bucket lets through at once.

    Raises:
        ValueError: If `max_connections` is not within 1 and 480, two sockets each being all that `select` can watch.
    """

    rtt_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    seed: int = 0
    uplink: RateTrace = field(default_factory=lambda: RateTrace.constant(1000.0))
    downlink: RateTrace = field(default_factory=lambda: RateTrace.constant(1000.0))
    handshake: bool = True
    realtime: bool = True
    max_connections: int = MAX_CONNECTIONS
    kernel_rate: bool = False

    def __post_init__(self) -> None:
        """Check the number of connections."""
        if not 1 <= self.max_connections <= MAX_CONNECTIONS:
            raise ValueError(f"max_connections must be from 1 to {MAX_CONNECTIONS}, not {self.max_connections}")

    @classmethod
    def of(
        cls, deployment: Deployment, *, uplink: RateTrace | None = None, downlink: RateTrace | None = None, **more: Any
    ) -> RelaySettings:
        """The settings for a deployment's link and seed.

        Args:
            deployment: The same that the virtual tier takes.
            uplink: A trace instead of the deployment's rate.
            downlink: Likewise.
            more: `handshake`, `realtime`, `max_connections`.
        """
        link = deployment.link
        return cls(
            rtt_ms=link.rtt_ms,
            jitter_ms=link.jitter_ms,
            loss=link.loss,
            seed=deployment.seed,
            uplink=uplink or link.trace("uplink"),
            downlink=downlink or link.trace("downlink"),
            **more,
        )

    def rate(self, direction: Direction) -> RateTrace:
        """The rate of a direction."""
        return self.uplink if direction == "uplink" else self.downlink

    def bucket_bytes(self, direction: Direction) -> int:
        """Payload that the kernel's bucket lets through at once; 0 where there is none."""
        peak = self.rate(direction).peak_mbps * BITS_PER_MEGABIT / 8
        return max(2 * SEGMENT_BYTES, int(peak * BUCKET_SECONDS)) if self.kernel_rate else 0

    def capacity(self, direction: Direction) -> int:
        """Bytes one connection may have inside the relay in a direction before its sender has to wait.

        The bandwidth-delay product of the one-way delay with its jitter and retransmissions, and a short queue.
        """
        bytes_per_second = self.rate(direction).peak_mbps * BITS_PER_MEGABIT / 8
        milliseconds = self.rtt_ms * (0.5 + self._retransmissions()) + JITTER_DEVIATIONS * self.jitter_ms
        queue = max(QUEUE_BYTES, bytes_per_second * QUEUE_SECONDS)
        return math.ceil(bytes_per_second * milliseconds / 1000 + queue)

    def _retransmissions(self) -> int:
        return min(MAX_RETRANSMISSIONS, math.ceil(math.log(RARE, self.loss))) if self.loss else 0

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str | bytes) -> RelaySettings:
        """The inverse of `to_json`."""
        fields = json.loads(line)
        for direction in DIRECTIONS:
            trace = fields[direction]
            points = tuple((float(time), float(rate)) for time, rate in trace["points"])
            fields[direction] = RateTrace(points, trace["repeat_after"])
        return cls(**fields)
