from __future__ import annotations

import json
import math
import re
import socket
import statistics
import time
from dataclasses import replace

import pytest

from ianvs_collab.link import Deployment, Link, RateTrace, Timeline
from ianvs_collab.link.relay import Calibration, CalibrationError, Relay, RelayError
from ianvs_collab.link.relay.calibration import Probe, calibrate, measured_rate, receive
from ianvs_collab.link.relay.settings import RelaySettings

from .ends import Cloud, gone, read_exactly

GOOD = Calibration(20.0, 20.9, 8.0, 8.2, 30.0, 29.2, pings=20)


def test_figures_within_the_limits_pass() -> None:
    GOOD.check()
    replace(GOOD, rtt_asked_ms=200.0, rtt_ms=203.9).check()  # 2 % is more than 1 ms here


@pytest.mark.parametrize(
    ("off", "message"),
    [
        ({"rtt_ms": 21.1}, "median round trip 21.10 ms instead of 20.00 ms (limit 1.00 ms)"),
        ({"rtt_ms": 18.9}, "median round trip 18.90 ms"),
        ({"rtt_asked_ms": 200.0, "rtt_ms": 204.1}, "instead of 200.00 ms (limit 4.00 ms)"),
        ({"uplink_mbps": 8.3}, "uplink 8.300 Mbit/s instead of 8.000 (limit 3%)"),
        ({"downlink_mbps": 29.0}, "downlink 29.000 Mbit/s instead of 30.000"),
        ({"downlink_mbps": math.inf}, "downlink inf Mbit/s"),
        ({"rtt_ms": math.nan}, "median round trip nan ms"),
    ],
)
def test_figures_beyond_the_limits_are_refused_with_their_values(off: dict[str, float], message: str) -> None:
    with pytest.raises(CalibrationError, match=re.escape(message)):
        replace(GOOD, **off).check()  # type: ignore[arg-type]


def test_all_that_is_off_is_named() -> None:
    assert len(replace(GOOD, rtt_ms=0.0, uplink_mbps=0.0, downlink_mbps=0.0).problems) == 3


def test_the_figures_are_json_values() -> None:
    assert json.loads(json.dumps(GOOD.to_dict()))["uplink_mbps"] == 8.2


def test_a_link_that_does_nothing_is_found_out() -> None:
    near, far = socket.socketpair()
    with near, far:
        settings = RelaySettings.of(Deployment(link=Link(rtt_ms=30, uplink_mbps=8, downlink_mbps=8)))
        found = calibrate(settings, Probe(near, far, time.monotonic()))
    assert found.rtt_asked_ms == pytest.approx(30.002)  # two bytes of serialisation
    assert found.uplink_asked_mbps == pytest.approx(8)
    assert found.rtt_ms < 29
    assert [problem.split()[0] for problem in found.problems] == ["median", "uplink", "downlink"]


def test_what_is_asked_for_has_the_virtual_tiers_draws(cloud: Cloud) -> None:
    deployment = Deployment(link=Link(rtt_ms=20, jitter_ms=3, loss=0.1), seed=5)
    with Relay(deployment, cloud.address, check=False) as relay:
        found = relay.calibrate()
    timeline, trips = Timeline(deployment, "calibration"), []
    for second in range(found.pings):
        there = timeline.transfer("uplink", 1, "ping", after=float(second))
        trips.append(timeline.transfer("downlink", 1, "ping", after=there) - second)
    assert found.rtt_asked_ms == pytest.approx(statistics.median(trips) * 1000)
    assert found.rtt_ms >= found.rtt_asked_ms - 0.05  # nothing is ever early


@pytest.mark.parametrize("side", [0, 1])
def test_a_probe_that_breaks_is_an_error(side: int) -> None:
    ends = socket.socketpair()
    with ends[0], ends[1]:
        ends[side].shutdown(socket.SHUT_WR)
        with pytest.raises(BrokenPipeError):
            calibrate(RelaySettings(), Probe(*ends, origin=0.0))


def test_a_probe_that_ends_is_an_error() -> None:
    pairs = socket.socketpair(), socket.socketpair()
    with pairs[0][0], pairs[0][1], pairs[1][0], pairs[1][1]:
        pairs[1][1].shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError, match="closed the probe"):
            calibrate(RelaySettings(), Probe(pairs[0][0], pairs[1][0], origin=0.0))


def test_a_transfer_that_ends_early_is_an_error() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.sendall(bytes(10))
        near.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError, match="closed the probe"):
            receive(far, 11)


def points(rate: RateTrace, total: int, size: int, held_up: dict[int, float] | None = None) -> list[tuple[float, int]]:
    """Arrivals of a transfer in pieces; `held_up` maps the index of a piece to seconds of delay from there on."""
    late, made = 0.0, []
    for index, count in enumerate(range(size, total + 1, size)):
        late += (held_up or {}).get(index, 0.0)
        made.append((rate.finish(0.0, count) + late, count))
    return made


def test_the_rate_is_that_of_the_transfer() -> None:
    trip = points(RateTrace.constant(16), 1_000_000, 5000)
    assert measured_rate(RateTrace.constant(16), trip) == pytest.approx((16, 16))
    assert measured_rate(RateTrace.constant(20), trip) == pytest.approx((20, 16))


def test_a_retransmission_does_not_blur_the_rate() -> None:
    trip = points(RateTrace.constant(16), 1_000_000, 5000, {50: 0.07, 120: 0.07})
    assert measured_rate(RateTrace.constant(16), trip) == pytest.approx((16, 16))


def test_a_trace_is_compared_with_what_it_lets_through() -> None:
    trace = RateTrace(((0.0, 8.0), (0.1, 40.0), (0.2, 4.0)))
    asked, measured = measured_rate(trace, points(trace, 700_000, 5000))
    assert asked == pytest.approx(measured)
    assert 8 < asked < 40


def test_bytes_that_come_all_at_once_have_no_rate() -> None:
    assert measured_rate(RateTrace.constant(8), [(0.0, 100), (0.0, 1000)]) == (pytest.approx(8), math.inf)
    assert measured_rate(RateTrace.constant(8), [(0.0, 1000)])[1] == math.inf


def test_a_relay_measures_itself_and_its_own_bytes_do_not_count(cloud: Cloud) -> None:
    relay = cloud.relay(rtt_ms=20, uplink_mbps=50, downlink_mbps=100, jitter_ms=2)
    found = relay.calibrate()
    assert relay.calibration is found
    assert found.pings == 50
    assert found.rtt_ms >= found.rtt_asked_ms - 0.05  # nothing is ever early
    assert (found.uplink_asked_mbps, found.downlink_asked_mbps) == (pytest.approx(50), pytest.approx(100))
    counters = relay.counters()
    assert (counters.uplink.sent, counters.downlink.sent, counters.accepted, counters.refused) == (0, 0, 0, 0)
    client, server = cloud.connect(relay)
    client.sendall(b"ready")
    assert read_exactly(server, 5) == b"ready"


def test_a_relay_that_cannot_keep_up_refuses_to_work(cloud: Cloud) -> None:
    relay = Relay(Deployment(link=Link(uplink_mbps=1e6, downlink_mbps=1e6)), cloud.address)
    with pytest.raises(CalibrationError, match="uplink .* Mbit/s instead of 1000000.*tier: virtual"):
        relay.__enter__()
    assert relay.pid is None


def test_a_relay_that_dies_while_it_is_calibrated_is_an_error(cloud: Cloud) -> None:
    relay = cloud.relay()
    relay._listener.close()  # the probe's far end cannot be reached
    with pytest.raises(RelayError, match="calibration broke off"):
        relay.calibrate()
    assert not gone(relay.pid or 0)


@pytest.mark.parametrize(("disturbed", "refused"), [(0, False), (2, False), (3, True)])
def test_a_moments_disturbance_is_survived_a_lasting_one_is_not(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, disturbed: int, refused: bool
) -> None:
    found = iter([replace(GOOD, rtt_ms=90.0)] * disturbed + [GOOD])
    monkeypatch.setattr(Relay, "calibrate", lambda self: next(found))
    relay = Relay(Deployment(), cloud.address)
    if refused:
        with pytest.raises(CalibrationError, match="median round trip 90.00 ms"):
            relay.__enter__()
    else:
        with relay:
            pass
