"""The cheapest router that reads the question: words and letters, and a logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import Input, Scorer, scorer
from ianvs_collab.routing.scorers.heads import SoftLogistic, check_lesson
from ianvs_collab.routing.scorers.ngrams import NgramFeatures
from ianvs_collab.routing.scorers.reading import texts_of
from ianvs_collab.routing.scorers.storage import fitted, read_learned, reading, write_learned
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats

_TOLERANCE = 1e-3
"""Closer convergence does not change the ranking and takes several times as long on so many features."""


@scorer("tfidf")
@dataclass
class Tfidf(Scorer):
    """TF-IDF of words, signs and letters, and a multinomial logistic regression over the label's classes.

    Attributes:
        regularisation: Inverse strength C of the L2 penalty.
        min_texts: In how many training questions a term must occur to count.
    """

    regularisation: float = 0.3
    min_texts: int = 2

    def __post_init__(self) -> None:
        """Check the settings."""
        self.learned_: tuple[NgramFeatures, SoftLogistic] | None = None
        if not self.regularisation > 0:
            raise RouterError(f"tfidf: regularisation must be above 0, not {self.regularisation!r}")

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Collect the vocabulary and learn the classes."""
        check_lesson(self.name, len(inputs), target)
        texts = texts_of(inputs)
        features = NgramFeatures.fit(texts, self.min_texts)
        head = SoftLogistic.fit(features.matrix(texts), target, self.regularisation, _TOLERANCE)
        self.learned_ = features, head
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Expected worth of the cloud."""
        features, head = fitted(self.learned_, self.name)
        products = np.empty((len(inputs), len(head.values)))
        for row, text in zip(products, texts_of(inputs), strict=True):
            numbers, values = features.of_text(text)
            row[:] = head.coefficients[:, numbers] @ values
        return np.asarray(head.worth_of_logits(products))

    def save(self, folder: Path) -> None:
        """Write vocabulary and coefficients."""
        features, head = fitted(self.learned_, self.name)
        facts = {"words": features.words, "letters": features.letters}
        write_learned(folder, {"weights": features.weights, **head.arrays()}, facts)

    def restore(self, folder: Path) -> None:
        """Read back vocabulary and coefficients."""
        with reading(folder):
            arrays, facts = read_learned(folder, {"weights": 1, **SoftLogistic.SHAPES})
            features = NgramFeatures(facts["words"], facts["letters"], arrays["weights"])
            head = SoftLogistic.of_arrays(arrays)
            if head.coefficients.shape[1] != len(features):
                raise ValueError(f"{len(features)} terms and {head.coefficients.shape[1]} coefficients")
            self.learned_ = features, head
