"""Conformal abstention: the guarantees, by simulation, and the thresholds, by brute force."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ianvs_collab.routing import RouterError
from ianvs_collab.routing.conformal import (
    ConformalRouter,
    certified_threshold,
    controlled_threshold,
    losses_of,
    p_value,
)
from ianvs_collab.routing.traces import Side, Trace, TraceRow, write_trace

ALPHA, DELTA, COUNT, DRAWS = 0.2, 0.1, 1000, 300


def draw(rng: np.random.Generator, count: int = COUNT) -> tuple[np.ndarray, np.ndarray]:
    """Answers whose probability of being wrong is 1 minus their confidence, which is uniform."""
    confidence = rng.uniform(size=count)
    return confidence, (rng.uniform(size=count) > confidence).astype(float)


def test_of_the_kept_answers_too_many_are_wrong_in_at_most_delta_of_the_calibrations() -> None:
    rng = np.random.default_rng(0)
    risks = []
    for index in range(DRAWS):
        try:
            kept = certified_threshold(*draw(rng), ALPHA, DELTA, seed=index)
        except RouterError:
            risks.append(0.0)  # nothing is kept, nothing is wrong
        else:
            risks.append((1 - kept.threshold) / 2)  # E[1 - c | c >= threshold] for uniform c
    failed = np.mean(np.array(risks) > ALPHA)
    assert failed <= DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / DRAWS)
    assert np.median(risks) > 0.75 * ALPHA  # and it does not keep the promise by keeping next to nothing


def test_the_expected_share_of_kept_and_wrong_is_at_most_alpha_and_close_to_it() -> None:
    rng = np.random.default_rng(1)
    risks = [(1 - controlled_threshold(*draw(rng), ALPHA).threshold) ** 2 / 2 for _ in range(DRAWS)]
    error = 3 * np.std(risks) / math.sqrt(DRAWS)
    assert ALPHA - 2 / (COUNT + 1) - error <= np.mean(risks) <= ALPHA + error


def test_graded_losses_are_controlled_too() -> None:
    rng = np.random.default_rng(2)
    failed = 0
    for index in range(100):
        confidence = rng.uniform(size=COUNT)
        losses = (1 - confidence) * rng.uniform(0, 2, size=COUNT).clip(0, 1)
        expected = 0.75  # mean of the factor
        try:
            kept = certified_threshold(confidence, losses, ALPHA, DELTA, seed=index)
        except RouterError:
            continue
        failed += expected * (1 - kept.threshold) / 2 > ALPHA
    assert failed <= 100 * DELTA + 3 * math.sqrt(100 * DELTA * (1 - DELTA))


CONFIDENCES = st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.9, -math.inf]), min_size=12, max_size=40)


@given(CONFIDENCES, st.randoms(use_true_random=False), st.sampled_from([0.1, 0.3, 0.5]))
def test_the_controlled_threshold_against_brute_force(values: list[float], random: Any, alpha: float) -> None:
    confidence = np.array(values)
    losses = np.array([random.choice([0.0, 0.5, 1.0]) for _ in values])
    count = len(values)
    allowed = [
        level
        for level in sorted(set(values) - {-math.inf})
        if all(
            (losses[confidence >= higher].sum() + 1) / (count + 1) <= alpha for higher in set(values) if higher >= level
        )
    ]
    if not allowed:
        with pytest.raises(RouterError, match="no threshold keeps the share of wrong answers"):
            controlled_threshold(confidence, losses, alpha)
        return
    kept = controlled_threshold(confidence, losses, alpha)
    assert kept.threshold == allowed[0]
    assert kept.share == pytest.approx((confidence >= allowed[0]).mean())
    assert kept.risk == pytest.approx(losses[confidence >= allowed[0]].sum() / count)


@given(st.integers(1, 60), st.floats(0.02, 0.9), st.data())
def test_the_p_value_of_binary_losses_is_the_binomial_tail(count: int, alpha: float, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, count))
    losses = np.array([1.0] * wrong + [0.0] * (count - wrong))
    tail = math.fsum(math.comb(count, k) * alpha**k * (1 - alpha) ** (count - k) for k in range(wrong + 1))
    assert p_value(losses, alpha) == pytest.approx(tail)


@settings(max_examples=10, deadline=None)
@given(st.integers(5, 40), st.floats(0.1, 0.6), st.integers(0, 10**6))
def test_the_p_value_of_graded_losses_is_valid_at_the_bound(count: int, alpha: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    draws = rng.beta(2 * alpha, 2 * (1 - alpha), size=(400, count))  # mean alpha
    small = np.mean([p_value(losses, alpha) <= 0.1 for losses in draws])
    assert small <= 0.1 + 4 * math.sqrt(0.09 / 400)


def test_without_losses_there_is_no_evidence() -> None:
    assert p_value(np.array([]), 0.1) == 1


def trace(tmp_path: Path, count: int = 400) -> Path:
    """Answers with one token each whose confidence is right."""
    rng = np.random.default_rng(3)
    rows = []
    for index in range(count):
        sure = float(rng.uniform(0.01, 1))
        right = float(rng.uniform() < sure)
        side = Side(right, "x", "A", logprobs=(math.log(sure),)) if index % 10 else Side(0.0, "?", None, "unparsed")
        rows.append(TraceRow(f"q{index}", f"question {index}?", side, Side(1.0)))
    write_trace(Trace(rows, "calibration"), tmp_path / "trace")
    return tmp_path / "trace"


@pytest.mark.parametrize("guarantee", ["kept", "all"])
def test_the_router_keeps_exactly_what_its_certificate_says(tmp_path: Path, guarantee: Any) -> None:
    from ianvs_collab.routing.traces import read_trace

    folder = trace(tmp_path)
    router = ConformalRouter(str(folder), alpha=0.2, delta=0.1, guarantee=guarantee)
    answers = read_trace(folder).edge_answers()
    stays = np.array([not router(answer) for answer in answers])
    sure = np.array([math.exp(a["logprobs"][0]) if a["logprobs"] else -1 for a in answers])
    assert (stays == (sure >= router.kept.threshold - 1e-12)).all()
    assert 0.2 < stays.mean() < 0.9
    if guarantee == "all":
        assert stays.mean() == pytest.approx(router.kept.share)
    assert router.kept.risk <= 0.2


def test_a_stricter_rate_keeps_less(tmp_path: Path) -> None:
    folder = str(trace(tmp_path))
    shares = [ConformalRouter(folder, alpha=alpha, guarantee="all").kept.share for alpha in (0.05, 0.1, 0.3)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def test_regret_counts_only_what_the_cloud_does_better() -> None:
    rows = [TraceRow(str(i), "?", Side(e), Side(c)) for i, (e, c) in enumerate([(0, 0), (0, 1), (1, 0), (0.5, 0.75)])]
    assert losses_of(Trace(rows), "regret").tolist() == [0, 1, 0, 0.25]
    assert losses_of(Trace(rows)).tolist() == [1, 1, 0, 0.5]
    with pytest.raises(RouterError, match="qualities from 0 to 1"):
        losses_of(Trace([TraceRow("a", "?", Side(-3.2), Side(1.0))]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 5}, "alpha must lie above 0 and below 1, not 5"),
        ({"delta": 0}, "delta must lie above 0 and below 1, not 0"),
        ({"guarantee": "most"}, "guarantee must be 'kept' or 'all'"),
        ({"loss": "big"}, "loss 'wrong' or 'regret'"),
        ({"alpha": 0.001}, "no threshold keeps the error rate .* at most 0.001 with confidence 0.9 on 400 calibration"),
        ({"alpha": 0.001, "guarantee": "all"}, "of which at least 999 are needed"),
    ],
)
def test_what_cannot_be_promised(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RouterError, match=message):
        ConformalRouter(str(trace(tmp_path)), **arguments)


def test_answers_that_cannot_be_read_are_never_kept() -> None:
    confidence = np.full(50, -math.inf)
    for choose in (
        lambda: controlled_threshold(confidence, np.zeros(50), 0.5),
        lambda: certified_threshold(confidence, np.zeros(50), 0.5, 0.1),
    ):
        with pytest.raises(RouterError, match="no threshold keeps"):
            choose()


@given(st.integers(0, 1000))
def test_the_certificate_counts_the_queries_it_was_tested_on(seed: int) -> None:
    confidence, losses = draw(np.random.default_rng(seed))
    try:
        kept = certified_threshold(confidence, losses, 0.3, 0.1, seed)
    except RouterError:
        assume(False)
    testing = np.random.default_rng(seed).permutation(COUNT)[3 * COUNT // 10 :]
    stays = confidence[testing] >= kept.threshold
    assert kept.share == pytest.approx(stays.mean())
    assert kept.risk == pytest.approx(losses[testing][stays].mean())
