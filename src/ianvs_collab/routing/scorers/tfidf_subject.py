"""Words and letters again, but what a word means for the cloud may differ from subject to subject.

Each feature has a slope that all subjects share and, for each subject, a deviation of its own; both are drawn towards
zero, so that a subject with few queries follows the others and one with many goes its own way (regularised multi-task
learning: Evgeniou and Pontil, KDD 2004; as feature augmentation: Daumé III, ACL 2007). The slopes are those of a ridge
regression of the expected worth, solved in its dual form, with one unknown a query whatever the number of features:

    (K + penalty I) a = y - mean(y),   K_ij = x_i.x_j + [same subject] (own x_i.x_j + level)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import Input, Scorer, scorer
from ianvs_collab.routing.scorers.heads import check_lesson
from ianvs_collab.routing.scorers.ngrams import Indices, NgramFeatures
from ianvs_collab.routing.scorers.reading import subjects_of, texts_of
from ianvs_collab.routing.scorers.storage import fitted, read_learned, reading, write_learned
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats

_TOLERANCE = 1e-4
"""Relative residual at which the solver stops."""


@dataclass(frozen=True)
class _Own:
    """What one subject adds: its level, and deviations of the slopes of the terms that occur in it, ascending."""

    level: float
    terms: Indices
    slopes: Floats

    def of(self, numbers: Indices, values: Floats) -> float:
        """Contribution to the score of a text with these terms."""
        if len(self.terms) == 0:
            return self.level
        places = np.minimum(np.searchsorted(self.terms, numbers), len(self.terms) - 1)
        return self.level + float(np.where(self.terms[places] == numbers, self.slopes[places], 0) @ values)


@dataclass(frozen=True)
class _Learned:
    features: NgramFeatures
    mean: float
    slopes: Floats
    own: dict[str, _Own]

    def score(self, text: str, subject: str) -> float:
        numbers, values = self.features.of_text(text)
        shared = self.mean + float(self.slopes[numbers] @ values)
        return shared + self.own[subject].of(numbers, values) if subject in self.own else shared


@scorer("tfidf-subject")
@dataclass
class TfidfSubject(Scorer):
    """Ridge regression of the expected worth on TF-IDF features with slopes shared and slopes of each subject's own.

    Attributes:
        penalty: Strength of the L2 penalty.
        own: Prior variance of a subject's own slopes, relative to that of the shared ones; 0 for none.
        level: Prior variance of a subject's level, likewise.
        min_texts: In how many training questions a term must occur to count.
    """

    penalty: float = 30.0
    own: float = 2.0
    level: float = 0.5
    min_texts: int = 2

    def __post_init__(self) -> None:
        """Check the settings."""
        self.learned_: _Learned | None = None
        if not (self.penalty > 0 and self.own >= 0 and self.level >= 0):
            raise RouterError(
                f"tfidf-subject: penalty must be above 0, own and level 0 or more, not {self.penalty!r}, {self.own!r}, "
                f"{self.level!r}"
            )

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Collect the vocabulary and solve for the slopes."""
        check_lesson(self.name, len(inputs), target)
        subjects = np.array(subjects_of(inputs))
        order = np.argsort(subjects, kind="stable")  # subjects become blocks of neighbouring rows
        names, starts = np.unique(subjects[order], return_index=True)
        texts = texts_of(inputs)
        features = NgramFeatures.fit(texts, self.min_texts)
        matrix = features.matrix([texts[i] for i in order])
        worth = target.expected[order]
        blocks = [slice(a, b) for a, b in pairwise([*starts, len(inputs)])]
        parts = [matrix[block] for block in blocks]
        dual = self._solve(matrix, parts, blocks, worth - worth.mean())
        own = {str(name): self._own(part, dual[block]) for name, part, block in zip(names, parts, blocks, strict=True)}
        self.learned_ = _Learned(features, float(worth.mean()), matrix.T @ dual, own)
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Expected worth of the cloud; a subject that was not trained on has the shared slopes alone."""
        learned = fitted(self.learned_, self.name)
        pairs = zip(texts_of(inputs), subjects_of(inputs), strict=True)
        return np.array([learned.score(text, subject) for text, subject in pairs], dtype=float)

    def save(self, folder: Path) -> None:
        """Write vocabulary and slopes."""
        learned: _Learned = fitted(self.learned_, self.name)
        owns = list(learned.own.values())
        arrays = {
            "weights": learned.features.weights,
            "slopes": learned.slopes,
            "levels": np.array([learned.mean, *(own.level for own in owns)]),
            "ends": np.cumsum([0, *(len(own.terms) for own in owns)]),
            "own_terms": np.concatenate([own.terms for own in owns]),
            "own_slopes": np.concatenate([own.slopes for own in owns]),
        }
        facts = {"words": learned.features.words, "letters": learned.features.letters, "subjects": list(learned.own)}
        write_learned(folder, arrays, facts)

    def restore(self, folder: Path) -> None:
        """Read back vocabulary and slopes."""
        names = ("weights", "slopes", "levels", "ends", "own_terms", "own_slopes")
        with reading(folder):
            arrays, facts = read_learned(folder, dict.fromkeys(names, 1))
            features = NgramFeatures(facts["words"], facts["letters"], arrays["weights"])
            ends, terms, slopes = arrays["ends"], arrays["own_terms"], arrays["own_slopes"]
            if len(arrays["slopes"]) != len(features) or not ends[-1] == len(terms) == len(slopes):
                raise ValueError("terms and slopes differ in number")
            mean, *levels = map(float, arrays["levels"])
            pieces = [slice(a, b) for a, b in pairwise(ends)]
            own = {
                name: _Own(level, terms[piece], slopes[piece])
                for name, level, piece in zip(facts["subjects"], levels, pieces, strict=True)
            }
            self.learned_ = _Learned(features, mean, arrays["slopes"], own)

    def _solve(self, matrix: Any, parts: Sequence[Any], blocks: Sequence[slice], centred: Floats) -> Floats:
        """The dual unknowns a, shape (n,), by conjugate gradients."""

        def kernel_times(vector: Floats) -> Floats:
            vector = vector.ravel()
            product: Floats = matrix @ (matrix.T @ vector) + self.penalty * vector
            for part, block in zip(parts, blocks, strict=True):
                mine = vector[block]
                product[block] += self.own * (part @ (part.T @ mine)) + self.level * mine.sum()
            return product

        count = len(centred)
        operator = LinearOperator((count, count), matvec=kernel_times, dtype=np.float64)
        dual, failed = cg(operator, centred, rtol=_TOLERANCE, maxiter=10 * count)
        if failed:
            raise RouterError(
                f"tfidf-subject: the slopes did not converge; penalty {self.penalty!r} is too small for {count} queries"
            )
        return np.asarray(dual)

    def _own(self, part: Any, dual: Floats) -> _Own:
        slopes = self.own * (part.T @ dual)
        terms = np.flatnonzero(slopes)
        return _Own(float(self.level * dual.sum()), terms.astype(np.int64), slopes[terms])
