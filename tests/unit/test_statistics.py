"""Wilson's interval against SciPy, and against what it is: the proportions that the score test does not reject."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from ianvs_collab.statistics import wilson


@st.composite
def proportions(draw: st.DrawFn) -> tuple[int, int]:
    total = draw(st.integers(1, 5000))
    return draw(st.integers(0, total)), total


CONFIDENCES = st.sampled_from([0.5, 0.9, 0.95, 0.99])


def bound_by_inversion(successes: int, total: int, confidence: float, towards: float) -> float:
    """Finds the proportion between the observed one and `towards` at which the score test begins to reject."""
    share, z = successes / total, stats.norm.ppf((1 + confidence) / 2)

    def excess(true: float) -> float:
        return abs(share - true) - z * math.sqrt(true * (1 - true) / total)

    if share == towards:
        return share
    near = share + (towards - share) * 1e-9  # the test's statistic is 0 / 0 at 0 and 1 themselves
    return float(brentq(excess, near, towards, xtol=1e-14))


@given(proportions(), CONFIDENCES)
def test_the_interval_inverts_the_score_test(counts: tuple[int, int], confidence: float) -> None:
    low, high = wilson(*counts, confidence)
    successes, total = counts
    assert low == pytest.approx(bound_by_inversion(successes, total, confidence, 0.0), abs=1e-9)
    assert high == pytest.approx(bound_by_inversion(successes, total, confidence, 1.0), abs=1e-9)


@given(proportions(), CONFIDENCES)
def test_the_interval_is_scipys(counts: tuple[int, int], confidence: float) -> None:
    theirs = stats.binomtest(*counts).proportion_ci(confidence, method="wilson")
    assert wilson(*counts, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(proportions(), CONFIDENCES)
def test_the_interval_holds_the_proportion_and_mirrors(counts: tuple[int, int], confidence: float) -> None:
    successes, total = counts
    low, high = wilson(successes, total, confidence)
    assert 0 <= low <= successes / total <= high <= 1
    assert wilson(total - successes, total, confidence) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_the_ends_are_exact() -> None:
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0


def test_95_percent_unless_told() -> None:
    assert wilson(30, 40) == wilson(30, 40, 0.95) != wilson(30, 40, 0.9)


@pytest.mark.parametrize(("successes", "total"), [(0, 0), (3, 2), (-1, 5), (0, -1)])
def test_impossible_counts_are_refused(successes: int, total: int) -> None:
    with pytest.raises(ValueError, match="a proportion needs"):
        wilson(successes, total)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_impossible_confidences_are_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="a confidence lies between 0 and 1"):
        wilson(1, 2, confidence)
