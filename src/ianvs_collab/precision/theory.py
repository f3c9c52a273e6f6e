"""What queueing theory says of one device, to check simulations against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ianvs_collab.precision.portfolio import PrecisionError


def pollaczek_khinchine(rate: float, service_seconds: Sequence[float]) -> float:
    """Mean response time of an M/G/1 queue in seconds: E[S] + rate·E[S²] / (2 (1 - rate·E[S])).

    Exact for Poisson arrivals and service times drawn independently from the samples (Kleinrock, "Queueing Systems",
    volume 1, 1975, chapter 5, with Little's law). Constant samples give M/D/1.

    Args:
        rate: Arrivals in a second.
        service_seconds: The service times, each equally likely.

    Raises:
        PrecisionError: If the queue is not stable.
    """
    times = np.asarray(service_seconds, dtype=np.float64)
    load = _checked_load(rate, float(times.mean()))
    return float(times.mean() + rate * (times**2).mean() / (2 * (1 - load)))


def mm1_response(rate: float, mean_service: float) -> float:
    """Mean response time of an M/M/1 queue in seconds: E[S] / (1 - rate·E[S]).

    Raises:
        PrecisionError: If the queue is not stable.
    """
    return mean_service / (1 - _checked_load(rate, mean_service))


def exponential_samples(mean: float, count: int) -> tuple[float, ...]:
    """Mid-quantiles of the exponential distribution: `count` equally likely values whose law comes close to it.

    Raises:
        PrecisionError: If there are no samples.
    """
    if count < 1:
        raise PrecisionError(f"at least one sample is needed, not {count!r}")
    levels = (np.arange(count) + 0.5) / count
    return tuple(map(float, -mean * np.log1p(-levels)))


def _checked_load(rate: float, mean: float) -> float:
    if not 0 < rate * mean < 1:
        raise PrecisionError(f"a stable queue has a load above 0 and below 1, not {rate * mean:g}")
    return rate * mean
