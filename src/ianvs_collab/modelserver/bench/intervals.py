"""How sure the figures of a load are: 95 % intervals within one run, and over repeats.

Requests of one run are not independent: those that meet a queue all wait. Resampling them one by one would give
intervals that are far too narrow, so neighbours are resampled together, and rates are taken over pieces of time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ianvs_collab.modelserver.bench.formulas import LATENCIES, PERCENTILES, good, window
from ianvs_collab.modelserver.bench.measurement import Measurement

STATISTICS = ("mean", "p50", "p90", "p99")
BATCHES = 10
_CONFIDENCE = 0.95
_RESAMPLES = 1000


class Interval(NamedTuple):
    """Ends of a 95 % interval, in the unit of its figure."""

    low: float
    high: float


def latency_intervals(measurements: Sequence[Measurement], seed: int = 0) -> dict[str, dict[str, Interval]]:
    """Intervals of every statistic of every latency, by name of latency and statistic.

    A circular block bootstrap over the answered requests in the order in which they were due (Politis & Romano 1992):
    blocks of about sqrt(n) neighbours, so that what a queue does to neighbours stays together; percentile intervals of
    1000 resamples. A request brings all its gaps between tokens with it.

    Args:
        measurements: Requests of one run.
        seed: Of the resamples.
    """
    done = sorted((one for one in measurements if one.ok), key=lambda one: one.scheduled)
    found = {}
    for name, of in LATENCIES.items():
        values = [np.asarray(of(one), dtype=float) for one in done if of(one)]
        if len(values) > 1:
            found[name] = _bootstrap(values, np.random.default_rng(seed))
    return found


def rate_intervals(measurements: Sequence[Measurement], slos: Mapping[str, float] | None = None) -> dict[str, Interval]:
    """Intervals of throughput, request throughput and goodput (with objectives), by the method of batch means.

    The window is cut into 10 equal pieces; the mean of the pieces' rates is the rate of the window, and their spread
    says how sure it is (Law 2015, "Simulation Modeling and Analysis", section 9.5.3; Student's t). A token counts
    when it came, a request when it ended.

    Args:
        measurements: Requests of one run.
        slos: Objectives of the goodput.
    """
    done = [one for one in measurements if one.ok]
    start, end = window(measurements)
    tokens = [(at, one.output_tokens / len(times)) for one in done for times in [_times(one)] for at in times]
    events = {"throughput": tokens, "request_throughput": [(one.ended, 1.0) for one in done]}
    if slos:
        events["goodput"] = [(one.ended, 1.0) for one in done if good(one, slos)]
    return {name: t_interval(_rates(which, start, end)) for name, which in events.items()}


def t_interval(values: Sequence[float]) -> Interval:
    """Student's t interval of a mean, of independent values: pieces of a run, or repeats of it.

    Args:
        values: At least two.
    """
    half = float(stdtrit(len(values) - 1, (1 + _CONFIDENCE) / 2)) * float(np.std(values, ddof=1))
    half /= math.sqrt(len(values))
    return Interval(float(np.mean(values)) - half, float(np.mean(values)) + half)


def _bootstrap(values: Sequence[NDArray[np.float64]], random: np.random.Generator) -> dict[str, Interval]:
    count = len(values)
    length = math.ceil(math.sqrt(count))
    starts = random.integers(count, size=(_RESAMPLES, math.ceil(count / length)))
    drawn = (starts[:, :, None] + np.arange(length)) % count
    table = _statistics(values, drawn.reshape(_RESAMPLES, -1)[:, :count])
    low, high = np.quantile(table, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2], axis=0)
    return {name: Interval(float(low[i]), float(high[i])) for i, name in enumerate(STATISTICS)}


def _statistics(values: Sequence[NDArray[np.float64]], chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean and percentiles of each resample: requests x values -> shape (resamples, statistics)."""
    if all(len(value) == 1 for value in values):
        drawn = np.concatenate(values)[chosen]
        return np.column_stack([drawn.mean(axis=1), np.percentile(drawn, PERCENTILES, axis=1).T])
    pooled = (np.concatenate([values[index] for index in indices]) for indices in chosen)
    return np.array([[drawn.mean(), *np.percentile(drawn, PERCENTILES)] for drawn in pooled])


def _times(one: Measurement) -> Sequence[float]:
    return one.commits or (one.ended,)


def _rates(events: Sequence[tuple[float, float]], start: float, end: float) -> list[float]:
    """Sum of what happened in each piece of the window, a second."""
    counts = np.zeros(BATCHES)
    for at, amount in events:
        counts[min(max(int((at - start) / (end - start) * BATCHES), 0), BATCHES - 1)] += amount
    return [float(count) * BATCHES / (end - start) for count in counts]
