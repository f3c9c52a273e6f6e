"""Memory of what serves the queries, for algorithms that say in their answers what they keep loaded.

An answer's `memory` holds `bytes` (weights, and the cache of the longest calibration question, over all variants that
are loaded) and `peak_rss_bytes` (resident memory of a process for each of them, interpreter and libraries included).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ianvs_collab.metrics.predictions import number, predictions


def memory(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Memory for weights and cache, in megabytes: the most that any answer tells; None if none does."""
    return _most(y_pred, "bytes")


def process_memory(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Resident memory of the processes, in megabytes: the most that any answer tells; None if none does."""
    return _most(y_pred, "peak_rss_bytes")


def _most(y_pred: Sequence[Any], key: str) -> float | None:
    told = [number(one.result.get("memory"), key) for one in predictions(y_pred)]
    known = [value for value in told if value is not None]
    return round(max(known) / 1e6, 3) if known else None


METRICS: dict[str, Callable[[Sequence[Any], Sequence[Any]], float | None]] = {
    "Memory": memory,
    "Process Memory": process_memory,
}
"""Name in test environments and leaderboards -> the metric. Lower is better."""
