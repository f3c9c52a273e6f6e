"""Queries with a router's scores and the qualities of both models' answers, and the curve that they trace.

Queries go to the cloud in the order of descending score. Queries with the same score cannot be told apart, so within
such a group the order is random and the curve is the expectation over all orders: a straight segment, exactly.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.trace import Floats

Indices = NDArray[np.intp]


class Points(NamedTuple):
    """Corner points of a cost-quality curve, or of many at once along leading axes; straight lines join them.

    Attributes:
        shares: Fraction of queries answered by the cloud, shape (..., k), from 0 to 1, not decreasing.
        qualities: Mean quality of the answers, shape (..., k).
        costs: Mean cost of a query, shape (..., k), in the unit of the costs given; the shares if none were.
    """

    shares: Floats
    qualities: Floats
    costs: Floats


class Scored:
    """Queries, the scores a router gave them, and what both models made of them.

    Args:
        scores: Shape (n,); the higher, the sooner a query goes to the cloud. Infinite scores are allowed.
        edge: Quality of the edge's answers, shape (n,).
        cloud: Quality of the cloud's answers, shape (n,).
        edge_cost: Cost of answering each query at the edge, shape (n,), in any unit.
        cloud_cost: Cost of answering it in the cloud; in a cascade what the edge had spent before is part of it.
        rows: Which queries of the whole trace these are, shape (n,), for resampling several folds alike; the first n.

    Raises:
        RouterError: If there is no query, lengths differ, a value is not a number, or only one of the costs is given.
    """

    def __init__(
        self,
        scores: ArrayLike,
        edge: ArrayLike,
        cloud: ArrayLike,
        *,
        edge_cost: ArrayLike | None = None,
        cloud_cost: ArrayLike | None = None,
        rows: Indices | None = None,
    ) -> None:
        if (edge_cost is None) != (cloud_cost is None):
            raise RouterError("costs come in pairs: give both edge_cost and cloud_cost, or neither")
        self.scores = _column("scores", scores, finite=False)
        count = len(self.scores)
        self.edge, self.cloud = _column("edge", edge, count), _column("cloud", cloud, count)
        self.edge_cost = None if edge_cost is None else _column("edge_cost", edge_cost, count)
        self.cloud_cost = None if cloud_cost is None else _column("cloud_cost", cloud_cost, count)
        self.rows = np.arange(count) if rows is None else np.asarray(rows)
        if self.rows.shape != self.scores.shape:
            raise RouterError(f"rows has shape {self.rows.shape}, but there are {count} scores")

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.scores)

    @cached_property
    def oracle(self) -> Scored:
        """The same queries in the best order: gains first, the largest first, then ties, then losses."""
        return Scored(
            self.cloud - self.edge,
            self.edge,
            self.cloud,
            edge_cost=self.edge_cost,
            cloud_cost=self.cloud_cost,
            rows=self.rows,
        )

    @cached_property
    def order(self) -> Indices:
        """Indices of the queries by descending score."""
        return np.argsort(-self.scores, kind="stable")

    @cached_property
    def _starts(self) -> Indices:
        """Where in `order` the groups of equal scores begin."""
        ordered = self.scores[self.order]
        return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))

    def points(self, weights: NDArray[Any] | None = None) -> Points:
        """The curve, in O(n) once the queries are sorted.

        Args:
            weights: How often each query counts, shape (..., n) in the order of the queries; once each if left out.
                Leading axes give that many curves.

        Returns:
            One corner before the first group of equal scores and one after each group.
        """
        counts = np.ones(len(self)) if weights is None else np.asarray(weights, dtype=float)
        total = counts.sum(axis=-1, keepdims=True)
        ordered = np.take(counts, self.order, axis=-1)
        with np.errstate(invalid="ignore"):  # where no query counts there is no curve: not-a-number
            shares = self._climb(ordered) / total
            qualities = self._totals(ordered, self.edge, self.cloud) / total
            if self.edge_cost is None or self.cloud_cost is None:
                return Points(shares, qualities, shares)
            return Points(shares, qualities, self._totals(ordered, self.edge_cost, self.cloud_cost) / total)

    def _totals(self, ordered: Floats, edge: Floats, cloud: Floats) -> Floats:
        """Sum over the queries of what comes from the edge or the cloud, at each corner."""
        totals = self._climb(ordered * (cloud - edge)[self.order])
        totals += (ordered @ edge[self.order])[..., None]
        return totals

    def _climb(self, steps: Floats) -> Floats:
        """Running total of steps (..., n) at the ends of the groups, from 0; shape (..., groups + 1)."""
        if len(self._starts) < len(self):
            steps = np.add.reduceat(steps, self._starts, axis=-1)
        total = np.zeros((*steps.shape[:-1], steps.shape[-1] + 1))
        np.cumsum(steps, axis=-1, out=total[..., 1:])
        return total


def _column(name: str, values: ArrayLike, count: int | None = None, *, finite: bool = True) -> Floats:
    column: Floats = np.asarray(values, dtype=float)
    if column.ndim != 1 or (count is not None and len(column) != count):
        expected = "one dimension" if count is None else f"shape ({count},), one value for each score"
        raise RouterError(f"{name} must have {expected}, not shape {column.shape}")
    if not len(column):
        raise RouterError(f"{name} is empty: a curve needs at least one query")
    wrong = np.flatnonzero(~np.isfinite(column) if finite else np.isnan(column))
    if len(wrong):
        raise RouterError(f"{name} of query {wrong[0]} is {column[wrong[0]]}; it must be a number")
    return column
