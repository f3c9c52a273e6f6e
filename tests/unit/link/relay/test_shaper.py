from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Link, RateTrace, Timeline
from ianvs_collab.link.relay.settings import SEGMENT_BYTES, RelaySettings
from ianvs_collab.link.relay.shaper import Shaper, Stream
from ianvs_collab.link.timeline import Direction

links = st.builds(
    Link,
    rtt_ms=st.floats(0, 300),
    uplink_mbps=st.floats(0.5, 1000),
    downlink_mbps=st.floats(0.5, 1000),
    jitter_ms=st.one_of(st.just(0.0), st.floats(0.1, 40)),
    loss=st.one_of(st.just(0.0), st.floats(0.001, 0.6)),
)
traces = st.builds(
    lambda gaps, rates, last: RateTrace(
        tuple(zip((sum(gaps[:n]) for n in range(len(gaps) + 1)), [*rates[: len(gaps)], last], strict=True))
    ),
    st.lists(st.floats(0.01, 1), max_size=4),
    st.lists(st.floats(0, 100), min_size=4, max_size=4),
    st.floats(0.5, 100),
)
directions = st.sampled_from(["uplink", "downlink"])


def streams(deployment: Deployment, key: str) -> dict[Direction, Stream]:
    shaper = Shaper(RelaySettings.of(deployment))
    shaper.restart(0.0, key)
    return {"uplink": shaper.stream("uplink"), "downlink": shaper.stream("downlink")}


def admit_in_pieces(stream: Stream, now: float, nbytes: int) -> float:
    """As the relay does it: piece by piece, all at once."""
    arrival, size = now, stream.piece_bytes(now)
    for start in range(0, nbytes, size):
        arrival = stream.admit(now, min(size, nbytes - start))
    return arrival


@given(
    links,
    st.lists(st.tuples(directions, st.integers(1, 300_000), st.floats(0.001, 2)), max_size=12),
    st.integers(0, 9),
    st.text(max_size=5),
)
def test_messages_arrive_when_the_virtual_tier_says(
    link: Link, messages: list[tuple[Direction, int, float]], seed: int, key: str
) -> None:
    deployment = Deployment(link=link, seed=seed)
    timeline, relay = Timeline(deployment, key), streams(deployment, key)
    now = 0.0
    for direction, nbytes, pause in messages:
        rate = link.uplink_mbps if direction == "uplink" else link.downlink_mbps
        expected = timeline.transfer(direction, nbytes, "message", after=now)
        assert admit_in_pieces(relay[direction], now, nbytes) == pytest.approx(expected, abs=1e-9)
        now += nbytes * 8 / (rate * 1e6) + pause  # the next one finds the sender's side idle


@given(traces, st.integers(1, 300_000), st.floats(0, 3))
def test_a_traced_rate_is_the_virtual_tiers_too(trace: RateTrace, nbytes: int, now: float) -> None:
    deployment = Deployment(link=Link(rtt_ms=20, uplink_trace=trace))
    expected = Timeline(deployment).transfer("uplink", nbytes, "message", after=now)
    assert admit_in_pieces(streams(deployment, "")["uplink"], now, nbytes) == pytest.approx(expected, abs=1e-6)


@given(links, st.integers(1, 300_000), st.text(max_size=5))
def test_behind_the_kernels_bucket_a_message_arrives_as_if_the_relay_had_shaped_it(
    link: Link, nbytes: int, key: str
) -> None:
    """A bucket lets its content through at once and the rest at the rate, segment by segment."""
    deployment = Deployment(link=link)
    settings = RelaySettings.of(deployment, kernel_rate=True)
    shaper = Shaper(settings)
    shaper.restart(0.0, key)
    stream, bucket, arrival = shaper.stream("uplink"), settings.bucket_bytes("uplink"), 0.0
    for start in range(0, nbytes, SEGMENT_BYTES):
        size = min(SEGMENT_BYTES, nbytes - start)
        out_of_the_bucket = max(0, start + size - bucket) * 8 / (link.uplink_mbps * 1e6)
        arrival = stream.admit(out_of_the_bucket, size)
    assert arrival == pytest.approx(Timeline(deployment, key).transfer("uplink", nbytes, "message"), abs=1e-9)


@given(links, st.lists(st.tuples(st.floats(0, 0.2), st.integers(1, 20_000)), max_size=30))
def test_bytes_stay_in_order_and_are_never_early(link: Link, chunks: list[tuple[float, int]]) -> None:
    stream = streams(Deployment(link=link), "")["uplink"]
    now, arrivals = 0.0, []
    for pause, nbytes in chunks:
        now += pause
        arrivals.append(stream.admit(now, nbytes))
        assert arrivals[-1] >= now + nbytes * 8 / (link.uplink_mbps * 1e6) - 1e-9
    assert all(earlier <= later for earlier, later in pairwise(arrivals))


@given(links, st.lists(st.integers(1, 5000), min_size=1, max_size=10), st.text(max_size=3))
def test_a_burst_arrives_when_it_would_in_one_piece(link: Link, sizes: list[int], key: str) -> None:
    deployment = Deployment(link=link, seed=1)
    whole = streams(deployment, key)["downlink"].admit(0.0, sum(sizes))
    parts = streams(deployment, key)["downlink"]
    assert max(parts.admit(0.0, size) for size in sizes) == pytest.approx(whole, abs=1e-9)


def test_the_draws_repeat_with_the_key_and_differ_without() -> None:
    deployment = Deployment(link=Link(rtt_ms=50, jitter_ms=10, loss=0.2), seed=3)

    def arrivals(key: str) -> list[float]:
        stream = streams(deployment, key)["uplink"]
        return [stream.admit(float(second), 1000) for second in range(20)]

    assert arrivals("a") == arrivals("a")
    assert arrivals("a") != arrivals("b")


def test_two_connections_share_the_rate_but_not_the_order() -> None:
    shaper = Shaper(RelaySettings.of(Deployment(link=Link(rtt_ms=20, uplink_mbps=8))))
    one, other = shaper.stream("uplink"), shaper.stream("uplink")
    assert one.admit(0.0, 10_000) == pytest.approx(0.01 + 0.01)
    assert other.admit(0.0, 1000) == pytest.approx(0.011 + 0.01)  # waits for the first one's bytes to leave
    assert shaper.stream("downlink").admit(0.0, 1000) == pytest.approx(0.000008 + 0.01)


def test_the_end_arrives_behind_the_last_byte() -> None:
    stream = streams(Deployment(link=Link(rtt_ms=20, uplink_mbps=8)), "")["uplink"]
    last = stream.admit(0.0, 100_000)
    assert stream.end(0.01) == last
    assert stream.end(5.0) == pytest.approx(5.01)


def test_a_trace_begins_when_it_is_restarted() -> None:
    trace = RateTrace(((0.0, 8.0), (1.0, 0.8)))
    shaper = Shaper(RelaySettings.of(Deployment(), uplink=trace))
    shaper.restart(0.0, "")
    assert shaper.stream("uplink").admit(50.0, 1000) == pytest.approx(50.01)
    shaper.restart(100.0, "")
    assert shaper.stream("uplink").admit(100.0, 1000) == pytest.approx(100.001)
    assert shaper.stream("uplink").piece_bytes(100.5) == 2000
    assert shaper.stream("uplink").piece_bytes(101.5) == 1460
