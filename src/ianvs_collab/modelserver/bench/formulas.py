"""The figures of a load, from its measurements: pure functions, the formulas of the reference page.

A figure that nothing was measured for is None, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ianvs_collab.modelserver.bench.measurement import Measurement
from ianvs_collab.modelserver.types import ModelServerError

PERCENTILES = (50, 90, 99)

LATENCIES: Mapping[str, Callable[[Measurement], Sequence[float]]] = {
    "ttft": lambda one: [] if one.ttft is None else [one.ttft],
    "tpot": lambda one: [] if one.tpot is None else [one.tpot],
    "itl": lambda one: one.itl,
    "e2e": lambda one: [] if one.e2e is None else [one.e2e],
}
"""What a request adds to each latency: one value, none, or (ITL) all its gaps. Seconds."""

SLOS = ("ttft", "tpot", "e2e")
"""Latencies that a service level objective may bound."""


@dataclass(frozen=True)
class Latency:
    """How one latency is distributed, in seconds.

    Attributes:
        count: Number of values.
        mean: Their mean.
        p50: Median.
        p90: 90th percentile.
        p99: 99th percentile. Percentiles interpolate linearly (Hyndman & Fan 1996, definition 7).
    """

    count: int
    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Figures:
    """What a load came to.

    Attributes:
        requests: Requests of the load, failed ones included.
        completed: Requests that were answered.
        errors: Requests that failed.
        timeouts: Requests that were not answered in time.
        prompt_tokens: Of the answered requests.
        output_tokens: Of the answered requests.
        window_s: Seconds from the first request's due time to the end of the last.
        throughput: Output tokens a second of the window.
        request_throughput: Answered requests a second of the window.
        goodput: Requests a second of the window that met every objective; None without objectives.
        latencies: By name: `ttft`, `tpot`, `itl`, `e2e`; None where nothing was measured.
    """

    requests: int
    completed: int
    errors: int
    timeouts: int
    prompt_tokens: int
    output_tokens: int
    window_s: float
    throughput: float
    request_throughput: float
    goodput: float | None
    latencies: Mapping[str, Latency | None]


def figures(measurements: Sequence[Measurement], slos: Mapping[str, float] | None = None) -> Figures:
    """All figures of a load.

    Args:
        measurements: Its requests, at least one, in any order.
        slos: Objectives: the largest TTFT, TPOT or E2E in seconds that is still good.

    Raises:
        ModelServerError: If there is nothing to compute them of.
    """
    start, end = window(measurements)
    seconds = end - start
    done = [one for one in measurements if one.ok]
    output_tokens = sum(one.output_tokens for one in done)
    return Figures(
        requests=len(measurements),
        completed=len(done),
        errors=sum(one.outcome == "error" for one in measurements),
        timeouts=sum(one.outcome == "timeout" for one in measurements),
        prompt_tokens=sum(one.prompt_tokens for one in done),
        output_tokens=output_tokens,
        window_s=seconds,
        throughput=output_tokens / seconds,
        request_throughput=len(done) / seconds,
        goodput=sum(good(one, slos) for one in done) / seconds if slos else None,
        latencies={name: latency([value for one in done for value in of(one)]) for name, of in LATENCIES.items()},
    )


def latency(values: Sequence[float]) -> Latency | None:
    """Mean and percentiles of some times in seconds; None of none."""
    if not values:
        return None
    p50, p90, p99 = np.percentile(values, PERCENTILES)
    return Latency(len(values), float(np.mean(values)), float(p50), float(p90), float(p99))


def window(measurements: Sequence[Measurement]) -> tuple[float, float]:
    """When the first request was due and the last one ended, in seconds.

    Raises:
        ModelServerError: If there are no requests, or no time passed.
    """
    start = min((one.scheduled for one in measurements), default=0.0)
    end = max((one.ended for one in measurements), default=0.0)
    if end <= start:
        raise ModelServerError("nothing was measured: no request took any time")
    return start, end


def good(one: Measurement, slos: Mapping[str, float]) -> bool:
    """Whether a request met every objective.

    A request that failed or was not timed met none. An answer of one token has no time per output token and cannot
    miss an objective for it.

    Args:
        one: The request.
        slos: Largest TTFT, TPOT or E2E in seconds.
    """
    if not one.ok or one.last is None:
        return False
    return all(value <= slos[name] for name in slos for value in LATENCIES[name](one))
