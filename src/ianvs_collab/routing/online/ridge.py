"""A scorer that is quick to fit anew: ridge regression of the cloud's gain on words, length and subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ianvs_collab.routing.online.features import FeatureMap
from ianvs_collab.routing.online.files import read_arrays, write_arrays
from ianvs_collab.routing.online.linear import LinearArm
from ianvs_collab.routing.scorer import Input, Scorer, scorer
from ianvs_collab.routing.scorers.heads import check_lesson
from ianvs_collab.routing.scorers.storage import fitted, reading
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats

WEIGHTS = "ridge.safetensors"


@scorer("online-ridge")
@dataclass
class RidgeScorer(Scorer):
    """Expected gain by ridge regression.

    Attributes:
        components: Dimensions of the text.
        ridge: Weight of the prior that all coefficients are 0.
        seed: Seed of the text's projection.
    """

    components: int = 48
    ridge: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Begin with nothing learned."""
        self.learned_: tuple[FeatureMap, Floats] | None = None

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Fit projection and regression.

        Raises:
            RouterError: If labels do not fit the queries, or are all the same.
        """
        check_lesson(self.name, len(inputs), target)
        features = FeatureMap(components=self.components, seed=self.seed).fit(inputs)
        arm = LinearArm(features.dimension, self.ridge)
        arm.fit(features.transform(inputs), target.expected)
        self.learned_ = features, arm.theta
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Expected gains, shape (len(inputs),)."""
        features, theta = fitted(self.learned_, self.name)
        worth: Floats = features.transform(inputs) @ theta if len(inputs) else np.empty(0)
        return worth

    def save(self, folder: Path) -> None:
        """Write projection and coefficients."""
        features, theta = fitted(self.learned_, self.name)
        features.save(folder)
        write_arrays(folder / WEIGHTS, {"theta": theta})

    def restore(self, folder: Path) -> None:
        """Read them back.

        Raises:
            RouterError: If a file is missing or damaged, or one does not belong to the other.
        """
        with reading(folder):
            features, arrays = FeatureMap.load(folder), read_arrays(folder / WEIGHTS)
            if len(arrays["theta"]) != features.dimension:
                raise ValueError(f"{WEIGHTS} does not belong to the features beside it")
        self.learned_ = features, arrays["theta"]
