"""The cost-quality curve of one router on one set of queries, and everything that is read off it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ianvs_collab.routing.base import RouterError, threshold_for_share
from ianvs_collab.routing.evaluation import measures
from ianvs_collab.routing.evaluation.measures import Measure, measure
from ianvs_collab.routing.evaluation.scored import Points, Scored
from ianvs_collab.routing.traces.trace import Floats


@dataclass(frozen=True)
class Curve:
    """Quality as a function of how much goes to the cloud.

    Attributes:
        points: Its corners, each array of shape (k,).
        oracle: Corners of the best order of the same queries.
    """

    points: Points
    oracle: Points

    @classmethod
    def of(cls, scored: Scored) -> Curve:
        """The curve of scored queries."""
        return cls(scored.points(), scored.oracle.points())

    @property
    def edge_quality(self) -> float:
        """Mean quality when the edge answers everything."""
        return float(self.points.qualities[0])

    @property
    def cloud_quality(self) -> float:
        """Mean quality when the cloud answers everything."""
        return float(self.points.qualities[-1])

    def value(self, what: str | Measure) -> float:
        """A measure of the curve by name, e.g. `apgr`, `normalised`, `cpt80`, `aiq`.

        Returns:
            Its value; infinite for a threshold that is never reached.

        Raises:
            RouterError: If there is no such measure, or it has no value here.
        """
        wanted = measure(what)
        value = float(wanted.of(self.points, self.oracle))
        if np.isnan(value):
            raise RouterError(f"{wanted.name!r} has no value here: {self._why()}")
        return value

    def _why(self) -> str:
        if self.cloud_quality > self.edge_quality:
            return "all costs are equal, or no order of the queries beats a random one"
        return (
            f"the cloud's mean quality ({self.cloud_quality:.4g}) is not above the edge's ({self.edge_quality:.4g}), "
            "so there is no gap to recover; look at 'area_gain' or 'normalised' instead, or at other queries"
        )

    @property
    def apgr(self) -> float:
        """Average performance gap recovered; 0.5 for random order.

        Raises:
            RouterError: If the cloud is no better than the edge, as in `value`.
        """
        return self.value("apgr")

    @property
    def normalised(self) -> float:
        """How much of the oracle's advantage over random order is had: (APGR - 0.5) / (APGR of the oracle - 0.5).

        Raises:
            RouterError: If no order beats a random one.
        """
        return self.value("normalised")

    @property
    def auc(self) -> float:
        """Mean quality over all cloud shares."""
        return self.value("auc")

    @property
    def aiq(self) -> float:
        """RouterBench's average improvement in quality, over the costs given or else the cloud share."""
        return self.value("aiq")

    def cpt(self, level: float) -> float:
        """Smallest cloud share that recovers a fraction of the gap; infinite if none does.

        Raises:
            RouterError: If the cloud is no better than the edge.
        """
        return self.value(f"cpt{100 * level:.10g}")

    @property
    def pgr(self) -> Floats:
        """Performance gap recovered at each corner, shape (k,); not-a-number where the cloud is no better."""
        return measures.recovered(self.points)

    def quality_at(self, share: ArrayLike) -> Floats:
        """Mean quality when these fractions of queries go to the cloud, shape of `share`.

        Raises:
            RouterError: If one is no fraction.
        """
        shares = np.asarray(share, dtype=float)
        if not ((shares >= 0) & (shares <= 1)).all():
            raise RouterError(f"a cloud share must lie between 0 and 1, not {share!r}")
        return measures.quality_at(self.points, shares)

    def share_for(self, quality: float) -> float:
        """Smallest cloud share at which the mean quality is reached; infinite if it never is."""
        return float(measures.share_for(self.points, quality))


def curve(
    scores: ArrayLike,
    edge: ArrayLike,
    cloud: ArrayLike,
    edge_cost: ArrayLike | None = None,
    cloud_cost: ArrayLike | None = None,
) -> Curve:
    """The cost-quality curve of a router's scores.

    Args:
        scores: Shape (n,); queries go to the cloud in descending order of score, equal scores in random order.
        edge: Quality of the edge's answers, shape (n,).
        cloud: Quality of the cloud's answers, shape (n,).
        edge_cost: Cost of each answer at the edge, shape (n,); with `cloud_cost` the cost axis, else the cloud share.
        cloud_cost: Cost of each answer in the cloud, shape (n,).

    Raises:
        RouterError: If there is no query, lengths differ or a value is not a number.
    """
    return Curve.of(Scored(scores, edge, cloud, edge_cost=edge_cost, cloud_cost=cloud_cost))


def realised_shares(calibration: ArrayLike, scores: ArrayLike, asked: ArrayLike) -> Floats:
    """What cloud shares come out on new queries when thresholds are set for shares on others.

    Args:
        calibration: Scores of the queries that thresholds are set by, shape (m,).
        scores: Scores of new queries, shape (n,).
        asked: Cloud shares asked for.

    Returns:
        Fraction of the new queries that reach each threshold, shape of `asked`.

    Raises:
        RouterError: If there are no scores or a share is not a fraction.
    """
    known, new = np.asarray(calibration, dtype=float), Scored(scores, scores, scores).scores
    wanted = np.asarray(asked, dtype=float)
    thresholds = [threshold_for_share(known, float(share)) for share in wanted.ravel()]
    return np.array([(new >= threshold).mean() for threshold in thresholds]).reshape(wanted.shape)
