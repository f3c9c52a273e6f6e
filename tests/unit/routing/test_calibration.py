"""Thresholds for a budget: against all thresholds there are, and on queries that they were not chosen on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Link
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.calibration import Budget, CloudShare, FirstToken, Quality, Replayed, calibrate, realised

from .toys import toy_trace

sets = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9]), min_size=n, max_size=n),
        st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n),
        st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n),
    )
)


@settings(max_examples=200, deadline=None)
@given(sets, st.floats(0, 1))
def test_the_share_is_kept_and_no_lower_threshold_would(data: tuple[list[float], ...], asked: float) -> None:
    scores, edge, cloud = map(np.array, data)
    found = calibrate(scores, Replayed(edge, cloud), CloudShare(asked))
    assert np.mean(scores >= found.threshold) == found.calibrated <= asked
    assert all(np.mean(scores >= lower) > asked for lower in scores[scores < found.threshold])


@settings(max_examples=200, deadline=None)
@given(sets, st.floats(0, 1))
def test_quality_is_reached_with_the_fewest_queries_to_the_cloud(data: tuple[list[float], ...], asked: float) -> None:
    scores, edge, cloud = map(np.array, data)
    if cloud.mean() == 0:
        with pytest.raises(RouterError, match="mean quality is 0"):
            calibrate(scores, Replayed(edge, cloud), Quality(asked))
        return
    found = calibrate(scores, Replayed(edge, cloud), Quality(asked))

    def reached(threshold: float) -> bool:
        return bool(np.where(scores >= threshold, cloud, edge).mean() / cloud.mean() >= asked)

    assert reached(found.threshold)
    assert not any(reached(higher) for higher in [*scores, np.inf] if higher > found.threshold)


@settings(max_examples=100, deadline=None)
@given(sets, st.integers(0, 99), st.floats(0.0, 1.0))
def test_latency_is_kept_with_the_best_quality(data: tuple[list[float], ...], seed: int, asked: float) -> None:
    scores, edge, cloud = map(np.array, data)
    rng = np.random.default_rng(seed)
    replayed = Replayed(edge, cloud, rng.uniform(0, 0.5, len(scores)), rng.uniform(0, 1, len(scores)))
    options = []
    for threshold in [*scores, np.inf]:
        marked = scores >= threshold
        late = np.percentile(np.where(marked, replayed.cloud_first, replayed.edge_first), 95)
        options.append((late <= asked, np.where(marked, cloud, edge).mean()))
    if not any(fast for fast, _ in options):
        with pytest.raises(RouterError, match=r"no threshold keeps the budget \(p95 time to first token at most"):
            calibrate(scores, replayed, FirstToken(asked))
        return
    found = calibrate(scores, replayed, FirstToken(asked))
    assert found.calibrated <= asked
    assert np.where(scores >= found.threshold, cloud, edge).mean() == max(q for fast, q in options if fast)


def test_a_budget_out_of_reach_tells_the_nearest_value() -> None:
    scores, edge, cloud = np.array([0.1, 0.9]), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    with pytest.raises(RouterError, match="at least 150% of the cloud's quality.*nearest value that one reaches is 1"):
        calibrate(scores[::-1], Replayed(edge * 0, cloud * 0.5 + 0.5), Quality(1.5))
    assert calibrate(scores, Replayed(edge, cloud), Quality(1.5)).threshold == 0.9


@pytest.mark.parametrize("budget", [CloudShare(0.4), Quality(0.9), FirstToken(0.3)])
def test_nothing_to_calibrate_on_is_told(budget: Budget) -> None:
    with pytest.raises(RouterError, match="there are none"):
        calibrate(np.array([]), Replayed(np.array([]), np.array([])), budget)


def test_latency_without_a_deployment_is_told() -> None:
    with pytest.raises(RouterError, match="add --deployment FILE"):
        calibrate(np.array([0.1]), Replayed(np.array([1.0]), np.array([1.0])), FirstToken(1))


def test_latencies_come_from_the_deployment() -> None:
    trace = toy_trace(20)
    near, far = (Replayed.of(trace, Deployment(link=Link(rtt_ms=rtt))) for rtt in (0, 100))
    assert near.edge_first == pytest.approx(far.edge_first)
    assert far.cloud_first - near.cloud_first == pytest.approx(np.full(20, 0.1), abs=1e-3)  # type: ignore[operator]
    cascade = Replayed.of(trace, Deployment(link=Link(rtt_ms=100)), cascade=True)
    waited = np.array([row.edge.total_seconds for row in trace], dtype=float)
    assert cascade.cloud_first == pytest.approx(far.cloud_first + waited)


def test_what_is_realised_is_measured_on_the_other_queries() -> None:
    rng = np.random.default_rng(1)
    scores, later = rng.uniform(0, 1, 400), rng.uniform(0.2, 1.2, 300)
    replayed = Replayed(np.zeros(300), np.ones(300))
    threshold = calibrate(scores, Replayed(np.zeros(400), np.ones(400)), CloudShare(0.4)).threshold
    found = realised(threshold, later, replayed, CloudShare(0.4), calibration_scores=scores)
    assert found.value == found.cloud_share == found.quality == np.mean(later >= threshold)
    assert found.low < found.value < found.high and found.value > 0.5
    assert found.score_shift > 0.1 and found.shift_p < 0.01


def test_the_interval_covers_the_true_share_in_most_draws() -> None:
    covered = 0
    for seed in range(100):
        scores = np.random.default_rng(seed).uniform(0, 1, 100)
        replayed = Replayed(np.zeros(100), np.ones(100))
        found = realised(0.6, scores, replayed, CloudShare(0.4), calibration_scores=scores, seed=seed)
        covered += found.low <= 0.4 <= found.high
    assert 88 <= covered <= 100
