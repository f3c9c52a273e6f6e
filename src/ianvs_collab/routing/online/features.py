"""Features of a query for a linear model: its words, its length, and its subject.

Words are hashed, weighted and projected to a few dimensions by the truncated SVD of queries of before (latent semantic
analysis, Deerwester et al. 1990). A subject gets a coordinate of its own when its first query arrives, so that a linear
model can learn what is special about it; no list of subjects has to be known beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.utils import murmurhash3_32

from ianvs_collab.inference import Query
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.online.files import read_arrays, read_json, write_arrays, write_json
from ianvs_collab.routing.scorer import Input
from ianvs_collab.routing.text import question_text
from ianvs_collab.routing.traces.trace import Floats

ARRAYS, ABOUT = "features.safetensors", "features.json"
LARGEST = 4.0
"""Standardised features are cut off here, so that one odd text cannot move a linear model far."""


@dataclass
class FeatureMap:
    """Maps queries to vectors of 2 + components + subjects numbers.

    Attributes:
        components: Dimensions of the text; as many as there are, if the fitted texts have fewer.
        subjects: Coordinates for subjects; those that come when all are taken share the last one.
        text_scale: Standard deviation of the text's features. With a ridge regression of ridge 1, small means that
            much must be seen before they count.
        subject_scale: Value of a subject's coordinate, likewise.
        buckets: Hash buckets of words.
        seed: Seed of the projection.
    """

    components: int = 48
    subjects: int = 64
    text_scale: float = 0.1
    subject_scale: float = 0.4
    buckets: int = 2**14
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("components", "subjects"):
            if getattr(self, name) < 1:
                raise RouterError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        self._hashing = HashingVectorizer(n_features=self.buckets, norm="l2")
        self._words = self._hashing.build_analyzer()
        self._projection: Floats = np.zeros((0, 0))
        self._centre: Floats = np.zeros(0)
        self._spread: Floats = np.zeros(0)
        self._slots: dict[str, int] = {}

    @property
    def dimension(self) -> int:
        """Number of features."""
        return 1 + len(self._centre) + self.subjects

    def fit(self, inputs: Sequence[Input]) -> FeatureMap:
        """Fit the projection of texts; returns itself.

        Raises:
            RouterError: If there are fewer than two texts.
        """
        texts = [question_text(Query.of(data)) for data in inputs]
        if len(texts) < 2:  # noqa: PLR2004 - one text has no spread
            raise RouterError(f"features need at least two queries to be fitted to, not {len(texts)}")
        hashed = self._hashing.transform(texts)
        size = min(self.components, len(texts) - 1)
        with np.errstate(invalid="ignore"):  # the share of variance explained, unused here, is 0/0 for equal texts
            svd = TruncatedSVD(size, random_state=self.seed).fit(hashed)
        self._projection = np.ascontiguousarray(svd.components_.T)
        raw = _with_lengths(texts, hashed @ self._projection)
        self._centre, self._spread = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-9)
        return self

    def transform(self, inputs: Sequence[Input]) -> Floats:
        """Features, shape (n, dimension); new subjects get their coordinates in the order of the queries."""
        queries = [Query.of(data) for data in inputs]
        raw = self._raw([question_text(query) for query in queries])
        text = np.clip((raw - self._centre) / self._spread, -LARGEST, LARGEST) * self.text_scale
        made = np.zeros((len(queries), self.dimension))
        made[:, 0] = 1.0
        made[:, 1 : 1 + text.shape[1]] = text
        columns = [1 + text.shape[1] + self._slot(str(query.get("subject") or "")) for query in queries]
        made[np.arange(len(queries)), columns] = self.subject_scale
        return made

    def save(self, folder: Path) -> None:
        """Write projection and subjects into an existing folder."""
        arrays = {"projection": self._projection, "centre": self._centre, "spread": self._spread}
        write_arrays(folder / ARRAYS, arrays)
        write_json(folder / ABOUT, {"settings": asdict(self), "slots": self._slots})

    @classmethod
    def load(cls, folder: Path) -> FeatureMap:
        """Read back what `save` wrote.

        Raises:
            RouterError: If a file is missing or damaged.
        """
        about: dict[str, Any] = read_json(folder / ABOUT)
        arrays = read_arrays(folder / ARRAYS)
        try:
            features = cls(**about["settings"])
            features._projection, features._centre = arrays["projection"], arrays["centre"]
            features._spread, features._slots = arrays["spread"], dict(about["slots"])
        except (KeyError, TypeError) as error:
            raise RouterError(f"{folder / ABOUT} was written by another version ({error}); save it again") from error
        return features

    def _raw(self, texts: Sequence[str]) -> Floats:
        one = len(texts) == 1
        projected = self._projected(texts[0]) if one else self._hashing.transform(texts) @ self._projection
        return _with_lengths(texts, projected)

    def _projected(self, text: str) -> Floats:
        """The projection of one text, shape (1, components): the same numbers without the vectorizer's overhead."""
        counts: dict[int, int] = {}
        for word in self._words(text):
            digest = murmurhash3_32(word)
            bucket = abs(digest) % self.buckets
            counts[bucket] = counts.get(bucket, 0) + (1 if digest >= 0 else -1)
        values = np.fromiter(counts.values(), dtype=float, count=len(counts))
        norm = float(np.sqrt(values @ values)) or 1.0
        rows = self._projection[np.fromiter(counts, dtype=np.intp, count=len(counts))]
        return np.atleast_2d(values / norm @ rows)

    def _slot(self, subject: str) -> int:
        if subject not in self._slots:
            self._slots[subject] = min(len(self._slots), self.subjects - 1)
        return self._slots[subject]


def _with_lengths(texts: Sequence[str], projected: Floats) -> Floats:
    return np.column_stack([np.log1p([len(text) for text in texts]), projected])
