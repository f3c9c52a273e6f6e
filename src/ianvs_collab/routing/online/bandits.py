"""Contextual bandits with a linear model of each action's quality: LinUCB and Thompson sampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.online.files import read_arrays, write_arrays
from ianvs_collab.routing.online.linear import LinearArm
from ianvs_collab.routing.online.policy import CLOUD, EDGE, Context, Decision, OnlinePolicy
from ianvs_collab.routing.traces.trace import Floats

STATE = "policy.safetensors"


@dataclass
class LinearPolicy(OnlinePolicy):
    """One ridge regression for the edge and one for the cloud ("disjoint" in LinUCB's paper).

    Attributes:
        exploration: How much the uncertainty of the estimates counts; 0 is greedy.
        ridge: Weight of the prior that all coefficients are 0.
        discount: Weight that an observation keeps from one query to the next; below 1 the policy forgets and follows
            a world that drifts.
    """

    exploration: float = 0.25
    ridge: float = 1.0
    discount: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if self.exploration < 0:
            raise RouterError(f"exploration must not be below 0, not {self.exploration!r}")
        self.arms: tuple[LinearArm, LinearArm] = self._arms(1)

    def advantage(self, context: Context) -> float:
        """Difference of the two regressions."""
        return float(context.features @ (self.arms[CLOUD].theta - self.arms[EDGE].theta))

    def warm_up(self, contexts: Sequence[Context], quality: Floats) -> None:
        """Fit both regressions to queries which both models answered."""
        self._require_queries(contexts)
        features = np.stack([context.features for context in contexts])
        self.arms = self._arms(features.shape[1])
        for arm, rewards in zip(self.arms, quality.T, strict=True):
            arm.fit(features, rewards)
        self.pacer.start(features @ (self.arms[CLOUD].theta - self.arms[EDGE].theta))

    def learn(self, context: Context, decision: Decision, reward: float) -> None:
        """Update the regression of the model that answered; the other one only grows older."""
        self.arms[decision.action].observe(context.features, reward)
        self.arms[1 - decision.action].fade()

    def save(self, folder: Path) -> None:
        """Write regressions and price as one safetensors file."""
        state = {f"{where}.{k}": v for where, arm in enumerate(self.arms) for k, v in arm.state().items()}
        write_arrays(folder / STATE, {**state, "price": np.array([self.pacer.price])})

    def restore(self, folder: Path) -> None:
        """Read them back."""
        state = read_arrays(folder / STATE)
        try:
            arms = self._arms(len(state["0.theta"]))
            for where, arm in enumerate(arms):
                arm.restore({key: state[f"{where}.{key}"] for key in ("inverse", "theta", "turn")})
            self.pacer.price = float(state["price"][0])
        except KeyError as error:
            raise RouterError(f"{folder / STATE} lacks {error}: it is no state of a linear policy") from error
        self.arms = arms

    def _arms(self, dimension: int) -> tuple[LinearArm, LinearArm]:
        return LinearArm(dimension, self.ridge, self.discount), LinearArm(dimension, self.ridge, self.discount)


@dataclass
class LinUCB(LinearPolicy):
    """Takes the action that is best if both turn out as good as they may well be.

    The index of an action is x·θ + exploration · sqrt(xᵀA⁻¹x) (Li et al., "A contextual-bandit approach to
    personalized news article recommendation", WWW 2010, algorithm 1), less the price for the cloud. It is
    deterministic: without a floor, its propensities are all 1 and its log says nothing about other policies.
    """

    def explore(self, context: Context, advantage: float) -> float:
        """1 if the cloud's index, less its price, is at least the edge's, else 0."""
        edge, cloud = (math.sqrt(arm.variance(context.features)) for arm in self.arms)
        return float(advantage + self.exploration * (cloud - edge) >= self.pacer.price)


@dataclass
class ThompsonSampling(LinearPolicy):
    """Takes each action with the probability that it is the better one, given what was seen.

    The posterior of an action's coefficients is N(θ, exploration² A⁻¹) (Agrawal & Goyal, "Thompson sampling for
    contextual bandits with linear payoffs", ICML 2013, algorithm 1). The difference of two independent normal
    variables is normal, so the probability of the cloud needs no sampling of coefficients:
    P = Φ((x·(θ₁ − θ₀) − price) / (exploration · sqrt(xᵀA₁⁻¹x + xᵀA₀⁻¹x))), and drawing the action with it is the same
    as drawing coefficients and comparing. Hence the propensity is exact.
    """

    def explore(self, context: Context, advantage: float) -> float:
        """Probability that the cloud is worth its price."""
        gain = advantage - self.pacer.price
        spread = self.exploration * math.sqrt(sum(arm.variance(context.features) for arm in self.arms))
        if spread == 0:
            return float(gain >= 0)
        return 0.5 * math.erfc(-gain / (spread * math.sqrt(2)))
