"""Boosted regression trees as plain arrays: quick for one row, and saved without pickle.

scikit-learn grows them; its `predict` spends milliseconds on a single row in checks and thread hand-over, which is a
good part of an encoder's forward pass. Here all trees are walked at once, one level at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from ianvs_collab.routing.traces.trace import Floats


@dataclass(frozen=True)
class Trees:
    """Trees over the same features; a leaf is its own child, so that walking on changes nothing.

    Attributes:
        baseline: Prediction before any tree, shape (1,).
        roots: Number of each tree's root, shape (t,).
        features: Feature that a node looks at, shape (m,).
        thresholds: It goes left up to this value, shape (m,).
        children: Numbers of its left and right child, shape (m, 2).
        values: What a leaf adds to the prediction, shape (m,).
        depth: Steps from a root to the deepest leaf, shape (1,).
    """

    baseline: Floats
    roots: NDArray[np.int64]
    features: NDArray[np.int64]
    thresholds: Floats
    children: NDArray[np.int64]
    values: Floats
    depth: NDArray[np.int64]

    SHAPES: ClassVar[dict[str, int]] = {
        "baseline": 1,
        "roots": 1,
        "features": 1,
        "thresholds": 1,
        "children": 2,
        "values": 1,
        "depth": 1,
    }

    @classmethod
    def of_sklearn(cls, model: HistGradientBoostingRegressor, row: Floats) -> Self:
        """Take over a fitted model with numerical features and without missing values.

        Args:
            model: Fitted, of the squared error.
            row: Any row it can predict, shape (d,); tells the baseline.
        """
        nodes = [predictors[0].nodes for predictors in model._predictors]
        sizes = [len(tree) for tree in nodes]
        roots = np.cumsum([0, *sizes[:-1]])
        joined = np.concatenate(nodes)
        offsets, own = np.repeat(roots, sizes), np.arange(len(joined))
        leaf = joined["is_leaf"].astype(bool)
        children = np.stack([np.where(leaf, own, joined[side] + offsets) for side in ("left", "right")], axis=1)
        made = cls(
            np.zeros(1),
            roots,
            np.where(leaf, 0, joined["feature_idx"]).astype(np.int64),
            np.where(leaf, 0.0, joined["num_threshold"]),
            children.astype(np.int64),
            np.where(leaf, joined["value"], 0.0),
            np.array([joined["depth"].max()], dtype=np.int64),
        )
        made.baseline[0] = model.predict(row[None])[0] - made.predict(row[None])[0]
        return made

    def predict(self, rows: Floats) -> Floats:
        """Predictions, shape (n,), for rows of shape (n, d)."""
        at = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        own = np.arange(len(rows))[:, None]
        for _ in range(int(self.depth[0])):
            right = rows[own, self.features[at]] > self.thresholds[at]
            at = self.children[at, right.astype(np.int64)]
        predictions: Floats = self.baseline[0] + self.values[at].sum(axis=1)
        return predictions

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learned, for `write_learned`."""
        return {name: getattr(self, name) for name in self.SHAPES}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], width: int) -> Self:
        """Read back from `arrays`.

        Args:
            arrays: By name.
            width: Number of features a row has.

        Raises:
            ValueError: If the arrays do not belong together.
        """
        made = cls(*(arrays[name] for name in cls.SHAPES))
        count = len(made.features)
        lengths = {len(made.thresholds), len(made.values), len(made.children)}
        if lengths != {count} or made.children.shape[1] != 2:  # noqa: PLR2004
            raise ValueError("the trees' arrays are of different lengths")
        bounded = (("root", made.roots, count), ("node", made.children, count), ("feature", made.features, width))
        for name, numbers, limit in bounded:
            if numbers.size and not 0 <= numbers.min() <= numbers.max() < limit:
                raise ValueError(f"a tree names a {name} that does not exist")
        return made
