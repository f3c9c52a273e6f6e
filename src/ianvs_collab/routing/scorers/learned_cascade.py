"""The learned cascade: what the edge's answer looks like where the cloud would have done better.

A logistic regression on piecewise linear functions of each feature of the answer (`answer_features`), so that it can
learn where certainty begins to matter, and still is a sum of curves that one can look at. A decision takes some
microseconds beyond the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.crossfit import out_of_fold
from ianvs_collab.routing.scorer import Input, Scorer, make_scorer, scorer
from ianvs_collab.routing.scorers.answer_features import FEATURES, answer_features
from ianvs_collab.routing.scorers.heads import SoftLogistic, check_lesson
from ianvs_collab.routing.scorers.storage import fitted, read_learned, reading, write_learned
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats

QUERY_FOLDER = "query-scorer"


@scorer("learned-cascade")
@dataclass
class LearnedCascade(Scorer):
    """Expected worth of the cloud by the edge's answer.

    Args:
        knots: Places, at quantiles of each feature, where its curve may bend; 0 for straight lines.
        regularisation: Inverse strength C of the L2 penalty.
        query_scorer: Name of a scorer of questions whose score is one more feature, or empty. It is trained on the same
            queries, and what the cascade learns from are its out-of-fold scores.
        query_settings: Settings of that scorer.
        seed: Of the folds for the out-of-fold scores.
    """

    reads_answer: ClassVar[bool] = True

    knots: int = 4
    regularisation: float = 0.005
    query_scorer: str = ""
    query_settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            RouterError: If one is out of range, or the query scorer does not exist or reads answers itself.
        """
        if self.knots < 0 or self.regularisation <= 0:
            raise RouterError(
                "learned-cascade: knots must be 0 or more and regularisation above 0, "
                f"not {self.knots!r} and {self.regularisation!r}"
            )
        self._query = make_scorer(self.query_scorer, **self.query_settings) if self.query_scorer else None
        if self._query is not None and self._query.reads_answer:
            raise RouterError(
                f"learned-cascade: query_scorer {self.query_scorer!r} reads answers; name one of questions"
            )
        self._learned: _Curves | None = None

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Learn from the edge's answers.

        Raises:
            RouterError: If an answer has no log-probabilities, or all labels are the same.
        """
        check_lesson(self.name, len(inputs), target)
        answers = _answers(inputs)
        features = answer_features(answers, self.name)
        if self._query is not None:
            queries = [answer.query for answer in answers]
            held_out = out_of_fold(self._query, queries, target, seed=self.seed)
            features = np.column_stack([features, held_out])
            self._query = self._query.fresh().fit(queries, target)
        knots = np.quantile(features, np.arange(self.knots + 1) / (self.knots + 1), axis=0)[1:]
        basis = _basis(features, knots)
        mean, scale = basis.mean(axis=0), basis.std(axis=0)
        scale[scale < 1e-9] = 1.0  # noqa: PLR2004 - a constant column says nothing
        head = SoftLogistic.fit((basis - mean) / scale, target, self.regularisation)
        self._learned = _Curves(knots, mean, scale, head)
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Expected worth of the cloud for each answer, shape (len(inputs),).

        Raises:
            RouterError: If it has not been trained, or an answer has no log-probabilities.
        """
        learned: _Curves = fitted(self._learned, self.name)
        answers = _answers(inputs)
        features = answer_features(answers, self.name)
        if self._query is not None:
            features = np.column_stack([features, self._query.scores([answer.query for answer in answers])])
        return learned.worth(features)

    def save(self, folder: Path) -> None:
        """Write the curves, and the query scorer into a folder of its own."""
        learned: _Curves = fitted(self._learned, self.name)
        own = {"knots": learned.knots, "mean": learned.mean, "scale": learned.scale}
        write_learned(folder, {**own, **learned.head.arrays()}, {"features": FEATURES})
        if self._query is not None:
            (folder / QUERY_FOLDER).mkdir(exist_ok=True)
            self._query.save(folder / QUERY_FOLDER)

    def restore(self, folder: Path) -> None:
        """Read back what `save` wrote.

        Raises:
            RouterError: If a file is missing or damaged, or its arrays do not fit these settings.
        """
        with reading(folder):
            arrays, facts = read_learned(folder, {"knots": 2, "mean": 1, "scale": 1, **SoftLogistic.SHAPES})
            learned = _Curves(arrays["knots"], arrays["mean"], arrays["scale"], SoftLogistic.of_arrays(arrays))
            columns = len(FEATURES) + (self._query is not None)
            width = columns * (self.knots + 1)
            shapes = learned.knots.shape, len(learned.mean), len(learned.scale), learned.head.coefficients.shape[1]
            if tuple(facts["features"]) != FEATURES or shapes != ((self.knots, columns), width, width, width):
                raise ValueError("what was learned does not fit these settings")
        if self._query is not None:
            self._query.restore(folder / QUERY_FOLDER)
        self._learned = learned


@dataclass(frozen=True)
class _Curves:
    """Standardised piecewise linear functions of features, and the regression on them."""

    knots: Floats
    mean: Floats
    scale: Floats
    head: SoftLogistic

    def worth(self, features: Floats) -> Floats:
        """Expected worth of the cloud, shape (n,), by features of shape (n, d)."""
        return self.head.worth((_basis(features, self.knots) - self.mean) / self.scale)


def _basis(features: Floats, knots: Floats) -> Floats:
    """Each feature, and how far it lies above each of its knots; shape (n, features × (knots + 1))."""
    above = np.maximum(features[:, None, :] - knots[None], 0.0)
    width = features.shape[1] * (len(knots) + 1)
    return np.concatenate([features[:, None, :], above], axis=1).reshape(len(features), width)


def _answers(inputs: Sequence[Input]) -> list[Answer]:
    if any(isinstance(given, Query) for given in inputs):
        raise RouterError(
            "learned-cascade looks at the edge's answer: set hard_example_mining_mode: inference-then-mining"
        )
    return cast(list[Answer], list(inputs))
