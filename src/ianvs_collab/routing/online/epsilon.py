"""Epsilon-greedy with any scorer, refitted now and then to what was learned lately.

A scorer wants labels that say what the cloud would have gained, and bandit feedback shows one of the two answers only.
So each observation becomes the doubly robust pseudo-label (Dudík, Langford & Li, "Doubly robust policy evaluation and
learning", ICML 2011)

    (m₁ − m₀) + cloud/p · (r − m₁) − (1 − cloud)/p · (r − m₀)

with p the propensity and m the mean quality of either model so far. Because m depends on the past alone, its expected
value is the cloud's true gain on that query, whatever m is.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.crossfit import out_of_fold
from ianvs_collab.routing.online.files import read_json, write_json
from ianvs_collab.routing.online.policy import CLOUD, EDGE, Context, Decision, OnlinePolicy
from ianvs_collab.routing.online.ridge import RidgeScorer
from ianvs_collab.routing.scorer import Input, Scorer
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats

STATE, WINDOW, SCORER = "policy.json", "window.jsonl", "scorer"


@dataclass
class EpsilonGreedy(OnlinePolicy):
    """Does what the scorer favours, except for a fraction of queries that are sent by chance.

    Attributes:
        epsilon: Fraction of queries that explore: they go to the cloud with the budget's probability, so exploring
            does not change the share.
        scorer: Learns from texts or answers; whatever `make_scorer` makes.
        every: Number of observations after which the scorer is fitted anew.
        window: Number of latest observations that it is fitted to; those of the warm-up are the oldest.
    """

    epsilon: float = 0.1
    scorer: Scorer = field(default_factory=RidgeScorer)
    every: int = 500
    window: int = 4000

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if not 0 < self.epsilon <= 1:
            raise RouterError(f"epsilon must lie above 0 and at most at 1, not {self.epsilon!r}")
        if self.every < 1 or self.window < 2:  # noqa: PLR2004 - one observation has no spread
            raise RouterError(f"every must be at least 1 and window at least 2, not {self.every!r} and {self.window!r}")
        self._seen: deque[tuple[Input, float]] = deque(maxlen=self.window)
        self._since = 0
        self._means = np.zeros(2)
        self._counts = np.zeros(2)

    @property
    def reads_answer(self) -> bool:
        """Whether the scorer looks at the edge's answer."""
        return self.scorer.reads_answer

    def advantage(self, context: Context) -> float:
        """The scorer's score."""
        return float(self.scorer.scores([context.data])[0])

    def explore(self, context: Context, advantage: float) -> float:
        """1 or 0 with probability 1 − epsilon, else the budget's share."""
        return (1 - self.epsilon) * float(advantage >= self.pacer.price) + self.epsilon * self.pacer.share

    def warm_up(self, contexts: Sequence[Context], quality: Floats) -> None:
        """Fit the scorer to queries which both models answered; out-of-fold scores set the first price."""
        self._require_queries(contexts)
        inputs, gains = [context.data for context in contexts], quality[:, CLOUD] - quality[:, EDGE]
        self._seen.extend(zip(inputs, map(float, gains), strict=True))
        self._means, self._counts = quality.mean(axis=0), np.full(2, float(len(quality)))
        target = worth_target(gains)
        self.pacer.start(out_of_fold(self.scorer, inputs, target))
        self.scorer = self.scorer.fresh().fit(inputs, target)

    def learn(self, context: Context, decision: Decision, reward: float) -> None:
        """Keep the observation as a pseudo-label; every so often, fit the scorer anew."""
        action = decision.action
        sign = 1 if action == CLOUD else -1
        correction = sign * (reward - self._means[action]) / decision.propensity
        self._seen.append((context.data, float(self._means[CLOUD] - self._means[EDGE] + correction)))
        self._counts[action] += 1
        self._means[action] += (reward - self._means[action]) / self._counts[action]
        self._since += 1
        if self._since >= self.every:
            self._since = 0
            self._refit()

    def save(self, folder: Path) -> None:
        """Write scorer, window and price."""
        (folder / SCORER).mkdir(exist_ok=True)
        self.scorer.save(folder / SCORER)
        lines = (json.dumps([*_encoded(data), worth], ensure_ascii=False) + "\n" for data, worth in self._seen)
        (folder / WINDOW).write_text("".join(lines), encoding="utf-8")
        numbers = {"means": self._means.tolist(), "counts": self._counts.tolist(), "since": self._since}
        write_json(folder / STATE, {"scorer": self.scorer.name, "price": self.pacer.price, **numbers})

    def restore(self, folder: Path) -> None:
        """Read them back."""
        state = read_json(folder / STATE)
        try:
            if state["scorer"] != self.scorer.name:
                raise RouterError(f"{folder} was saved with the scorer {state['scorer']!r}, not {self.scorer.name!r}")
            lines = (folder / WINDOW).read_text(encoding="utf-8").splitlines()
            seen = [(_decoded(query, answer), float(worth)) for query, answer, worth in map(json.loads, lines)]
            means, counts, since = np.array(state["means"]), np.array(state["counts"]), int(state["since"])
            self.pacer.price = float(state["price"])
        except RouterError:
            raise
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise RouterError(f"{folder} holds no state of this policy ({error!r}); save the router again") from error
        self.scorer = self.scorer.fresh()
        self.scorer.restore(folder / SCORER)
        self._seen, self._since = deque(seen, maxlen=self.window), since
        self._means, self._counts = means, counts

    def _refit(self) -> None:
        inputs, worths = zip(*self._seen, strict=True)
        gains = np.array(worths)
        if np.ptp(gains) > 0:  # where all queries gain the same there is nothing to tell apart
            self.scorer = self.scorer.fresh().fit(inputs, worth_target(gains))


def worth_target(gains: Floats) -> Target:
    """A target whose expected worth is any number for each query.

    It has the classes loss, same and gain, worth −c, 0 and c with c the largest absolute gain; a gain g has the
    probability |g| / c of its side.

    Args:
        gains: Shape (n,).
    """
    largest = float(np.abs(gains).max()) or 1.0
    up, down = np.maximum(gains, 0) / largest, np.maximum(-gains, 0) / largest
    return Target("worth", np.column_stack([down, 1 - up - down, up]), np.array([-largest, 0.0, largest]))


def _encoded(data: Input) -> tuple[dict[str, Any], dict[str, Any] | None]:
    return dict(Query.of(data)), dict(data) if isinstance(data, Answer) else None


def _decoded(query: dict[str, Any], answer: dict[str, Any] | None) -> Input:
    return Query(query) if answer is None else Answer(answer, Query(query))
