from __future__ import annotations

import pytest

from ianvs_collab.link import Deployment, Link, RateTrace
from ianvs_collab.link.relay.settings import RelaySettings

MOBILE = Deployment(link=Link(rtt_ms=70, uplink_mbps=8, downlink_mbps=30, jitter_ms=12, loss=0.005), seed=7)


def test_the_link_of_the_deployment_is_what_is_emulated() -> None:
    settings = RelaySettings.of(MOBILE, handshake=False)
    assert (settings.rtt_ms, settings.jitter_ms, settings.loss, settings.seed) == (70, 12, 0.005, 7)
    assert settings.rate("uplink") == RateTrace.constant(8)
    assert settings.rate("downlink") == RateTrace.constant(30)
    assert not settings.handshake


def test_a_trace_takes_the_place_of_a_constant_rate() -> None:
    trace = RateTrace(((0.0, 1.0), (1.0, 5.0)))
    settings = RelaySettings.of(MOBILE, downlink=trace)
    assert settings.rate("downlink") == trace
    assert settings.rate("uplink") == RateTrace.constant(8)


def test_settings_survive_json() -> None:
    trace = RateTrace(((0.0, 1.5), (1.0, 0.0)), repeat_after=3.5)
    settings = RelaySettings.of(MOBILE, uplink=trace, realtime=False, max_connections=3)
    assert RelaySettings.from_json(settings.to_json()) == settings


def test_the_buffer_holds_what_is_under_way_and_a_short_queue() -> None:
    plain = RelaySettings.of(Deployment(link=Link(rtt_ms=100, uplink_mbps=80, downlink_mbps=8000)))
    assert plain.capacity("uplink") == 10_000_000 * 0.05 + 128 * 1024
    assert plain.capacity("downlink") == 1_000_000_000 * (0.05 + 0.005)
    lossy = RelaySettings.of(Deployment(link=Link(rtt_ms=100, uplink_mbps=80, loss=0.01, jitter_ms=5)))
    assert lossy.capacity("uplink") == 10_000_000 * (0.05 + 4 * 0.1 + 4 * 0.005) + 128 * 1024
    worst = RelaySettings.of(Deployment(link=Link(rtt_ms=100, uplink_mbps=80, loss=0.99)))
    assert worst.capacity("uplink") == 10_000_000 * (0.05 + 8 * 0.1) + 128 * 1024


@pytest.mark.parametrize("count", [0, 481])
def test_more_connections_than_can_be_watched_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 480"):
        RelaySettings(max_connections=count)
