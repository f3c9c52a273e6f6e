"""When bytes that enter the link come out at the other side: the virtual tier's arithmetic, for a stream of bytes.

`Timeline.transfer` knows messages; TCP knows bytes only. Here a message is a burst: bytes that follow one another
while the sender's side of the link is still busy with the ones before. A burst has one draw of jitter and as many draws
of loss as it has packets, in the order in which the virtual tier makes them from the same seed, so messages that do not
overlap arrive after exactly the same delays in both tiers.
"""

from __future__ import annotations

import math
import random

from ianvs_collab.link.deployment import Direction
from ianvs_collab.link.rate import RateTrace
from ianvs_collab.link.relay.settings import DIRECTIONS, RelaySettings
from ianvs_collab.link.timeline import PACKET_BYTES

PIECE_SECONDS = 0.002
"""Bytes travel in pieces of at most this serialisation time (one packet at least), so that a stream stays a stream."""


GRACE_SECONDS = 0.002
"""Bytes that the kernel holds to the rate come as late as that; with so short a gap they belong to the same burst."""


class Draws:
    """Jitter and loss from one seeded generator, shared by both directions as in the virtual tier."""

    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings
        self.restart("")

    def restart(self, key: str) -> None:
        """Draw from here on as `Timeline(deployment, key)` does."""
        self._random = random.Random(f"{self._settings.seed}:{key}")  # noqa: S311 - emulation, not secrecy

    def one_way(self) -> float:
        """A one-way delay in seconds: half a round trip and jitter, never negative."""
        half = self._settings.rtt_ms / 2000
        jitter = self._settings.jitter_ms / 1000
        return max(0.0, half + self._random.gauss(0.0, jitter)) if jitter else half

    def retransmissions(self, packets: int) -> int:
        """Round trips until every packet is through: the worst of `packets` geometric draws."""
        return max((self._tries() for _ in range(packets)), default=0) if self._settings.loss else 0

    def _tries(self) -> int:
        tries = 0
        while self._random.random() < self._settings.loss:
            tries += 1
        return tries


class Bottleneck:
    """One direction's rate, shared by all connections: bytes leave one after the other."""

    def __init__(self, rate: RateTrace) -> None:
        self._rate = rate
        self._origin = 0.0
        self._free = -math.inf

    def restart(self, now: float) -> None:
        """Let the rate trace begin now."""
        self._origin = now

    def serialise(self, now: float, nbytes: int) -> float:
        """Queue bytes that are there at `now`; returns when the last of them has left."""
        self._free = self._rate.finish(max(now, self._free) - self._origin, nbytes) + self._origin
        return self._free

    def seconds(self, now: float, nbytes: int) -> float:
        """What so many bytes take at the rate in force."""
        return nbytes * 8 / (self._rate.at(now - self._origin) * 1e6)

    def piece_bytes(self, now: float) -> int:
        """The size of a piece at the rate in force."""
        return max(PACKET_BYTES, int(self._rate.at(now - self._origin) * 1e6 / 8 * PIECE_SECONDS))


class Shaper:
    """The link: a bottleneck for each direction and the draws."""

    def __init__(self, settings: RelaySettings) -> None:
        self.settings = settings
        self.draws = Draws(settings)
        self.bottlenecks: dict[Direction, Bottleneck] = {one: Bottleneck(settings.rate(one)) for one in DIRECTIONS}

    def restart(self, now: float, key: str) -> None:
        """Begin the rate traces and the draws afresh."""
        self.draws.restart(key)
        for bottleneck in self.bottlenecks.values():
            bottleneck.restart(now)

    def stream(self, direction: Direction) -> Stream:
        """One direction of a new connection."""
        return Stream(self, direction)


class Stream:
    """One direction of one connection: says when its bytes arrive, always in order."""

    def __init__(self, shaper: Shaper, direction: Direction) -> None:
        self._shaper = shaper
        self._bottleneck = shaper.bottlenecks[direction]
        self._bucket = shaper.settings.bucket_bytes(direction)
        self._sent = self._arrived = -math.inf
        self._bytes = self._worst = 0
        self._delay = 0.0

    def admit(self, now: float, nbytes: int) -> float:
        """Take bytes that enter the link at `now`; returns when the last of them arrives, in seconds of link time."""
        if now > self._sent + (GRACE_SECONDS if self._bucket else 0.0):  # the sender's side was idle: a new burst
            self._bytes = self._worst = 0
            self._delay = self._shaper.draws.one_way()
        self._sent = self._bottleneck.serialise(now, nbytes)
        packets = _packets(self._bytes + nbytes) - _packets(self._bytes)
        self._worst = max(self._worst, self._shaper.draws.retransmissions(packets))
        self._bytes += nbytes
        late = self._delay + self._worst * self._shaper.settings.rtt_ms / 1000
        self._arrived = max(self._left(now) + late, self._arrived)
        return self._arrived

    def _left(self, now: float) -> float:
        """When the sender's side is done with what came at `now`."""
        if not self._bucket:
            return self._sent
        return now + self._bottleneck.seconds(now, min(self._bytes, self._bucket))

    def end(self, now: float) -> float:
        """When the end of the stream arrives: behind its last byte, and no sooner than half a round trip from now."""
        self._arrived = max(self._arrived, now + self._shaper.settings.rtt_ms / 2000)
        return self._arrived

    def piece_bytes(self, now: float) -> int:
        """The size of the pieces in which bytes had better be admitted."""
        return self._bottleneck.piece_bytes(now)


def _packets(nbytes: int) -> int:
    return -(-nbytes // PACKET_BYTES)
