"""What came out when a scorer was trained and judged fold by fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation.curve import realised_shares
from ianvs_collab.routing.evaluation.intervals import (
    Band,
    Comparison,
    Interval,
    bootstrap,
    curve_band,
    paired_bootstrap,
)
from ianvs_collab.routing.evaluation.measures import Measure, area_gain, gap, measure
from ianvs_collab.routing.evaluation.resampling import mean_over_folds, values_of
from ianvs_collab.routing.evaluation.scored import Scored
from ianvs_collab.routing.evaluation.splits import Plan, Split
from ianvs_collab.routing.traces.trace import Floats


@dataclass(frozen=True)
class Fold:
    """One fold.

    Attributes:
        split: Which queries were learned from and which were judged.
        scores: Scores of the test queries, shape (tests,).
        fit_seconds: Wall time of training.
        score_seconds: Wall time of scoring all test queries as one batch.
    """

    split: Split
    scores: Floats
    fit_seconds: float
    score_seconds: float


@dataclass(frozen=True)
class Result:
    """A scorer under one label, trained and judged fold by fold.

    Attributes:
        name: What tables call it.
        label: What it was taught.
        plan: The folds.
        folds: Their outcomes, repetition after repetition.
        edge: Quality of the edge's answers, shape (n,), of all queries of the trace.
        cloud: Quality of the cloud's answers, shape (n,).
        trace: Name of the trace.
        settings: The scorer's.
        subjects: Subject of each query, shape (n,).
        left_out: Subjects that were taken out of the trace beforehand.
    """

    name: str
    label: str
    plan: Plan
    folds: Sequence[Fold]
    edge: Floats
    cloud: Floats
    trace: str = "trace"
    settings: Mapping[str, Any] = field(default_factory=dict)
    subjects: Sequence[str] = ()
    left_out: Sequence[str] = ()

    @cached_property
    def parts(self) -> list[Scored]:
        """Scored test queries of each fold, repetition after repetition."""
        return [
            Scored(fold.scores, self.edge[fold.split.test], self.cloud[fold.split.test], rows=fold.split.test)
            for fold in self.folds
        ]

    def per_fold(self, what: str | Measure) -> Floats:
        """The measure in each fold, shape (repetitions, folds); not-a-number where it has no value."""
        values = np.array([values_of(part, [measure(what)])[0] for part in self.parts])
        return values.reshape(len(self.plan.repeats), self.plan.folds)

    def per_repeat(self, what: str | Measure) -> Floats:
        """The mean over the folds of each repetition, shape (repetitions,)."""
        return mean_over_folds(self.per_fold(what).T)

    def mean(self, what: str | Measure) -> float:
        """The mean over all folds that have a value: the headline figure.

        Raises:
            RouterError: If no fold has a value.
        """
        value = float(mean_over_folds(self.per_fold(what).ravel()))
        if np.isnan(value):
            raise RouterError(
                f"{measure(what).name!r} of {self.name!r} has no value in any fold; is the cloud better than the edge?"
            )
        return value

    def undefined(self, what: str | Measure) -> int:
        """Number of folds in which the measure has no value, so that they are left out of its mean."""
        return int(np.isnan(self.per_fold(what)).sum())

    @property
    def aggregate_apgr(self) -> float:
        """APGR of areas and gaps averaged first, 0.5 + mean(area gain) / mean(gap).

        In the mean of the folds' APGR, a fold in which the cloud is hardly better than the edge counts the most,
        because its small gap is what the area is divided by. Here each fold counts by what there is to gain in it.

        Raises:
            RouterError: If the cloud is on average no better than the edge.
        """
        gains = np.mean([area_gain(part.points()) for part in self.parts])
        gaps = np.mean([gap(part.points()) for part in self.parts])
        if gaps <= 0:
            raise RouterError(f"trace {self.trace!r}: the cloud is on average no better than the edge")
        return float(0.5 + gains / gaps)

    def interval(self, what: str | Measure, *, by_subject: bool = False, **options: Any) -> Interval:
        """The bootstrap interval of the mean over folds.

        Args:
            what: The measure.
            by_subject: Draw whole subjects instead of queries: how sure the figure is for other subjects.
            **options: resamples, seed and confidence, as `bootstrap` takes them.
        """
        return bootstrap(self.parts, what, clusters=self.subjects if by_subject else None, **options)

    def compare(self, other: Result, what: str | Measure, *, by_subject: bool = False, **options: Any) -> Comparison:
        """This result minus another one of the same trace and plan, by paired bootstrap.

        Args:
            other: The other one.
            what: The measure.
            by_subject: Draw whole subjects instead of queries.
            **options: resamples, seed and confidence.

        Raises:
            RouterError: If they were not made on the same queries.
        """
        clusters = self.subjects if by_subject else None
        return paired_bootstrap(self.parts, other.parts, what, clusters=clusters, **options)

    def band(self, shares: ArrayLike, **options: Any) -> Band:
        """The mean curve over folds at these cloud shares, with its pointwise interval."""
        return curve_band(self.parts, shares, **options)

    @property
    def out_of_fold(self) -> Floats:
        """Score of each query by the router that did not learn from it, shape (repetitions, n).

        Scores of different folds come from differently trained routers and share a scale only as far as these agree:
        good for thresholds and as input of another model, not for one pooled curve.
        """
        scores = np.full((len(self.plan.repeats), len(self.edge)), np.nan)
        for number, fold in enumerate(self.folds):
            scores[number // self.plan.folds, fold.split.test] = fold.scores
        return scores

    def realised(self, asked: float) -> Floats:
        """Cloud share of each fold when its threshold is set for a share on the other folds of its repetition.

        Args:
            asked: The share asked for.

        Returns:
            Shape (repetitions, folds); not-a-number where there are no other folds.
        """
        count = self.plan.folds
        if count == 1:
            return np.full((len(self.plan.repeats), 1), np.nan)
        shares = []
        for number, fold in enumerate(self.folds):
            first = number // count * count
            others = [self.folds[i].scores for i in range(first, first + count) if i != number]
            shares.append(float(realised_shares(np.concatenate(others), fold.scores, asked)))
        return np.array(shares).reshape(len(self.plan.repeats), count)

    @property
    def fit_seconds(self) -> float:
        """Mean wall time of training in a fold."""
        return float(np.mean([fold.fit_seconds for fold in self.folds]))

    @property
    def score_seconds(self) -> float:
        """Mean wall time of scoring one query in a batch."""
        return sum(f.score_seconds for f in self.folds) / sum(len(f.scores) for f in self.folds)
