from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Device, Link, Timeline
from ianvs_collab.link.timeline import mean_gap

IDEAL = Deployment()


def network(**link: float) -> Deployment:
    return Deployment(link=Link(**link))


def test_compute_is_scaled_by_the_device_it_runs_on() -> None:
    timeline = Timeline(Deployment(edge=Device(slowdown=4), cloud=Device(slowdown=0.5)))
    assert timeline.compute("edge", 0.1, "prefill") == pytest.approx(0.4)
    assert timeline.compute("cloud", 0.1, "prefill") == pytest.approx(0.45)
    assert timeline.busy_seconds("edge") == pytest.approx(0.4)
    assert timeline.busy_seconds("cloud") == pytest.approx(0.05)


def test_a_transfer_takes_serialisation_plus_half_a_round_trip() -> None:
    timeline = Timeline(network(rtt_ms=50, uplink_mbps=8))
    assert timeline.transfer("uplink", 1000, "request") == pytest.approx(0.001 + 0.025)


def test_a_second_message_waits_for_the_first_to_leave_not_to_arrive() -> None:
    timeline = Timeline(network(rtt_ms=50, uplink_mbps=8))
    timeline.transfer("uplink", 1000, "a", after=0.0)
    assert timeline.transfer("uplink", 1000, "b", after=0.0) == pytest.approx(0.002 + 0.025)


def test_work_beside_the_query_overlaps_and_wait_joins_it() -> None:
    timeline = Timeline(network(rtt_ms=100))
    arrival = timeline.transfer("uplink", 0, "request", after=0.0)
    timeline.compute("edge", 0.02, "draft")
    assert timeline.now == pytest.approx(0.02)
    timeline.wait(arrival)
    assert timeline.now == pytest.approx(0.05)
    timeline.wait(0.01)
    assert timeline.now == pytest.approx(0.05)


def test_one_device_does_one_thing_at_a_time() -> None:
    timeline = Timeline(IDEAL)
    timeline.compute("edge", 1.0, "a", after=0.0)
    assert timeline.compute("edge", 1.0, "b", after=0.5) == pytest.approx(2.0)


def test_a_real_link_adds_nothing_to_measured_times_and_still_counts_bytes() -> None:
    timeline = Timeline(Deployment(link=Link(rtt_ms=1000), tier="real"))
    assert timeline.transfer("uplink", 123, "request") == 0.0
    assert timeline.nbytes("uplink") == 123


def test_what_software_takes_for_a_message_delays_it_and_not_the_next_one() -> None:
    link = Link(rtt_ms=20, uplink_mbps=8, overhead_ms=1.5)
    timeline = Timeline(Deployment(link=link))
    assert timeline.transfer("uplink", 1000, "one", after=0.0) == pytest.approx(0.001 + 0.010 + 0.0015)
    assert timeline.transfer("uplink", 1000, "two", after=0.0) == pytest.approx(0.002 + 0.010 + 0.0015)
    relayed = Timeline(Deployment(link=link, tier="relay"))
    assert relayed.transfer("uplink", 1000, "one", after=0.0) == 0.0


def test_loss_costs_whole_round_trips_and_jitter_repeats_with_the_seed() -> None:
    lossy = network(rtt_ms=100, loss=0.5, jitter_ms=0)
    arrivals = [Timeline(lossy, str(key)).transfer("uplink", 100, "x") for key in range(200)]
    extra = [round((arrival - 0.05) / 0.1, 3) for arrival in arrivals]
    assert all(abs(value - round(value)) < 0.01 for value in extra)
    assert 0.7 < sum(extra) / len(extra) < 1.4  # a geometric number of tries: 1 more on average at a loss of one half
    assert arrivals == [Timeline(lossy, str(key)).transfer("uplink", 100, "x") for key in range(200)]


def test_jitter_has_the_standard_deviation_asked_for() -> None:
    shaky = network(rtt_ms=1000, jitter_ms=20)
    delays = [Timeline(shaky, str(key)).transfer("downlink", 0, "x") for key in range(2000)]
    mean = sum(delays) / len(delays)
    deviation = (sum((d - mean) ** 2 for d in delays) / len(delays)) ** 0.5
    assert mean == pytest.approx(0.5, abs=0.002)
    assert deviation == pytest.approx(0.02, rel=0.1)


operations = st.lists(
    st.tuples(
        st.sampled_from(["edge", "cloud", "uplink", "downlink"]),
        st.floats(0, 2),
        st.one_of(st.none(), st.floats(0, 5)),
    ),
    max_size=30,
)


@given(operations, st.floats(0, 200), st.floats(0, 30), st.floats(0, 0.5))
def test_causes_come_first_and_messages_stay_in_order(
    steps: list[tuple[str, float, float | None]], rtt: float, jitter: float, loss: float
) -> None:
    deployment = network(rtt_ms=rtt, jitter_ms=jitter, loss=loss, uplink_mbps=1, downlink_mbps=1)
    timeline = Timeline(deployment, "key")
    ends: dict[str, float] = {}
    for resource, size, after in steps:
        before = timeline.now
        if resource in ("edge", "cloud"):
            end = timeline.compute(resource, size, "work", after=after)
            assert end >= ends.get(resource, 0.0) + size - 1e-9
        else:
            end = timeline.transfer(resource, int(size * 1000), "message", after=after)
            assert end >= ends.get(resource, 0.0)
        assert end >= (before if after is None else after) - 1e-9
        assert timeline.now == (max(before, end) if after is None else before)
        ends[resource] = end
    assert sum(span["count"] for span in timeline.to_dict()["spans"]) == len(steps)


def test_spans_merge_neighbours_of_one_kind_and_keep_bytes_and_limits() -> None:
    timeline = Timeline(network(rtt_ms=10))
    for _ in range(3):
        timeline.transfer("downlink", 100, "token", after=timeline.compute("cloud", 0.1, "decode"))
    spans = {span["resource"]: span for span in timeline.to_dict()["spans"]}
    assert spans["cloud"] == {"resource": "cloud", "label": "decode", "start": 0.0, "end": 0.3, "count": 3}
    assert (spans["downlink"]["count"], spans["downlink"]["bytes"]) == (3, 300)


def test_mean_gap_needs_two_times() -> None:
    assert mean_gap([1.0]) is None
    assert mean_gap([1.0, 2.0, 5.0]) == 2.0
