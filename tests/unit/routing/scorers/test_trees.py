"""Boosted trees as arrays predict what scikit-learn's do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingRegressor

from ianvs_collab.routing.scorers.trees import Trees


def grown(seed: int, trees: int, leaves: int) -> tuple[HistGradientBoostingRegressor, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = np.round(rng.normal(size=(120, 3)), 1)  # ties, also at thresholds
    worth = np.sign(rows[:, 0] * rows[:, 1]) + 0.3 * rng.normal(size=120)
    model = HistGradientBoostingRegressor(
        max_iter=trees, max_leaf_nodes=leaves, min_samples_leaf=3, early_stopping=False, random_state=seed
    )
    return model.fit(rows, worth), rows


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 99), st.integers(1, 12), st.integers(2, 12))
def test_they_predict_what_scikit_learns_predict(seed: int, trees: int, leaves: int) -> None:
    model, rows = grown(seed, trees, leaves)
    made = Trees.of_sklearn(model, rows[0])
    edges = np.repeat(made.thresholds[:, None], 3, axis=1)  # a value on a threshold goes left
    asked = np.vstack([rows, edges, np.random.default_rng(seed + 1).normal(size=(30, 3)) * 3])
    np.testing.assert_allclose(made.predict(asked), model.predict(asked), atol=1e-12)
    again = Trees.of_arrays(made.arrays(), 3)
    assert again.predict(asked).tolist() == made.predict(asked).tolist()


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("values", lambda array: array[1:], "of different lengths"),
        ("children", lambda array: array[:, :1], "of different lengths"),
        ("children", lambda array: array + len(array), "a node that does not exist"),
        ("features", lambda array: array + 3, "a feature that does not exist"),
        ("features", lambda array: array - 1, "a feature that does not exist"),
        ("roots", lambda array: array + 10_000, "a root that does not exist"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(field: str, change: object, message: str) -> None:
    model, rows = grown(0, 3, 4)
    arrays = Trees.of_sklearn(model, rows[0]).arrays()
    with pytest.raises(ValueError, match=message):
        Trees.of_arrays({**arrays, field: change(arrays[field])}, 3)  # type: ignore[operator]
