"""Test, then train: a policy is judged on each query before it learns from it.

That is the prequential approach (Dawid, "Present position and potential developments: some personal views: statistical
theory: the prequential approach", JRSS A 1984).

Both models' answers are in a trace, so it is known what the other action would have given: the cost of exploring, and
the regret against an oracle. The policy sees neither; it is told what the user says of the answer that was shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.online.feedback import Users
from ianvs_collab.routing.online.policy import Context, Decision, OnlinePolicy
from ianvs_collab.routing.traces.trace import Floats


@dataclass(frozen=True)
class Replayed:
    """What came of a stream, query by query.

    Attributes:
        actions: 1 for the cloud, 0 for the edge; shape (n,).
        propensities: Probability with which that action was taken, shape (n,).
        greedy: The action that the estimates of that moment favoured, shape (n,).
        advantages: Quality that the cloud was expected to gain, shape (n,).
        prices: Price of the cloud at that moment, shape (n,).
        quality: Quality of the edge's and the cloud's answers, shape (n, 2).
    """

    actions: NDArray[np.int_]
    propensities: Floats
    greedy: NDArray[np.int_]
    advantages: Floats
    prices: Floats
    quality: Floats

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.actions)

    @property
    def shown(self) -> Floats:
        """Quality of the answers that were shown, shape (n,)."""
        return _taken(self.quality, self.actions)

    @property
    def cloud_share(self) -> float:
        """Fraction of queries that the cloud answered."""
        return float(self.actions.mean())

    @property
    def explored(self) -> float:
        """Fraction of queries on which the policy did not do what its estimates favoured."""
        return float(np.mean(self.actions != self.greedy))

    @property
    def exploration_cost(self) -> float:
        """Quality per query, net of the cloud's price, that was lost by exploring.

        Mean over queries of (quality − price · cloud) of the greedy action less that of the action taken. The greedy
        action is the one by the estimates of that moment, which had learned from what was explored before; so this is
        the price paid, and not what learning would have been without exploring.
        """
        greedy = _taken(self.quality, self.greedy) - self.prices * self.greedy
        return float(np.mean(greedy - (self.shown - self.prices * self.actions)))

    def part(self, start: int, stop: int | None = None) -> Replayed:
        """Queries `start` up to `stop`."""
        cut = slice(start, stop)
        return Replayed(*(getattr(self, name)[cut] for name in self.__dataclass_fields__))

    def regret(self) -> Floats:
        """Cumulated regret, shape (n,): quality that an oracle with the same number of cloud answers gained more."""
        oracle = oracle_actions(self.quality, self.cloud_share)
        total: Floats = np.cumsum(_taken(self.quality, oracle) - self.shown)
        return total


def oracle_actions(quality: Floats, cloud_share: float) -> NDArray[np.int_]:
    """What an oracle does with a budget: the cloud for the queries that gain most, earlier ones first among equals.

    Args:
        quality: Quality of the edge's and the cloud's answers, shape (n, 2).
        cloud_share: Fraction of queries that go to the cloud; they must, even where nothing is gained.
    """
    count = round(cloud_share * len(quality))
    order = np.argsort(quality[:, 0] - quality[:, 1], kind="stable")
    actions = np.zeros(len(quality), dtype=int)
    actions[order[:count]] = 1
    return actions


def windowed(values: Floats, width: int) -> Floats:
    """Means over windows of `width` values, one after the other; the last one takes what is left.

    Raises:
        RouterError: If the width is below 1.
    """
    if width < 1:
        raise RouterError(f"a window must be at least 1 wide, not {width!r}")
    starts = np.arange(0, max(len(values) - width, 0) + 1, width)
    sums: Floats = np.add.reduceat(values, starts)
    return sums / np.diff(np.append(starts, len(values)))


def replay(
    policy: OnlinePolicy,
    contexts: Sequence[Context],
    quality: Floats,
    rng: np.random.Generator,
    users: Users | None = None,
    *,
    first: int = 0,
) -> Replayed:
    """Route a stream with a policy that learns on the way.

    Args:
        policy: Changed in place.
        contexts: The queries in order.
        quality: Quality of the edge's and the cloud's answers, 0 to 1, shape (n, 2).
        rng: Draws the actions.
        users: What users are like; by default each says at once what is right.
        first: Number of the first query, for users' draws.

    Raises:
        RouterError: If there is no query, or queries and qualities are of unequal number.
    """
    if len(contexts) != len(quality) or not len(contexts):
        raise RouterError(f"{len(contexts)} queries and {len(quality)} qualities: they must be as many, and not none")
    users = users or Users()
    pending: deque[tuple[Context, Decision, float | None]] = deque()
    decisions, prices = [], []
    for number, context in enumerate(contexts):
        prices.append(policy.pacer.price)
        decision = policy.decide(context, rng)
        decisions.append(decision)
        pending.append((context, decision, users.says(first + number, float(quality[number, decision.action]))))
        if len(pending) > users.delay:
            _tell(policy, *pending.popleft())
    for late in pending:
        _tell(policy, *late)
    actions, propensities, greedy, advantages = map(np.array, zip(*decisions, strict=True))
    return Replayed(actions, propensities, greedy, advantages, np.array(prices), quality)


def _tell(policy: OnlinePolicy, context: Context, decision: Decision, reward: float | None) -> None:
    if reward is not None:
        policy.update(context, decision, reward)


def _taken(quality: Floats, actions: NDArray[np.int_]) -> Floats:
    taken: Floats = quality[np.arange(len(actions)), actions]
    return taken
