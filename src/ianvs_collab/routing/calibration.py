"""Thresholds for a budget: at most a share to the cloud, at least a part of the cloud's quality, at most a latency.

A threshold is chosen on one set of queries and its value measured on another, because what it realises there, not what
it was asked for, is what a user gets. The difference is its drift.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp

from ianvs_collab.link import Deployment
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.estimate import estimate_route
from ianvs_collab.routing.traces.trace import Floats, Trace

RESAMPLES = 1000


@dataclass(frozen=True)
class Replayed:
    """Arrays of a trace that budgets look at, one entry a query.

    Attributes:
        edge: Quality of the edge's answer, shape (n,).
        cloud: Quality of the cloud's, shape (n,).
        edge_first: Estimated seconds to the first token at the edge, or None where no latency is asked for.
        cloud_first: Likewise in the cloud; in a cascade after the edge has answered.
    """

    edge: Floats
    cloud: Floats
    edge_first: Floats | None = None
    cloud_first: Floats | None = None

    @classmethod
    def of(cls, trace: Trace, deployment: Deployment | None = None, cascade: bool = False) -> Replayed:
        """The arrays of a trace, with latencies if a deployment is given.

        Args:
            trace: With recorded compute times where latencies are asked for.
            deployment: Devices and link that the times are estimated for.
            cascade: Whether the edge answers every query before the cloud is asked.

        Raises:
            RouterError: If the trace holds no compute times.
        """
        edge, cloud = trace.quality("edge"), trace.quality("cloud")
        if deployment is None:
            return cls(edge, cloud)
        first, later = (
            [estimate_route(row, to_cloud, deployment, cascade=cascade).ttft for row in trace]
            for to_cloud in (False, True)
        )
        if None in first or None in later:
            raise RouterError(
                f"trace {trace.name!r} holds no compute times, so latencies cannot be estimated; "
                "`ianvs trace record` measures them"
            )
        return cls(edge, cloud, np.array(first, dtype=np.float64), np.array(later, dtype=np.float64))

    def take(self, indices: np.ndarray) -> Replayed:
        """Some of the queries."""
        parts = (self.edge, self.cloud, self.edge_first, self.cloud_first)
        return Replayed(*(None if part is None else part[indices] for part in parts))  # type: ignore[arg-type]


class Budget(ABC):
    """What is asked of a threshold.

    Attributes:
        asked: The limit.
    """

    asked: float

    @property
    @abstractmethod
    def name(self) -> str:
        """The budget in words."""

    @abstractmethod
    def value(self, to_cloud: np.ndarray, replayed: Replayed) -> float:
        """What is realised when the marked queries, shape (n,), go to the cloud."""

    @abstractmethod
    def kept(self, value: float) -> bool:
        """Whether the realised value is within the budget."""

    @abstractmethod
    def worth(self, cloud_share: float, quality: float) -> float:
        """What to maximise among the thresholds within the budget."""

    def shown(self, value: float) -> str:
        """A value of the budget, or a difference of two, in its unit."""
        return f"{value:.1%}"


@dataclass(frozen=True)
class CloudShare(Budget):
    """At most this fraction of queries goes to the cloud."""

    asked: float

    @property
    def name(self) -> str:
        """The budget in words."""
        return f"at most {self.asked:.0%} of queries to the cloud"

    def value(self, to_cloud: np.ndarray, replayed: Replayed) -> float:
        """Fraction that goes to the cloud."""
        return float(to_cloud.mean())

    def kept(self, value: float) -> bool:
        """Whether it is no more than asked."""
        return value <= self.asked

    def worth(self, cloud_share: float, quality: float) -> float:
        """The share is to be used: what is paid for should not depend on the labels of a few queries."""
        return cloud_share


@dataclass(frozen=True)
class Quality(Budget):
    """At least this fraction of the cloud's quality, with as few queries to the cloud as possible."""

    asked: float

    @property
    def name(self) -> str:
        """The budget in words."""
        return f"at least {self.asked:.0%} of the cloud's quality"

    def value(self, to_cloud: np.ndarray, replayed: Replayed) -> float:
        """Mean quality of the routed answers over the cloud's mean quality.

        Raises:
            RouterError: If the cloud's mean quality is not positive, so that there is no fraction of it.
        """
        whole = replayed.cloud.mean()
        if whole <= 0:
            raise RouterError(f"the cloud's mean quality is {whole:.4g}; a fraction of it needs scores above 0")
        return float(np.where(to_cloud, replayed.cloud, replayed.edge).mean() / whole)

    def kept(self, value: float) -> bool:
        """Whether it is no less than asked."""
        return value >= self.asked

    def worth(self, cloud_share: float, quality: float) -> float:
        """The fewer queries to the cloud the better."""
        return -cloud_share


@dataclass(frozen=True)
class FirstToken(Budget):
    """The 95th percentile of the time to the first token is at most this many seconds, with the best quality."""

    asked: float

    @property
    def name(self) -> str:
        """The budget in words."""
        return f"p95 time to first token at most {1000 * self.asked:.0f} ms"

    def shown(self, value: float) -> str:
        """Milliseconds."""
        return f"{1000 * value:.0f} ms"

    def value(self, to_cloud: np.ndarray, replayed: Replayed) -> float:
        """95th percentile over queries of the estimated time to the first token, in seconds.

        Raises:
            RouterError: If there are no latencies.
        """
        if replayed.edge_first is None or replayed.cloud_first is None:
            raise RouterError("a budget of latency needs a deployment: add --deployment FILE")
        return float(np.percentile(np.where(to_cloud, replayed.cloud_first, replayed.edge_first), 95))

    def kept(self, value: float) -> bool:
        """Whether it is no more than asked."""
        return value <= self.asked

    def worth(self, cloud_share: float, quality: float) -> float:
        """The best quality that is fast enough."""
        return quality


@dataclass(frozen=True)
class Calibration:
    """A threshold and what it does.

    Attributes:
        threshold: Score from which on a query goes to the cloud.
        calibrated: Value of the budget on the queries that the threshold was chosen on.
    """

    threshold: float
    calibrated: float


@dataclass(frozen=True)
class Realised:
    """What a threshold does on queries that it was not chosen on.

    Attributes:
        value: Value of the budget there.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        cloud_share: Fraction of queries that went to the cloud.
        quality: Mean quality of the routed answers.
        score_shift: Kolmogorov-Smirnov distance between the scores of both sets, 0 to 1.
        shift_p: Its p value; small if the queries are of another kind than those of the calibration.
    """

    value: float
    low: float
    high: float
    cloud_share: float
    quality: float
    score_shift: float
    shift_p: float


def calibrate(scores: Floats, replayed: Replayed, budget: Budget) -> Calibration:
    """Choose the threshold that makes the best of a budget.

    Every cut between two different scores is tried, and sending none or all to the cloud.

    Args:
        scores: Of queries that the scorer was not trained on, shape (n,).
        replayed: What both models made of them.
        budget: What is asked.

    Raises:
        RouterError: If no threshold keeps the budget; the message tells the nearest value there is.
    """
    if len(scores) == 0:
        raise RouterError("a threshold needs queries to be calibrated on, and there are none")
    thresholds = np.append(np.unique(scores), np.inf)
    values = [budget.value(scores >= threshold, replayed) for threshold in thresholds]
    kept = [index for index, value in enumerate(values) if budget.kept(value)]
    if not kept:
        nearest = min(values, key=lambda value: abs(value - budget.asked))
        raise RouterError(
            f"no threshold keeps the budget ({budget.name}); the nearest value that one reaches is "
            f"{budget.shown(nearest)}"
        )
    marked = [scores >= thresholds[index] for index in kept]
    worths = [budget.worth(float(m.mean()), float(np.where(m, replayed.cloud, replayed.edge).mean())) for m in marked]
    chosen = kept[int(np.argmax(worths))]
    return Calibration(float(thresholds[chosen]), values[chosen])


def realised(
    threshold: float, scores: Floats, replayed: Replayed, budget: Budget, *, calibration_scores: Floats, seed: int = 0
) -> Realised:
    """Measure a threshold on queries that it was not chosen on.

    Args:
        threshold: Chosen by `calibrate`.
        scores: Scores of the held-out queries, shape (n,).
        replayed: What both models made of these.
        budget: What was asked.
        calibration_scores: Scores that the threshold was chosen by, shape (m,).
        seed: Of the bootstrap.
    """
    to_cloud = scores >= threshold
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, len(scores), len(scores)) for _ in range(RESAMPLES))
    low, high = np.percentile([budget.value(to_cloud[draw], replayed.take(draw)) for draw in draws], [2.5, 97.5])
    shift = ks_2samp(calibration_scores, scores)
    return Realised(
        value=budget.value(to_cloud, replayed),
        low=float(low),
        high=float(high),
        cloud_share=float(to_cloud.mean()),
        quality=float(np.where(to_cloud, replayed.cloud, replayed.edge).mean()),
        score_shift=float(shift.statistic),
        shift_p=float(shift.pvalue),
    )
