"""Is the link that a relay makes the one asked for? Pings and a bulk transfer each way, before anything is reported.

What is asked for is worked out by the same shaper with the same draws, so jitter and loss do not blur the comparison:
what is left is the relay's own lateness. Both ends of the probe connection are in this one process and thread, which
adds its own wake-ups to the round trip, as any client and server would.
"""

from __future__ import annotations

import math
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from ianvs_collab.link.rate import BITS_PER_MEGABIT, RateTrace
from ianvs_collab.link.relay.settings import RelaySettings
from ianvs_collab.link.relay.shaper import Shaper

KEY = "calibration"
"""Names the draws of jitter and loss that the pings get."""

RTT_LIMIT_MS, RTT_LIMIT_SHARE, RATE_LIMIT_SHARE = 1.0, 0.02, 0.03
PING_SECONDS, FEWEST_PINGS, MOST_PINGS = 1.0, 11, 101
BULK_SECONDS, FEWEST_BYTES, MOST_BYTES = 0.3, 32 * 1024, 64 * 1024 * 1024
WINDOWS = 10
RECEIVE_BYTES = 1024 * 1024


class CalibrationError(RuntimeError):
    """The relay does not make the link asked for, so its results would be wrong; the message holds the figures."""


class Probe(NamedTuple):
    """A connection through the relay with both ends in this process.

    Attributes:
        edge: The socket at the edge's side.
        cloud: The socket at the cloud's side.
        origin: When the relay's rate traces and draws began, on this machine's monotonic clock, in seconds.
    """

    edge: socket.socket
    cloud: socket.socket
    origin: float


@dataclass(frozen=True)
class Calibration:
    """The link asked for and the link measured.

    Attributes:
        rtt_asked_ms: Median round trip that the link asked for gives the pings.
        rtt_ms: Median round trip measured: the one asked for and the median lateness of a ping. Pings are compared one
            by one, so that with jitter a single late one does not make another ping the median.
        uplink_asked_mbps: Rate asked for, averaged over the bulk transfer.
        uplink_mbps: Rate measured: the median over the transfer's windows.
        downlink_asked_mbps: Likewise.
        downlink_mbps: Likewise.
        pings: How many pings there were.
    """

    rtt_asked_ms: float
    rtt_ms: float
    uplink_asked_mbps: float
    uplink_mbps: float
    downlink_asked_mbps: float
    downlink_mbps: float
    pings: int

    @property
    def problems(self) -> list[str]:
        """What is off by more than 1 ms or 2 % (whichever is larger) for the round trip, or 3 % for a rate."""
        limit = max(RTT_LIMIT_MS, RTT_LIMIT_SHARE * self.rtt_asked_ms)
        found = []
        if not abs(self.rtt_ms - self.rtt_asked_ms) <= limit:
            figures = f"{self.rtt_ms:.2f} ms instead of {self.rtt_asked_ms:.2f} ms"
            found.append(f"median round trip {figures} (limit {limit:.2f} ms)")
        for name, asked, measured in (
            ("uplink", self.uplink_asked_mbps, self.uplink_mbps),
            ("downlink", self.downlink_asked_mbps, self.downlink_mbps),
        ):
            if not abs(measured - asked) <= RATE_LIMIT_SHARE * asked:
                found.append(f"{name} {measured:.3f} Mbit/s instead of {asked:.3f} (limit {RATE_LIMIT_SHARE:.0%})")
        return found

    def check(self) -> None:
        """Refuse if the link is off.

        Raises:
            CalibrationError: With the figures.
        """
        if self.problems:
            raise CalibrationError(
                f"the relay is off: {'; '.join(self.problems)}. Stop what else keeps this machine's processors busy, "
                "ask for a slower link, or set tier: virtual in the deployment"
            )

    def to_dict(self) -> dict[str, float | int]:
        """The figures as JSON values, for a record."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def calibrate(settings: RelaySettings, probe: Probe) -> Calibration:
    """Measure a fresh connection through a relay whose traces and draws have just been restarted with `KEY`.

    Raises:
        OSError: If the connection breaks or stalls.
    """
    asked, measured = _pings(settings, probe)
    uplink = _bulk(settings, settings.uplink, probe.edge, probe.cloud, probe.origin)
    downlink = _bulk(settings, settings.downlink, probe.cloud, probe.edge, probe.origin)
    median = statistics.median(asked)
    late = statistics.median(b - a for a, b in zip(asked, measured, strict=True))
    return Calibration(median * 1000, (median + late) * 1000, *uplink, *downlink, pings=len(measured))


def _pings(settings: RelaySettings, probe: Probe) -> tuple[list[float], list[float]]:
    """Round trips asked for and measured, in seconds."""
    shaper = Shaper(replace(settings, kernel_rate=False))
    shaper.draws.restart(KEY)
    up, down = shaper.stream("uplink"), shaper.stream("downlink")
    asked, measured = [], []
    for _ in range(_ping_count(settings.rtt_ms / 1000)):
        start = time.monotonic()
        _pass_on(probe.edge, probe.cloud)
        _pass_on(probe.cloud, probe.edge)
        measured.append(time.monotonic() - start)
        start -= probe.origin
        asked.append(down.admit(up.admit(start, 1), 1) - start)
    return asked, measured


def _ping_count(rtt: float) -> int:
    return max(FEWEST_PINGS, min(MOST_PINGS, math.ceil(PING_SECONDS / rtt) if rtt else MOST_PINGS))


def _pass_on(sender: socket.socket, receiver: socket.socket) -> None:
    sender.sendall(b"\0")
    if not receiver.recv(1):
        raise ConnectionResetError("the relay closed the probe's connection")


def _bulk(
    settings: RelaySettings, rate: RateTrace, sender: socket.socket, receiver: socket.socket, origin: float
) -> tuple[float, float]:
    """Rates asked for and measured, in megabits per second."""
    nbytes = int(rate.peak_mbps * BITS_PER_MEGABIT / 8 * BULK_SECONDS)
    nbytes = max(FEWEST_BYTES, min(MOST_BYTES, nbytes))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(sender.sendall, bytes(nbytes))
        points = receive(receiver, nbytes)
        sending.result()
    left = [(at - origin - settings.rtt_ms / 2000, count) for at, count in points]
    return measured_rate(rate, left)


def receive(receiver: socket.socket, nbytes: int) -> list[tuple[float, int]]:
    """Read so many bytes.

    Returns:
        (seconds on the monotonic clock, bytes so far) after each read.

    Raises:
        OSError: If the connection ends before.
    """
    points, count, buffer = [], 0, bytearray(RECEIVE_BYTES)
    while count < nbytes:
        got = receiver.recv_into(buffer)
        if not got:
            raise ConnectionResetError("the relay closed the probe's connection")
        count += got
        points.append((time.monotonic(), count))
    return points


def measured_rate(rate: RateTrace, points: list[tuple[float, int]]) -> tuple[float, float]:
    """Compare a transfer with the rate it should have had.

    The transfer is cut into windows of equal size, and the median over them is taken, because a retransmission holds
    up one window and says nothing of the rate.

    Args:
        rate: What was asked for.
        points: (seconds of the trace, bytes so far), ascending.

    Returns:
        The rate asked for, averaged over the transfer, and the rate measured, infinite where all came at once; both
        in megabits per second.
    """
    marks = _marks(points)
    if len(marks) == 1:
        return rate.at(marks[0][0]), math.inf
    wanted = [rate.finish(a, m - n) - a for (a, n), (_, m) in pairwise(marks)]
    taken = [b - a for (a, _), (b, _) in pairwise(marks)]
    megabits = (marks[-1][1] - marks[0][1]) * 8 / BITS_PER_MEGABIT
    asked = megabits / sum(wanted)
    return asked, asked * statistics.median(a / b if b else math.inf for a, b in zip(wanted, taken, strict=True))


def _marks(points: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """The first point, and then always the first one that lies a tenth of all bytes further on."""
    share = points[-1][1] / WINDOWS
    marks = [points[0]]
    for point in points:
        if point[1] >= marks[-1][1] + share:
            marks.append(point)
    return marks
