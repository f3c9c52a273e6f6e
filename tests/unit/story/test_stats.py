"""Intervals and tests against SciPy, brute force and worked examples."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from ianvs_collab.story.stats import holm, mcnemar, paired_bootstrap


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_two_sided_sign_test(only_first: int, only_second: int) -> None:
    total = only_first + only_second
    expected = scipy_stats.binomtest(only_first, total).pvalue if total else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 25), st.integers(0, 25))
def test_mcnemar_counts_outcomes_at_least_as_uneven(only_first: int, only_second: int) -> None:
    total = only_first + only_second
    uneven = [k for k in range(total + 1) if abs(2 * k - total) >= abs(only_first - only_second)]
    assert mcnemar(only_first, only_second) == float(sum(Fraction(comb(total, k), 2**total) for k in uneven))


def test_mcnemar_holds_for_whole_benchmarks() -> None:
    assert mcnemar(7000, 7000) == 1.0
    assert 0 < mcnemar(6800, 7200) < 0.001


def test_a_small_bootstrap_comes_near_the_full_enumeration() -> None:
    """With four differences all 256 resamples can be listed."""
    differences = [0.4, 0.1, -0.2, 0.5]
    means = [np.mean(draw) for draw in itertools.product(differences, repeat=4)]
    result = paired_bootstrap(differences, resamples=40_000)
    assert result.interval.estimate == pytest.approx(0.2)
    assert result.interval.low == pytest.approx(np.quantile(means, 0.025), abs=0.03)
    assert result.interval.high == pytest.approx(np.quantile(means, 0.975), abs=0.03)
    assert result.p_value == pytest.approx(2 * np.mean(np.array(means) <= 1e-12), abs=0.02)


def test_the_bootstrap_agrees_with_scipy_and_with_the_t_test() -> None:
    differences = np.random.default_rng(5).normal(0.1, 1.0, 400)
    ours = paired_bootstrap(differences.tolist())
    theirs = scipy_stats.bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(9)
    ).confidence_interval
    assert (ours.interval.low, ours.interval.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert ours.p_value == pytest.approx(scipy_stats.ttest_1samp(differences, 0).pvalue, abs=0.02)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
def test_swapping_the_sides_mirrors_the_bootstrap(differences: list[float]) -> None:
    one = paired_bootstrap(differences, resamples=200)
    other = paired_bootstrap([-value for value in differences], resamples=200)
    assert one.p_value == other.p_value
    assert one.interval.low == pytest.approx(-other.interval.high, abs=1e-9)


def test_the_bootstrap_repeats_itself_and_its_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = [0.1, 0.2, -0.3] * 5
    assert paired_bootstrap(differences, 500) == paired_bootstrap(differences, 500)
    assert paired_bootstrap(differences, 500, seed=1) != paired_bootstrap(differences, 500)
    whole = paired_bootstrap(differences, 500)
    monkeypatch.setattr("ianvs_collab.story.stats.CHUNK", 45)
    assert paired_bootstrap(differences, 500) == whole


def test_no_difference_at_all_is_no_evidence() -> None:
    assert paired_bootstrap([0.0] * 10).p_value == 1.0


def test_the_p_value_of_a_clear_case_is_small_but_not_nought() -> None:
    assert paired_bootstrap([1.0] * 10, resamples=999).p_value == pytest.approx(2 / 1000)


def test_a_bootstrap_needs_something_to_draw_from() -> None:
    with pytest.raises(ValueError, match="at least one"):
        paired_bootstrap([])


def test_holm_by_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[index] * (len(p_values) - step) > level:
                break
            rejected.add(index)
        assert {index for index, value in enumerate(adjusted) if value <= level} == rejected
