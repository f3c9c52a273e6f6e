"""The logistic regression on soft classes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ianvs_collab.routing.scorers.heads import SoftLogistic
from ianvs_collab.routing.target import Target


@pytest.mark.parametrize("classes", [2, 3])
def test_a_label_of_three_quarters_counts_as_three_of_four_copies(classes: int) -> None:
    rng = np.random.default_rng(0)
    features, votes = rng.normal(size=(40, 3)), rng.integers(0, classes, (40, 4))
    shares = np.stack([(votes == one).mean(axis=1) for one in range(classes)], axis=1)
    values = np.linspace(-1, 1, classes)
    copies = LogisticRegression(C=0.5 / 4, tol=1e-8, max_iter=1000).fit(np.repeat(features, 4, axis=0), votes.ravel())
    head = SoftLogistic.fit(features, Target("soft", shares, values), 0.5, 1e-8)
    np.testing.assert_allclose(head.worth(features), copies.predict_proba(features) @ values, atol=1e-5)


def test_a_class_that_never_occurs_has_no_part() -> None:
    rng = np.random.default_rng(0)
    features, gains = rng.normal(size=(30, 2)), rng.random(30) < 0.5
    target = Target("delta", np.column_stack([np.zeros(30), ~gains, gains]).astype(float), np.array([-1.0, 0.0, 1.0]))
    head = SoftLogistic.fit(features, target, 1.0)
    assert head.values.tolist() == [0, 1]
    assert 0 < head.worth(features).min() < head.worth(features).max() < 1
