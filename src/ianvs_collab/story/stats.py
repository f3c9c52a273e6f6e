"""Intervals and tests for results on the same queries: how sure a difference is, not only how large.

Plain functions of counts and numbers; nothing here knows what a record is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CHUNK = 2_000_000  # draws held in memory at once by the bootstrap, 16 MB


class Interval(NamedTuple):
    """A confidence interval with its point estimate."""

    estimate: float
    low: float
    high: float


class Bootstrap(NamedTuple):
    """What resampling says of a mean: its percentile interval, and the p-value of "the true mean is 0"."""

    interval: Interval
    p_value: float


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the two-sided p-value of McNemar's exact test on paired yes/no outcomes.

    Among the pairs that differ, either side is as likely under the null hypothesis, so their number on one side is
    Binomial(n, 1/2). McNemar, Q. (1947), Psychometrika 12(2); the exact form is the sign test's.

    Args:
        only_first: Pairs in which only the first is right.
        only_second: Pairs in which only the second is right.
    """
    differing = only_first + only_second
    tail = term = 1
    for k in range(min(only_first, only_second)):
        term = term * (differing - k) // (k + 1)  # the next binomial coefficient, exactly
        tail += term
    return float(min(1.0, 2 * tail / 2**differing))


def paired_bootstrap(
    differences: Sequence[float], resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Bootstrap:
    """Returns the percentile interval of the mean of paired differences and a two-sided p-value.

    Queries are drawn with replacement, each with the values of both sides, so what makes a query hard for both cancels
    out. p is twice the smaller share of resampled means on either side of 0, with one added to both counts so that it
    is never 0. Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapters 13 and 15.

    Args:
        differences: One number for each query, first side minus second.
        resamples: Number of resampled data sets.
        seed: Seed of the generator: the same input gives the same answer.
        confidence: Coverage of the interval.

    Raises:
        ValueError: There are no differences.
    """
    values = np.asarray(differences, dtype=float)
    if not values.size:
        raise ValueError("a bootstrap needs at least one paired difference")
    means = _resampled_means(values, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    smaller = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p_value = min(1.0, 2 * (smaller + 1) / (resamples + 1))
    return Bootstrap(Interval(float(values.mean()), float(low), float(high)), p_value)


def _resampled_means(values: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    step = max(1, CHUNK // values.size)
    counts = [min(step, resamples - start) for start in range(0, resamples, step)]
    parts = [values[generator.integers(values.size, size=(count, values.size))].mean(axis=1) for count in counts]
    return np.concatenate(parts)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for having made all these comparisons, in the order given.

    Holm, S. (1979), "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6(2): the k-th
    smallest of m is multiplied by m - k + 1, and none is smaller than the one before it.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = largest
    return adjusted
