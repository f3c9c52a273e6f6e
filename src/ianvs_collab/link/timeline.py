"""A query's timeline: when each device and each direction of the link was busy for it, on a virtual clock.

Compute is run and timed for real, one operation at a time; the timeline then puts the measured durations where two
machines would have put them. Edge, cloud, uplink and downlink are resources with a clock each: an operation starts when
both its cause has happened and its resource is free. Whatever overlaps on two machines therefore overlaps here.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ianvs_collab.link.deployment import Deployment, Direction

Where = Literal["edge", "cloud"]

PACKET_BYTES = 1460
"""Payload of a TCP segment on Ethernet (1500 less 40 bytes of IPv4 and TCP header): the unit that is lost."""


@dataclass(frozen=True)
class Event:
    """Something that kept a resource busy.

    Attributes:
        resource: `edge`, `cloud`, `uplink` or `downlink`.
        label: What it was, e.g. `prefill`.
        start: Seconds from the start of the query.
        end: Seconds; for a transfer the arrival of its last byte at the other side.
        nbytes: Bytes moved; 0 for compute.
    """

    resource: str
    label: str
    start: float
    end: float
    nbytes: int = 0


class Timeline:
    """Clock and diary of one query.

    Calls without `after` follow the query's own thread of work: they start at `now` and move it to their end. Calls
    with `after` run beside that thread from the given time; `wait` joins them.

    Args:
        deployment: Devices and link.
        key: Names the query; jitter and loss are drawn from (deployment seed, key), so they repeat from run to run.
    """

    def __init__(self, deployment: Deployment, key: str = "") -> None:
        self.deployment = deployment
        self.now = 0.0
        self.events: list[Event] = []
        self.commits: list[float] = []
        self._free: dict[str, float] = {}
        self._arrived: dict[str, float] = {}
        self._random = random.Random(f"{deployment.seed}:{key}")  # noqa: S311 - emulation, not secrecy
        self._busy_seconds = {"edge": 0.0, "cloud": 0.0}

    def compute(self, where: Where, seconds: float, label: str, *, after: float | None = None) -> float:
        """Run something that took `seconds` on this machine on a device of the deployment.

        Returns:
            When it ends, in seconds from the start of the query.
        """
        start = max(self.now if after is None else after, self._free.get(where, 0.0))
        duration = self.duration(where, seconds)
        self._busy_seconds[where] += duration
        self._free[where] = end = start + duration
        return self._note(Event(where, label, start, end), after)

    def duration(self, where: Where, seconds: float) -> float:
        """Seconds that something takes on a device of the deployment that took `seconds` where it was measured.

        Where the cloud is reached over a link that there is, it is as slow as it was, and its slowdown does not count.
        """
        as_measured = where == "cloud" and self.deployment.tier != "virtual"
        return seconds * (1.0 if as_measured else self.deployment.device(where).slowdown)

    def transfer(self, direction: Direction, nbytes: int, label: str, *, after: float | None = None) -> float:
        """Send a message over the link.

        The sender's side is busy for the serialisation time (bits ÷ rate, or as a rate trace has it); the message
        arrives half a round trip, jitter, retransmissions and what software takes later, never before an earlier
        message of the same direction (TCP delivers in order).

        Returns:
            When its last byte arrives, in seconds from the start of the query.
        """
        start = self.now if after is None else after
        if self.deployment.tier != "virtual":  # the measured times hold the network already
            return self._note(Event(direction, label, start, start, nbytes), after)
        link = self.deployment.link
        start = max(start, self._free.get(direction, 0.0))
        self._free[direction] = sent = link.finish(direction, start, nbytes)
        arrival = max(sent + self._delay(nbytes), self._arrived.get(direction, 0.0))
        self._arrived[direction] = arrival
        return self._note(Event(direction, label, start, arrival, nbytes), after)

    def wait(self, until: float) -> None:
        """Let the query's own thread of work wait for a time, if that is still to come."""
        self.now = max(self.now, until)

    def commit(self, at: float) -> None:
        """Note that an output token reached the user at this time."""
        self.commits.append(at)

    def reset_commits(self) -> None:
        """Forget the tokens noted so far: they belonged to an answer that another one replaces."""
        self.commits.clear()

    def busy_seconds(self, where: Where) -> float:
        """How long a device computed for this query, in its own seconds."""
        return self._busy_seconds[where]

    def nbytes(self, direction: Direction) -> int:
        """Bytes sent in one direction."""
        return sum(event.nbytes for event in self.events if event.resource == direction)

    def to_dict(self) -> dict[str, Any]:
        """Spans and token commits as JSON values, times in seconds rounded to a microsecond.

        Neighbouring events of one resource with one label make one span with a `count`: thirty decode steps are one
        line.
        """
        spans: list[dict[str, Any]] = []
        latest: dict[str, dict[str, Any]] = {}
        for event in self.events:
            span = latest.get(event.resource)
            if span is None or span["label"] != event.label:
                span = {"resource": event.resource, "label": event.label, "start": round(event.start, 6), "count": 0}
                latest[event.resource] = span
                spans.append(span)
            span["end"] = round(event.end, 6)
            span["count"] += 1
            if event.nbytes:
                span["bytes"] = span.get("bytes", 0) + event.nbytes
        return {"spans": spans, "commits": [round(at, 6) for at in self.commits]}

    def _note(self, event: Event, after: float | None) -> float:
        self.events.append(event)
        if after is None:
            self.wait(event.end)
        return event.end

    def _delay(self, nbytes: int) -> float:
        link = self.deployment.link
        one_way = link.rtt_ms / 2000
        if link.jitter_ms:
            one_way = max(0.0, one_way + self._random.gauss(0.0, link.jitter_ms / 1000))
        if link.loss:
            packets = -(-nbytes // PACKET_BYTES)
            one_way += self._retransmissions(packets) * link.rtt_ms / 1000
        return one_way + link.overhead_ms / 1000

    def _retransmissions(self, packets: int) -> int:
        """Round trips until every packet is through: the worst of `packets` geometric draws."""
        worst = 0
        for _ in range(packets):
            tries = 0
            while self._random.random() < self.deployment.link.loss:
                tries += 1
            worst = max(worst, tries)
        return worst


def mean_gap(times: Sequence[float]) -> float | None:
    """Mean distance between neighbours, or None for fewer than two."""
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None
