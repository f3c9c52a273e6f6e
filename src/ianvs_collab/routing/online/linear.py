"""What is known of one action: a ridge regression of its reward on the features, updated one observation at a time.

With rows x and rewards r seen so far, A = ridge·I + Σ x xᵀ and θ = A⁻¹ Σ r x. An observation changes A by a matrix of
rank one, so A⁻¹ and θ follow in O(d²) by the Sherman-Morrison formula, in the form of recursive least squares.

Forgetting (for a world that drifts) multiplies the weight of all that was seen by `discount` at each step. That fades
the ridge as well, and a direction not seen for long would get an unbounded variance; therefore each step renews the
ridge of one coordinate, in turn, by what it has lost since its last turn. That is one more update of rank one, where
restoring the whole ridge at each step (Russac et al., "Weighted linear bandits for non-stationary environments",
NeurIPS 2019) would be an update of full rank.
"""

from __future__ import annotations

import numpy as np

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.trace import Floats


class LinearArm:
    """Recursive ridge regression.

    Args:
        dimension: Number of features d.
        ridge: Weight of the prior θ = 0; the variance of a coefficient is noise² / ridge before anything is seen.
        discount: Weight that an observation keeps from one step to the next; 1 forgets nothing.

    Attributes:
        inverse: A⁻¹, shape (d, d).
        theta: Coefficients, shape (d,).

    Raises:
        RouterError: If ridge or discount are out of range.
    """

    def __init__(self, dimension: int, ridge: float = 1.0, discount: float = 1.0) -> None:
        if ridge <= 0:
            raise RouterError(f"ridge must be above 0, not {ridge!r}")
        if not 0 < discount <= 1:
            raise RouterError(f"discount must lie above 0 and at most at 1 (no forgetting), not {discount!r}")
        self.ridge = ridge
        self.discount = discount
        self.inverse: Floats = np.eye(dimension) / ridge
        self.theta: Floats = np.zeros(dimension)
        self._turn = 0

    def fit(self, features: Floats, rewards: Floats) -> None:
        """Begin anew with many observations of equal weight, shapes (n, d) and (n,)."""
        dimension = len(self.theta)
        self.inverse = np.asarray(np.linalg.inv(self.ridge * np.eye(dimension) + features.T @ features), dtype=float)
        self.theta = self.inverse @ (features.T @ rewards)
        self._turn = 0

    def variance(self, features: Floats) -> float:
        """Variance of a query's expected reward in units of the noise's: xᵀA⁻¹x."""
        return max(float(features @ self.inverse @ features), 0.0)

    def observe(self, features: Floats, reward: float) -> None:
        """Learn from one observation, after a step of forgetting."""
        self.fade()
        self._rank_one(features, reward)

    def fade(self) -> None:
        """One step of forgetting, without an observation."""
        if self.discount == 1:
            return
        self.inverse /= self.discount
        lost = self.ridge * (1 - self.discount ** len(self.theta))
        renewed = np.zeros_like(self.theta)
        renewed[self._turn] = np.sqrt(lost)
        self._rank_one(renewed, 0.0)
        self._turn = (self._turn + 1) % len(self.theta)

    def state(self) -> dict[str, Floats]:
        """All that was learned, as arrays by name."""
        return {"inverse": self.inverse, "theta": self.theta, "turn": np.array([self._turn], dtype=float)}

    def restore(self, state: dict[str, Floats]) -> None:
        """Take over what `state` gave.

        Raises:
            RouterError: If it belongs to another number of features.
        """
        if state["theta"].shape != self.theta.shape:
            raise RouterError(
                f"the saved state has {len(state['theta'])} features and the router {len(self.theta)}: "
                "give it the settings it was saved with"
            )
        self.inverse, self.theta = state["inverse"].copy(), state["theta"].copy()
        self._turn = int(state["turn"][0])

    def _rank_one(self, features: Floats, reward: float) -> None:
        projected = self.inverse @ features
        gain = projected / (1 + features @ projected)
        self.theta = self.theta + gain * (reward - features @ self.theta)
        self.inverse -= np.outer(gain, projected)
