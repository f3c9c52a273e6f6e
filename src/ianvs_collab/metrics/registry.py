"""Metrics by name: what each computes, in which unit, and how many digits of it mean something.

A metric is a pure function of the right answers and the recorded predictions. The function gives the exact number; the
plug-in made from it rounds, so that a leaderboard stays readable.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Value = float | int | str | None
"""What a metric gives; None where nothing was measured, which leaves the leaderboard's cell empty."""

MetricFunction = Callable[[Sequence[Any], Sequence[Any]], Value]
"""Takes `y_true` and `y_pred` as Ianvs hands them over."""


@dataclass(frozen=True)
class Metric:
    """A metric and what has to be known to read its number.

    Attributes:
        name: Name in test environments and leaderboards.
        family: Plug-in file it belongs to: `quality`, `latency`, `traffic`, `cost` or `privacy`.
        unit: Unit of the number; empty for a text.
        better: Which direction is better, or None where neither is.
        digits: Decimal places the plug-in keeps.
        function: Computes the exact value.
    """

    name: str
    family: str
    unit: str
    better: Literal["higher", "lower"] | None
    digits: int
    function: MetricFunction


_METRICS: dict[str, Metric] = {}


def metric(
    name: str, *, unit: str = "", better: Literal["higher", "lower"] | None = None, digits: int = 3
) -> Callable[[MetricFunction], MetricFunction]:
    """Decorator that registers a function as a metric of the family its module is named after.

    Raises:
        ValueError: If the name is taken.
    """

    def register(function: MetricFunction) -> MetricFunction:
        if name in _METRICS:
            raise ValueError(f"a metric {name!r} exists already; choose another name")
        family = function.__module__.rpartition(".")[2]
        _METRICS[name] = Metric(name, family, unit, better, digits, function)
        return function

    return register


def metrics(family: str | None = None) -> dict[str, Metric]:
    """Registered metrics by name, in order of registration; those of one family, or all."""
    return {name: one for name, one in _METRICS.items() if family in {None, one.family}}


def plugins(family: str) -> dict[str, MetricFunction]:
    """The functions that a plug-in file registers for a family, by name; each rounds to the metric's digits."""
    return {name: _rounded(one) for name, one in metrics(family).items()}


def _rounded(one: Metric) -> MetricFunction:
    @functools.wraps(one.function)
    def compute(y_true: Sequence[Any], y_pred: Sequence[Any]) -> Value:
        value = one.function(y_true, y_pred)
        return round(value, one.digits) if isinstance(value, float) else value

    return compute
