"""What all trained scorers share: checks of what there is to learn, and a logistic regression on soft classes.

A soft label is learned by weighted duplicates: a query that gains with probability 0.7 is shown once as a gain with
weight 0.7 and once as something else with weight 0.3, which gives the cross-entropy with the soft label. The score is
the expected worth of the predicted classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats


def check_lesson(name: str, count: int, target: Target) -> None:
    """See to it that there is something to learn.

    Raises:
        RouterError: If queries and labels differ in number, or all labels are equal.
    """
    if count != len(target.probabilities):
        raise RouterError(f"{name}: {count} queries and {len(target.probabilities)} labels; there must be one each")
    if count == 0:
        raise RouterError(f"{name}: there are no labelled queries to learn from; give a trace with rows")
    if np.ptp(target.probabilities, axis=0).max() == 0:
        raise RouterError(
            f"{name}: all {count} queries have the same label {target.name!r} ({class_counts(target)}), so there is "
            "nothing to tell apart; give a trace in which the models differ on some queries and agree on others"
        )


def class_counts(target: Target) -> str:
    """How many queries are of each class, for messages."""
    totals = target.probabilities.sum(axis=0)
    return ", ".join(f"{total:g} of worth {value:g}" for total, value in zip(totals, target.values, strict=True))


def weighted_duplicates(target: Target) -> tuple[np.ndarray, np.ndarray, Floats]:
    """Rows, classes and weights that stand for soft labels: one entry for each class a query may be of.

    Returns:
        Indices of queries, their classes and their weights, each of shape (m,), n <= m <= n k.
    """
    rows, classes = np.nonzero(target.probabilities > 0)
    return rows, classes, target.probabilities[rows, classes]


@dataclass
class SoftLogistic:
    """Multinomial logistic regression on soft classes, with an L2 penalty.

    Attributes:
        coefficients: Shape (k, d).
        intercepts: Shape (k,).
        values: Worth of each class, shape (k,).
        SHAPES: Dimensions of its arrays, for `read_learned`.
    """

    coefficients: Floats
    intercepts: Floats
    values: Floats

    SHAPES: ClassVar[dict[str, int]] = {"coefficients": 2, "intercepts": 1, "values": 1}

    @classmethod
    def fit(cls, features: Any, target: Target, regularisation: float, tolerance: float = 1e-4) -> Self:
        """Learn from features.

        Args:
            features: Dense or sparse, shape (n, d).
            target: Labels of the n queries.
            regularisation: Inverse strength C of the penalty.
            tolerance: When to stop: largest entry of the gradient.
        """
        rows, classes, weights = weighted_duplicates(target)
        model = LogisticRegression(C=regularisation, max_iter=1000, tol=tolerance)
        shown = features if len(rows) == features.shape[0] else features[rows]
        model.fit(shown, classes, sample_weight=weights)
        # of two classes, scikit-learn keeps the difference alone; a class of logit 0 makes it the general case
        flat = len(model.classes_) == 2  # noqa: PLR2004
        coefficients = np.vstack([0 * model.coef_, model.coef_]) if flat else model.coef_
        intercepts = np.concatenate([[0.0], model.intercept_]) if flat else model.intercept_
        # as it will lie in memory once it has been saved: BLAS rounds by the layout
        return cls(np.ascontiguousarray(coefficients), intercepts, target.values[model.classes_])

    def worth(self, features: Any) -> Floats:
        """Expected worth of the cloud; features (n, d), dense or sparse; result (n,)."""
        return self.worth_of_logits(features @ self.coefficients.T)

    def worth_of_logits(self, products: Floats) -> Floats:
        """Expected worth from features times coefficients, shape (n, k)."""
        worth: Floats = softmax(products + self.intercepts, axis=1) @ self.values
        return worth

    def arrays(self) -> dict[str, Floats]:
        """What was learned, for `write_learned`."""
        return {"coefficients": self.coefficients, "intercepts": self.intercepts, "values": self.values}

    @classmethod
    def of_arrays(cls, arrays: dict[str, Floats]) -> Self:
        """Read back from `arrays`.

        Raises:
            ValueError: If the arrays do not belong together.
        """
        made = cls(*(arrays[name] for name in cls.SHAPES))
        if not len(made.coefficients) == len(made.intercepts) == len(made.values):
            raise ValueError("coefficients, intercepts and values are of different numbers of classes")
        return made
