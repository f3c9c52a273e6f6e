"""Intervals cover what they should, also where neighbouring requests share a queue."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ianvs_collab.modelserver.bench.intervals import (
    BATCHES,
    Interval,
    latency_intervals,
    rate_intervals,
    t_interval,
)
from ianvs_collab.modelserver.bench.measurement import Measurement
from ianvs_collab.modelserver.bench.summary import Estimate, summarise


def queue(seed: int, count: int, correlation: float) -> list[float]:
    """Latencies of mean 10 that neighbours share: an autoregressive process of order 1."""
    noise = np.random.default_rng(seed).normal(0, math.sqrt(1 - correlation**2), count)
    values = [noise[0] / math.sqrt(1 - correlation**2)]
    for step in noise[1:]:
        values.append(correlation * values[-1] + step)
    return [10 + value for value in values]


def test_the_interval_of_a_mean_covers_it_though_neighbours_are_alike(make_request: Any, monkeypatch: Any) -> None:
    """Requests resampled one by one would cover it in about 60 of 100 loads; independent ones in about 95."""
    monkeypatch.setattr("ianvs_collab.modelserver.bench.intervals._RESAMPLES", 100)
    covered = {0.0: 0, 0.8: 0}
    for correlation in covered:
        for seed in range(40):
            values = queue(seed, 200, correlation)
            load = [make_request(number, float(number), number + value) for number, value in enumerate(values)]
            low, high = latency_intervals(load, seed)["ttft"]["mean"]
            covered[correlation] += low <= 10 <= high
    assert covered[0.0] >= 34
    assert covered[0.8] >= 29


def test_the_same_seed_gives_the_same_intervals_and_the_figure_lies_within(make_request: Any) -> None:
    load = [make_request(n, float(n), n + 0.1 + 0.01 * (n % 7), n + 0.3 + 0.01 * (n % 5)) for n in range(50)]
    found = latency_intervals(load, seed=4)
    assert found == latency_intervals(load, seed=4)
    assert set(found) == {"ttft", "tpot", "itl", "e2e"}
    low, high = found["ttft"]["mean"]
    assert low < float(np.mean([one.ttft for one in load])) < high
    assert latency_intervals(list(reversed(load)), seed=4) == found


def test_too_few_requests_have_no_interval(make_request: Any) -> None:
    assert latency_intervals([make_request(0, 0.0, 1.0)]) == {}
    assert latency_intervals([Measurement(0, 0.0, 0.0, 1.0, outcome="error")] * 3) == {}


def test_rates_are_over_pieces_of_the_window(make_request: Any) -> None:
    """One token in each of ten seconds: the rate is the same in every piece, so it is quite sure."""
    load = [make_request(0, 0.0, *(0.5 + second for second in range(9)), 10.0)]
    found = rate_intervals(load)
    assert found["throughput"] == pytest.approx((1.0, 1.0))
    assert "goodput" not in found
    low, high = found["request_throughput"]
    expected = stats.t.interval(0.95, BATCHES - 1, loc=0.1, scale=stats.sem([0] * (BATCHES - 1) + [1.0]))
    assert (low, high) == pytest.approx(expected)


def test_the_middle_of_a_rates_interval_is_the_rate(make_request: Any) -> None:
    load = [make_request(n, n * 0.3, n * 0.3 + 0.2, n * 0.3 + 0.25 + (n % 3), tokens=7) for n in range(30)]
    load.append(Measurement(30, 2.0, 2.0, 11.0, output_tokens=3))  # answered, but not timed
    slos = {"e2e": 1.0}
    found, window_s = rate_intervals(load, slos), 11.0
    assert sum(found["throughput"]) / 2 == pytest.approx((30 * 7 + 3) / window_s)
    assert sum(found["request_throughput"]) / 2 == pytest.approx(31 / window_s)
    assert sum(found["goodput"]) / 2 == pytest.approx(10 / window_s)


def test_repeats_have_the_t_interval_of_their_means(make_request: Any) -> None:
    runs = [[make_request(0, 0.0, ttft, 2.0), make_request(1, 1.0, 1.0 + ttft, 3.0)] for ttft in (0.1, 0.2, 0.6)]
    found = summarise(runs, {}, seed=0)
    values = [0.1, 0.2, 0.6]
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert found["ttft.mean"].value == pytest.approx(0.3)
    assert found["ttft.mean"].interval == pytest.approx(expected)
    assert found["throughput"] == Estimate(pytest.approx(4 / 3), Interval(*[pytest.approx(4 / 3)] * 2))
    assert found["goodput"] == Estimate(None, None)
    runs[1] = [Measurement(0, 0.0, 0.0, 1.0, outcome="error")]
    assert summarise(runs, {}, seed=0)["ttft.mean"] == Estimate(None, None)


def test_one_run_has_intervals_of_its_own(make_request: Any) -> None:
    load = [make_request(n, float(n), n + 0.5, n + 0.75) for n in range(20)]
    found = summarise([load], {"ttft": 1.0}, seed=0)
    assert found["ttft.p50"] == Estimate(0.5, Interval(0.5, 0.5))
    assert found["goodput"].value == pytest.approx(20 / 19.75)
    assert found["goodput"].interval == rate_intervals(load, {"ttft": 1.0})["goodput"]


def test_a_t_interval_is_scipys() -> None:
    values = [3.0, 5.0, 4.0, 9.0]
    assert t_interval(values) == pytest.approx(stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values)))
