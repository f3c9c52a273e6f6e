"""What another policy would have achieved, estimated from routes that were logged with their propensities.

With π the probability of the logged action under the policy that is asked about, p that under the policy that logged,
w = π / p and r the quality that was seen:

* inverse propensity (IPS; Horvitz & Thompson 1952): mean of w·r. Unbiased, if p > 0 wherever π > 0.
* self-normalised (SNIPS; Swaminathan & Joachims, NeurIPS 2015): Σ w·r / Σ w. Slightly biased, less variance.
* doubly robust (DR; Dudík, Langford & Li, ICML 2011): mean of q̂(π) + w·(r − q̂(a)) with a model q̂ of the qualities.
  Unbiased if either p or q̂ is right; less variance the better q̂ is.

Intervals are normal approximations over queries. They hold for logs of a policy that learned on the way too, because
each term is unbiased given the past; they do not cover what w never reached: look at the effective sample size.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.online.linear import LinearArm
from ianvs_collab.routing.traces.trace import Floats


class Estimate(NamedTuple):
    """Mean quality that a policy would have shown.

    Attributes:
        value: The estimate.
        low: Lower end of its confidence interval.
        high: Upper end.
        effective_sample_size: (Σ w)² / Σ w² (Kish 1965): how many queries the weighted ones are worth.
    """

    value: float
    low: float
    high: float
    effective_sample_size: float


@dataclass(frozen=True)
class RouteLog:
    """Logged routes of n queries.

    Attributes:
        actions: 1 for the cloud, 0 for the edge.
        propensities: Probability with which that action was taken.
        rewards: Quality of the answer that was shown.

    Raises:
        RouterError: If they are of unequal length, empty, not finite, or a propensity is no probability above 0.
    """

    actions: NDArray[np.int_]
    propensities: Floats
    rewards: Floats

    def __post_init__(self) -> None:
        """Check the routes."""
        lengths = {len(self.actions), len(self.propensities), len(self.rewards)}
        if len(lengths) != 1 or not len(self.actions):
            raise RouterError(f"a log needs as many actions as propensities and rewards, not {sorted(lengths)}")
        if not np.isin(self.actions, (0, 1)).all():
            raise RouterError("actions of a log must be 1 (cloud) or 0 (edge)")
        if not ((self.propensities > 0) & (self.propensities <= 1)).all():
            raise RouterError(
                "propensities of a log must lie above 0 and at most at 1; what never happens is not in it"
            )
        if not np.isfinite(self.rewards).all():
            raise RouterError("rewards of a log must be finite; leave out the queries without feedback")

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.actions)

    def weights(self, cloud: Floats) -> Floats:
        """Weight w of each query for a policy with the probabilities `cloud` of the cloud, both of shape (n,)."""
        chosen: Floats = np.where(self.actions == 1, cloud, 1 - cloud) / self.propensities
        return chosen


def ips(log: RouteLog, cloud: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Inverse-propensity estimate.

    Args:
        log: The logged routes.
        cloud: Probability with which the policy asked about sends each query to the cloud, shape (n,).
        confidence: Coverage of the interval.

    Raises:
        RouterError: If the probabilities do not fit the log.
    """
    weights = log.weights(_probabilities(log, cloud))
    terms = weights * log.rewards
    return _estimate(float(terms.mean()), terms - terms.mean(), weights, confidence)


def snips(log: RouteLog, cloud: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Self-normalised estimate; arguments as for `ips`. The interval is by the delta method.

    Raises:
        RouterError: Also if the log holds no action that the policy would take.
    """
    weights = log.weights(_probabilities(log, cloud))
    if not weights.any():
        raise RouterError("the log holds no route that this policy would take, so it says nothing about it")
    value = float(weights @ log.rewards / weights.sum())
    return _estimate(value, weights * (log.rewards - value) / weights.mean(), weights, confidence)


def doubly_robust(log: RouteLog, cloud: ArrayLike, predicted: Floats, confidence: float = 0.95) -> Estimate:
    """Doubly robust estimate.

    Args:
        log: The logged routes.
        cloud: As for `ips`.
        predicted: Predicted quality of the edge's and the cloud's answer to each query, shape (n, 2), by a model that
            did not learn from that query's reward (`cross_fitted`).
        confidence: Coverage of the interval.

    Raises:
        RouterError: If probabilities or predictions do not fit the log.
    """
    chosen = _probabilities(log, cloud)
    if predicted.shape != (len(log), 2):
        raise RouterError(f"predicted must have the shape ({len(log)}, 2), not {predicted.shape}")
    weights = log.weights(chosen)
    direct = (1 - chosen) * predicted[:, 0] + chosen * predicted[:, 1]
    terms = direct + weights * (log.rewards - predicted[np.arange(len(log)), log.actions])
    return _estimate(float(terms.mean()), terms - terms.mean(), weights, confidence)


def cross_fitted(log: RouteLog, features: Floats, folds: int = 5, ridge: float = 1.0, seed: int = 0) -> Floats:
    """Predicted qualities by ridge regression, each query's by a model fitted to other folds.

    Args:
        log: The logged routes.
        features: Shape (n, d).
        folds: At least 2.
        ridge: Weight of the prior that all coefficients are 0.
        seed: Seed of the folds.

    Returns:
        Shape (n, 2), for the edge and the cloud.

    Raises:
        RouterError: If there are fewer queries than folds, or fewer than two folds.
    """
    if not 2 <= folds <= len(log):  # noqa: PLR2004 - one fold leaves nothing to fit to
        raise RouterError(f"{len(log)} queries cannot make {folds} folds; there must be 2 to {len(log)}")
    fold = np.random.default_rng(seed).permutation(np.arange(len(log)) % folds)
    predicted = np.zeros((len(log), 2))
    for number in range(folds):
        held = fold == number
        for action in (0, 1):
            arm, rows = LinearArm(features.shape[1], ridge), ~held & (log.actions == action)
            arm.fit(features[rows], log.rewards[rows])
            predicted[held, action] = features[held] @ arm.theta
    return predicted


def _probabilities(log: RouteLog, cloud: ArrayLike) -> Floats:
    chosen = np.asarray(cloud, dtype=float)
    if chosen.shape != (len(log),) or not ((chosen >= 0) & (chosen <= 1)).all():
        raise RouterError(f"the policy asked about needs a probability, 0 to 1, for each of the {len(log)} queries")
    return chosen


def _estimate(value: float, influence: Floats, weights: Floats, confidence: float) -> Estimate:
    if not 0 < confidence < 1:
        raise RouterError(f"confidence must lie between 0 and 1, not {confidence!r}")
    reach = NormalDist().inv_cdf((1 + confidence) / 2)
    half = reach * float(np.sqrt(np.mean(influence**2) / max(len(influence) - 1, 1)))
    squared = float((weights**2).sum())
    return Estimate(value, value - half, value + half, float(weights.sum()) ** 2 / squared if squared else 0.0)
