"""The figures of one run with their intervals, or of several repeats as means with intervals over the repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ianvs_collab.modelserver.bench.formulas import LATENCIES, Figures, figures
from ianvs_collab.modelserver.bench.intervals import (
    STATISTICS,
    Interval,
    latency_intervals,
    rate_intervals,
    t_interval,
)
from ianvs_collab.modelserver.bench.measurement import Measurement

RATES = ("throughput", "request_throughput", "goodput")


class Estimate(NamedTuple):
    """A figure and how sure it is.

    Attributes:
        value: The figure; None where nothing was measured.
        interval: Its 95 % interval; None where there is too little to tell.
    """

    value: float | None
    interval: Interval | None


Summary = dict[str, Estimate]
"""By name: `throughput`, `request_throughput`, `goodput`, and `ttft.mean`, `ttft.p50`, ... of every latency."""


def summarise(runs: Sequence[Sequence[Measurement]], slos: Mapping[str, float], seed: int) -> Summary:
    """Every figure with its interval.

    Of one run: its figures, with intervals within the run. Of repeats: means over the repeats, with Student's t
    interval over them, which also covers what differs from repeat to repeat.

    Args:
        runs: Measurements of each repeat.
        slos: Objectives in seconds.
        seed: Of the resampling within one run.
    """
    of_runs = [_flat(figures(one, slos)) for one in runs]
    if len(runs) > 1:
        return {name: _over_repeats([one[name] for one in of_runs]) for name in of_runs[0]}
    intervals: dict[str, Interval] = rate_intervals(runs[0], slos)
    for name, parts in latency_intervals(runs[0], seed).items():
        intervals |= {f"{name}.{statistic}": interval for statistic, interval in parts.items()}
    return {name: Estimate(value, intervals.get(name)) for name, value in of_runs[0].items()}


def _flat(found: Figures) -> dict[str, float | None]:
    rows: dict[str, float | None] = {name: getattr(found, name) for name in RATES}
    for name in LATENCIES:
        values = found.latencies[name]
        rows |= {f"{name}.{part}": None if values is None else getattr(values, part) for part in STATISTICS}
    return rows


def _over_repeats(values: Sequence[float | None]) -> Estimate:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Estimate(None, None)  # a mean over some of the repeats would be of other requests
    return Estimate(sum(known) / len(known), t_interval(known))
