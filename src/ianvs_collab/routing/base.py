"""What a router is: a number for each query that says how much it wants the cloud, and a threshold.

A router is an Ianvs hard-example miner: called with a `Query` before anything is answered (`mining-then-inference`), or
with the edge's `Answer` (`inference-then-mining`, a cascade). True sends the query to the cloud. The time of the
decision is measured and put on the query's timeline, because the user waits for it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from ianvs_collab.inference import Answer, Query


class RouterError(ValueError):
    """A router was set up in a way that cannot work; the message says what to change."""


class Router(ABC):
    """Sends a query to the cloud when its score reaches a threshold.

    Args:
        threshold: Score from which on a query goes to the cloud.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    @abstractmethod
    def score(self, data: Query | Answer) -> float:
        """How much a query wants the cloud; higher means more."""

    def scores(self, batch: Sequence[Query | Answer]) -> np.ndarray:
        """Scores of many queries, shape (len(batch),); to be overridden where a batch is cheaper than its parts."""
        return np.array([self.score(data) for data in batch], dtype=float)

    def __call__(self, data: Any) -> bool:
        """Decide for one query: True for the cloud."""
        given = data if isinstance(data, Query | Answer) else Query.of(data)
        query = Query.of(given)
        started = time.perf_counter()
        hard = self.score(given) >= self.threshold
        query.timeline.compute("edge", time.perf_counter() - started, "route")
        return bool(hard)


def threshold_for_share(scores: Sequence[float] | np.ndarray, cloud_share: float) -> float:
    """The threshold that sends a given share of queries to the cloud, judged by scores of a calibration set.

    Args:
        scores: Scores of calibration queries; they must not come from a model that was trained on the same queries.
        cloud_share: Fraction of queries that should reach the threshold, 0 to 1.

    Raises:
        RouterError: If there are no scores or the share is not a fraction.
    """
    if not 0 <= cloud_share <= 1:
        raise RouterError(f"cloud_share must lie between 0 and 1, not {cloud_share!r}")
    if len(scores) == 0:
        raise RouterError("cloud_share needs calibration queries, and there are none; name a threshold instead")
    if cloud_share == 0:
        return float("inf")
    # A score itself, for a number between two that are next to each other would be rounded to the lower one.
    return float(np.quantile(np.asarray(scores, dtype=float), 1 - cloud_share, method="higher"))
