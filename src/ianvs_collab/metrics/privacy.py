"""Privacy: personal data that left the edge device, as counted on what was sent by a router that looks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ianvs_collab.metrics.predictions import Prediction, number, predictions
from ianvs_collab.metrics.registry import metric


@metric("PII Rate", unit="%")
def pii_rate(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Queries that hold personal data ÷ queries searched for them; None if none was searched."""
    counts = _counts(y_pred)
    return 100 * sum(found > 0 for found, _ in counts) / len(counts) if counts else None


@metric("Leaked PII Rate", unit="%", better="lower")
def leaked_pii_rate(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Queries whose personal data reached the cloud, at least in part ÷ queries that hold some.

    None if no query was searched or none holds any.
    """
    sent = [sent for found, sent in _counts(y_pred) if found]
    return 100 * sum(count > 0 for count in sent) / len(sent) if sent else None


def _counts(y_pred: Sequence[Any]) -> list[tuple[float, float]]:
    """Pieces of personal data found and sent, of each query that was searched."""
    return [count for one in predictions(y_pred) if (count := _count(one)) is not None]


def _count(one: Prediction) -> tuple[float, float] | None:
    for answer in (one.result, one.cloud, one.edge):
        told = None if answer is None else answer.get("pii")
        found, sent = number(told, "found"), number(told, "sent")
        if found is not None and sent is not None:
            return found, sent
    return None
