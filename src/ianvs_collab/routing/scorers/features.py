"""Scores by features that mean the same in every subject: ridge regression on what sending a query up is worth.

score(x) = mean + w · clip((x - m) / s), with w minimising the mean squared error to the label's expected worth plus
penalty · |w|² (Hoerl & Kennard 1970). Features without topic words, clipped tails and a strong penalty make it carry
over to subjects it was not trained on. It needs no model and no download; the main directions of a sentence encoder's
embeddings can be put beside the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from ianvs_collab.inference import Query
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.features import GROUPS, feature_names, question_features
from ianvs_collab.routing.scorer import Input, Scorer, scorer
from ianvs_collab.routing.scorers.heads import check_lesson
from ianvs_collab.routing.scorers.reading import texts_of
from ianvs_collab.routing.scorers.storage import fitted, read_learned, reading, write_learned
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats


class _Learned(NamedTuple):
    """Arrays of f features, k embedding directions and the encoder's dimension e.

    Attributes:
        centre: Mean of each column, shape (f + k,).
        scale: What each column is divided by, shape (f + k,).
        weights: Shape (f + k,).
        mean: Mean worth of the training queries, shape (1,).
        directions: Principal directions of the embeddings, shape (e, k).
    """

    centre: Floats
    scale: Floats
    weights: Floats
    mean: Floats
    directions: Floats


_SHAPES = {"centre": 1, "scale": 1, "weights": 1, "mean": 1, "directions": 2}


@scorer("question-features")
@dataclass
class QuestionFeatures(Scorer):
    """Ridge regression on question features.

    Attributes:
        groups: Feature groups, some of `size`, `form`, `logic`, `numbers`, `options`, `scene` and `style`.
        penalty: Strength of the penalty; features are standardised and the error is a mean, so it needs no adapting to
            the number of queries.
        clip: Standard deviations at which a feature's tails are cut off.
        embedding: Sentence encoder to read the question with too (`minilm`, a folder or a hub name); empty for none.
        directions: How many principal directions of its embeddings are used; further ones tell subjects apart.
        embedding_weight: Standard deviation of each direction, where a feature has 1; smaller is penalised more.
    """

    groups: Sequence[str] = tuple(GROUPS)
    penalty: float = 0.5
    clip: float = 4.0
    embedding: str = ""
    directions: int = 16
    embedding_weight: float = 0.5

    def __post_init__(self) -> None:
        """Check the settings."""
        self._learned: _Learned | None = None
        feature_names(self.groups)
        for name in ("penalty", "clip", "directions", "embedding_weight"):
            if not getattr(self, name) > 0:
                raise RouterError(f"{self.name}: {name} must be above 0, not {getattr(self, name)!r}")

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Learn from labelled queries."""
        check_lesson(self.name, len(inputs), target)
        worth, embedded = target.expected, self._embed(inputs)
        directions = principal_directions(embedded, self.directions)
        table = np.hstack([self._features(inputs), embedded @ directions])
        scale = table.std(axis=0)
        scale[scale < 1e-12] = 1.0  # a column that is the same everywhere says nothing  # noqa: PLR2004
        scale[table.shape[1] - directions.shape[1] :] /= self.embedding_weight
        mean = np.array([worth.mean()])
        columns = self._standardised(table, table.mean(axis=0), scale)
        gram = columns.T @ columns / len(worth) + self.penalty * np.eye(columns.shape[1])
        weights = np.linalg.solve(gram, columns.T @ (worth - mean) / len(worth))
        self._learned = _Learned(table.mean(axis=0), scale, weights, mean, directions)
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Expected worth of the cloud."""
        learned: _Learned = fitted(self._learned, self.name)
        table = np.hstack([self._features(inputs), self._embed(inputs) @ learned.directions])
        columns = self._standardised(table, learned.centre, learned.scale)
        scores: Floats = learned.mean + np.einsum("ij,j->i", columns, learned.weights)
        return scores

    def effects(self) -> dict[str, float]:
        """Change of the score by one standard deviation of each feature, largest first; embeddings are left out."""
        learned: _Learned = fitted(self._learned, self.name)
        pairs = zip(feature_names(self.groups), learned.weights.tolist(), strict=False)
        return dict(sorted(pairs, key=lambda pair: -abs(pair[1])))

    def save(self, folder: Path) -> None:
        """Write the arrays, and the features' names."""
        learned: _Learned = fitted(self._learned, self.name)
        write_learned(folder, learned._asdict(), {"features": feature_names(self.groups)})

    def restore(self, folder: Path) -> None:
        """Read back what `save` wrote."""
        with reading(folder):
            arrays, facts = read_learned(folder, _SHAPES)
            names = feature_names(self.groups)
            if facts["features"] != names:
                raise RouterError(
                    f"{folder}: made with other question features than this version has; train the router again"
                )
            columns = len(names) + arrays["directions"].shape[1]
            if any(len(arrays[name]) != columns for name in ("centre", "scale", "weights")) or len(arrays["mean"]) != 1:
                raise ValueError(f"its arrays do not fit {columns} columns")
            self._learned = _Learned(**{name: arrays[name] for name in _SHAPES})

    def _features(self, inputs: Sequence[Input]) -> Floats:
        return question_features([Query.of(item) for item in inputs], self.groups)

    def _embed(self, inputs: Sequence[Input]) -> Floats:
        """Embeddings, shape (len(inputs), e); e is 0 without an encoder."""
        if not self.embedding or not len(inputs):
            width = 0 if self._learned is None else len(self._learned.directions)
            return np.zeros((len(inputs), width))
        from ianvs_collab.modelserver.embedding import Embedder  # noqa: PLC0415 - loads torch, of use only here

        return Embedder(self.embedding).embed(texts_of(inputs)).astype(float)

    def _standardised(self, table: Floats, centre: Floats, scale: Floats) -> Floats:
        columns: Floats = np.clip((table - centre) / scale, -self.clip, self.clip)
        return columns


def principal_directions(rows: Floats, count: int) -> Floats:
    """Directions in which rows (n, e) vary most, shape (e, at most count), with fixed signs.

    Each direction's largest entry is positive, so that the same rows give the same directions everywhere.
    """
    centred = rows - rows.mean(axis=0)
    directions: Floats = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :count]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0) if rows.size else 1.0
    return directions * np.sign(largest)
