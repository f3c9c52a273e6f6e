"""Policies that learn from bandit feedback: only the quality of the answer that was shown is ever known.

A policy estimates what the cloud gains on a query, sends the query there with some probability, and learns from the
quality of what came back. The probability is kept with the decision (the propensity), because without it logged routes
cannot be evaluated off-policy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.online.pacing import Pacer
from ianvs_collab.routing.scorer import Input
from ianvs_collab.routing.traces.trace import Floats

EDGE, CLOUD = 0, 1


class Context(NamedTuple):
    """What a policy sees of a query.

    Attributes:
        features: Shape (d,).
        data: The query itself, or the edge's answer in a cascade; for policies that learn from texts.
    """

    features: Floats
    data: Input


class Decision(NamedTuple):
    """Where a query goes.

    Attributes:
        action: 1 for the cloud, 0 for the edge.
        propensity: Probability with which this action was taken, above 0.
        greedy: The action that the present estimates favour; where it differs, the policy explored.
        advantage: Quality that the cloud is expected to gain.
    """

    action: int
    propensity: float
    greedy: int
    advantage: float


@dataclass
class OnlinePolicy(ABC):
    """Decides, and learns from the quality of the answer that was shown.

    Attributes:
        pacer: The price of the cloud.
        floor: Least probability of either action; above 0, logged routes can be evaluated off-policy.
        frozen: Neither explores nor learns: the twin that a learning policy is compared with. Its price still follows
            the budget, for which no feedback is needed.
    """

    pacer: Pacer = field(default_factory=Pacer)
    floor: float = 0.0
    frozen: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 0 <= self.floor < 0.5:  # noqa: PLR2004 - beyond one half, both actions cannot have it
            raise RouterError(f"floor must lie between 0 and 0.5, not {self.floor!r}")

    @abstractmethod
    def advantage(self, context: Context) -> float:
        """Quality that the cloud is expected to gain on a query."""

    @abstractmethod
    def explore(self, context: Context, advantage: float) -> float:
        """Probability with which the policy sends a query to the cloud at the present price.

        Args:
            context: The query.
            advantage: What `advantage` says of it.
        """

    @abstractmethod
    def warm_up(self, contexts: Sequence[Context], quality: Floats) -> None:
        """Learn from queries which both models answered, and set the first price.

        Args:
            contexts: The queries, n of them.
            quality: Quality of the edge's and the cloud's answers, shape (n, 2).

        Raises:
            RouterError: If there is none.
        """

    @abstractmethod
    def learn(self, context: Context, decision: Decision, reward: float) -> None:
        """Learn from the quality of the answer that was shown."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what was learned into an existing folder."""

    @abstractmethod
    def restore(self, folder: Path) -> None:
        """Read back what `save` wrote.

        Raises:
            RouterError: If a file is missing or damaged, or belongs to other settings.
        """

    @property
    def reads_answer(self) -> bool:
        """Whether it looks at the edge's answer, and so can only work in a cascade."""
        return False

    def decide(self, context: Context, rng: np.random.Generator) -> Decision:
        """Decide for a query; draws one number whatever the policy, and moves the price."""
        advantage = self.advantage(context)
        greedy = int(advantage >= self.pacer.price)
        probability = float(greedy)
        if not self.frozen:
            probability = min(max(self.explore(context, advantage), self.floor), 1 - self.floor)
        action = int(rng.random() < probability)
        self.pacer.spend(action)
        return Decision(action, probability if action else 1 - probability, greedy, advantage)

    def update(self, context: Context, decision: Decision, reward: float) -> None:
        """Take notice of the quality of the answer that was shown, 0 to 1."""
        if not self.frozen:
            self.learn(context, decision, reward)

    def _require_queries(self, contexts: Sequence[Context]) -> None:
        if not len(contexts):
            raise RouterError("a policy needs at least one query to warm up; give it a trace with more rows")
