"""Routers that read a question through a sentence encoder: logistic regression, neighbours and boosted trees.

One decision costs little more than the encoder's own forward pass; many questions go through it as batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor

from ianvs_collab.modelserver.embedding import Embedder
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.crossfit import out_of_fold
from ianvs_collab.routing.scorer import Input, Scorer, scorer
from ianvs_collab.routing.scorers.heads import SoftLogistic, check_lesson
from ianvs_collab.routing.scorers.prior import SubjectPrior
from ianvs_collab.routing.scorers.reading import subjects_of, texts_of
from ianvs_collab.routing.scorers.storage import fitted, read_learned, reading, write_learned
from ianvs_collab.routing.scorers.trees import Trees
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats

_QUERIES_AT_ONCE = 256
"""Queries compared with all training questions in one go; bounds the memory."""


@dataclass
class EmbeddingScorer(Scorer):
    """What the scorers of this kind share: an encoder.

    Attributes:
        model: `minilm`, a folder, or `owner/name` of a hub.
        cache: Whether to keep embeddings of training and evaluation questions on disk.
    """

    model: str = "minilm"
    cache: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        self.learned_: Any = None

    def embed(self, inputs: Sequence[Input]) -> Floats:
        """Embeddings of the questions, shape (n, dimension), rows of unit length."""
        return Embedder(self.model, self.cache).embed(texts_of(inputs)).astype(float)


@scorer("embedding-lr")
@dataclass
class EmbeddingLogistic(EmbeddingScorer):
    """Multinomial logistic regression on the embedding.

    Attributes:
        regularisation: Inverse strength C of the L2 penalty.
    """

    regularisation: float = 0.2

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if not self.regularisation > 0:
            raise RouterError(f"{self.name}: regularisation must be above 0, not {self.regularisation!r}")

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Learn the classes."""
        check_lesson(self.name, len(inputs), target)
        known = self._known_subjects(inputs)
        features = np.hstack([self.embed(inputs), _one_hot(inputs, known)])
        self.learned_ = known, SoftLogistic.fit(features, target, self.regularisation)
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Expected worth of the cloud."""
        known, head = fitted(self.learned_, self.name)
        worth: Floats = head.worth(np.hstack([self.embed(inputs), _one_hot(inputs, known)]))
        return worth

    def save(self, folder: Path) -> None:
        """Write the coefficients; the encoder is named, not copied."""
        known, head = fitted(self.learned_, self.name)
        write_learned(folder, head.arrays(), {"subjects": list(known)})

    def restore(self, folder: Path) -> None:
        """Read back the coefficients."""
        with reading(folder):
            arrays, facts = read_learned(folder, SoftLogistic.SHAPES)
            known = {str(subject): number for number, subject in enumerate(facts["subjects"])}
            self.learned_ = known, SoftLogistic.of_arrays(arrays)

    def _known_subjects(self, inputs: Sequence[Input]) -> dict[str, int]:
        """Numbers of the subjects that are features beside the embedding."""
        return {}


@scorer("embedding-subject-lr")
@dataclass
class EmbeddingSubjectLogistic(EmbeddingLogistic):
    """The same on the embedding and the subject; a subject that was not trained on adds nothing."""

    def _known_subjects(self, inputs: Sequence[Input]) -> dict[str, int]:
        return {subject: number for number, subject in enumerate(sorted(set(subjects_of(inputs))))}


@scorer("embedding-knn")
@dataclass
class EmbeddingNeighbours(EmbeddingScorer):
    """Mean worth of the nearest training questions, weighted by their similarity.

    Attributes:
        neighbours: How many.
        same_subject: Added to the cosine similarity of questions of the same subject; 0 looks at the text alone.
    """

    neighbours: int = 100
    same_subject: float = 0.2

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if self.neighbours < 1:
            raise RouterError(f"embedding-knn: neighbours must be at least 1, not {self.neighbours!r}")

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Keep the training questions' embeddings.

        Raises:
            RouterError: If there are fewer than the neighbours asked for.
        """
        check_lesson(self.name, len(inputs), target)
        if len(inputs) < self.neighbours:
            raise RouterError(
                f"embedding-knn: {self.neighbours} neighbours are asked for and there are {len(inputs)} training "
                f"queries; give more queries or `neighbours: {len(inputs)}` at most"
            )
        self.learned_ = self.embed(inputs).astype(np.float32), np.array(subjects_of(inputs)), target.expected
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Weighted mean worth of each question's neighbours."""
        known, subjects, worth = fitted(self.learned_, self.name)
        vectors, asked = self.embed(inputs).astype(np.float32), np.array(subjects_of(inputs))
        scores = np.empty(len(inputs))
        for start in range(0, len(inputs), _QUERIES_AT_ONCE):
            some = slice(start, start + _QUERIES_AT_ONCE)
            similarities = vectors[some] @ known.T
            similarities += self.same_subject * (asked[some, None] == subjects[None])
            scores[some] = self._mean_worth(similarities, worth)
        return scores

    def _mean_worth(self, similarities: np.ndarray, worth: Floats) -> Floats:
        """Weighted means, shape (n,), from similarities of shape (n, training queries)."""
        nearest = np.argpartition(-similarities, self.neighbours - 1, axis=1)[:, : self.neighbours]
        weights = np.maximum(np.take_along_axis(similarities, nearest, axis=1), 1e-6).astype(float)
        mean: Floats = (weights * worth[nearest]).sum(axis=1) / weights.sum(axis=1)
        return mean

    def save(self, folder: Path) -> None:
        """Write the training questions' embeddings, subjects and worth."""
        known, subjects, worth = fitted(self.learned_, self.name)
        write_learned(folder, {"known": known, "worth": worth}, {"subjects": subjects.tolist()})

    def restore(self, folder: Path) -> None:
        """Read them back."""
        with reading(folder):
            arrays, facts = read_learned(folder, {"known": 2, "worth": 1})
            subjects = np.array(facts["subjects"], dtype=str)
            if not len(arrays["known"]) == len(arrays["worth"]) == len(subjects) >= self.neighbours:
                raise ValueError("embeddings, subjects and worth differ in number, or are too few")
            self.learned_ = arrays["known"], subjects, arrays["worth"]


@scorer("embedding-gb")
@dataclass
class EmbeddingBoosting(EmbeddingScorer):
    """Boosted regression trees for the expected worth, on main directions of the embedding and the subject prior.

    Attributes:
        dimensions: Principal components of the embedding.
        trees: Number of trees.
        leaves: Leaves of a tree at most.
        learning_rate: Weight of each tree.
        min_leaf: Training queries in a leaf at least.
        subject: Whether the subject's prior (of queries in other folds) is a feature too.
        seed: Of the folds for the prior.
    """

    dimensions: int = 32
    trees: int = 120
    leaves: int = 5
    learning_rate: float = 0.05
    min_leaf: int = 40
    subject: bool = True
    seed: int = 0

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Find the directions and grow the trees.

        Raises:
            RouterError: If there are too few queries for two leaves, or for as many directions.
        """
        check_lesson(self.name, len(inputs), target)
        vectors = self.embed(inputs)
        needed = max(2 * self.min_leaf, self.dimensions)
        if len(inputs) < needed or vectors.shape[1] < self.dimensions:
            raise RouterError(
                f"embedding-gb: {len(inputs)} training queries and embeddings of {vectors.shape[1]} numbers; "
                f"min_leaf {self.min_leaf} and dimensions {self.dimensions} need {needed} queries and "
                f"{self.dimensions} numbers"
            )
        pca = PCA(self.dimensions, svd_solver="covariance_eigh").fit(vectors)
        columns = [pca.transform(vectors)]
        prior = SubjectPrior().fit(inputs, target)
        if self.subject:  # its own answer must not leak into a query's prior
            columns.append(out_of_fold(SubjectPrior(), inputs, target, seed=self.seed)[:, None])
        rows = np.hstack(columns)
        model = HistGradientBoostingRegressor(
            max_iter=self.trees,
            max_leaf_nodes=self.leaves,
            learning_rate=self.learning_rate,
            min_samples_leaf=self.min_leaf,
            early_stopping=False,
            random_state=self.seed,
        ).fit(rows, target.expected)
        self.learned_ = pca.mean_, pca.components_, prior, Trees.of_sklearn(model, rows[0])
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """What the trees add up to."""
        mean, components, prior, trees = fitted(self.learned_, self.name)
        columns = [(self.embed(inputs) - mean) @ components.T]
        if self.subject:
            columns.append(prior.scores(inputs)[:, None])
        predictions: Floats = trees.predict(np.hstack(columns))
        return predictions

    def save(self, folder: Path) -> None:
        """Write directions, prior and trees."""
        mean, components, prior, trees = fitted(self.learned_, self.name)
        (folder / "prior").mkdir(exist_ok=True)
        prior.save(folder / "prior")
        write_learned(folder, {"mean": mean, "components": components, **trees.arrays()}, {})

    def restore(self, folder: Path) -> None:
        """Read them back."""
        prior = SubjectPrior()
        prior.restore(folder / "prior")
        with reading(folder):
            arrays, _ = read_learned(folder, {"mean": 1, "components": 2, **Trees.SHAPES})
            mean, components = arrays["mean"], arrays["components"]
            if components.shape != (self.dimensions, len(mean)):
                raise ValueError(f"components are of shape {components.shape}")
            trees = Trees.of_arrays(arrays, self.dimensions + self.subject)
            self.learned_ = mean, components, prior, trees


def _one_hot(inputs: Sequence[Input], known: dict[str, int]) -> Floats:
    """Indicators of known subjects, shape (n, len(known)); all zero for others."""
    indicators = np.zeros((len(inputs), len(known)))
    for row, subject in zip(indicators, subjects_of(inputs), strict=True):
        if subject in known:
            row[known[subject]] = 1
    return indicators
