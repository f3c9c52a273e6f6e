"""A simulated user: says whether the answer that was shown is right, perhaps late or wrongly, perhaps not at all.

In a job, somebody has to give the feedback that a user would give, and only the data set knows what is right. So the
data set processor puts a user behind each query. The user is sealed: it keeps no right answer but a keyed digest of it,
speaks only of an answer that it was shown, and speaks once. A router can therefore learn of each query what a real
deployment would learn, and never the right answer itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ianvs_collab.inference import Answer, Participant, Query, QueryProcessor, queries
from ianvs_collab.inference.dataset import DataSource
from ianvs_collab.routing.base import RouterError

NEVER_SHOWN = ("error", "timeout")
"""Outcomes of queries whose user got no answer."""


@dataclass(frozen=True)
class Users:
    """What users are like. Everything is drawn from the seed and the query's number, whatever was answered.

    Attributes:
        flip: Probability that a user says the opposite of what is right.
        probability: Probability that a user says anything.
        delay: How many later queries are answered before the feedback arrives.
        seed: Seed of the draws.

    Raises:
        RouterError: If a value is out of range.
    """

    flip: float = 0.0
    probability: float = 1.0
    delay: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("flip", "probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise RouterError(f"{name} must lie between 0 and 1, not {getattr(self, name)!r}")
        if self.delay < 0:
            raise RouterError(f"delay must not be below 0, not {self.delay!r}")

    def says(self, number: int, quality: float) -> float | None:
        """What the user of a query says to an answer: its quality, one minus it, or nothing (None).

        Args:
            number: The query's number in the data.
            quality: Quality of the answer that was shown, 0 to 1.
        """
        if self.flip == 0 and self.probability == 1:
            return quality
        speaks, flips = np.random.default_rng([self.seed, number]).random(2)
        if speaks >= self.probability:
            return None
        return 1 - quality if flips < self.flip else quality


class Clock:
    """Counts the answers that all users together were shown."""

    def __init__(self) -> None:
        self.shown = 0


class SealedUser:
    """The user behind one query.

    Args:
        gold: The right answer; only a keyed digest of it is kept.
        number: The query's number in the data.
        users: What users are like.
        clock: Shared by the users of one data set.
    """

    __slots__ = ("_clock", "_digest", "_done", "_key", "_number", "_seen_at", "_users", "_verdict")

    def __init__(self, gold: str, number: int, users: Users, clock: Clock) -> None:
        self._key = os.urandom(16)
        self._digest = self._seal(gold)
        self._number = number
        self._users = users
        self._clock = clock
        self._verdict: float | None = None
        self._seen_at: int | None = None
        self._done = False

    def see(self, answer: Mapping[str, Any]) -> None:
        """Be shown an answer; of several to one query (a cascade), the last one counts.

        What comes after the user has spoken is not looked at, nor is an answer that never arrived.
        """
        if self._done or answer.get("outcome") in NEVER_SHOWN:
            return
        if self._seen_at is None:
            self._clock.shown += 1
            self._seen_at = self._clock.shown
        right = self._seal(str(answer.get("answer"))) == self._digest
        self._verdict = self._users.says(self._number, float(right))

    @property
    def waiting(self) -> bool:
        """Whether feedback may still come: an answer was shown, and the delay is not over yet."""
        return self._seen_at is not None and not self._done and self._clock.shown - self._seen_at < self._users.delay

    def feedback(self) -> float | None:
        """Quality of the answer that was shown, as the user sees it; None if the user has nothing to say (any more).

        The user speaks once. Asking before an answer was shown, or before the delay is over, gives None and leaves the
        user free to speak later.
        """
        if self._done or self._seen_at is None or self.waiting:
            return None
        self._done = True
        return self._verdict

    def __deepcopy__(self, memo: dict[int, Any]) -> SealedUser:
        """A copy is the same user, so that nobody can ask twice."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Users do not travel to other processes: their copies could each be asked once.

        Raises:
            TypeError: Always.
        """
        raise TypeError("a simulated user cannot be pickled; make the queries in the process that asks them")

    def _seal(self, letter: str) -> bytes:
        return hashlib.blake2b(letter.encode(), key=self._key, digest_size=16).digest()


class FeedbackQuery(Query):
    """A query with a user behind it, who looks at whatever answer is made to it."""

    user: SealedUser
    routing: dict[str, Any] | None = None
    """How it was routed; put into its answers, so that a run's records are a log for off-policy evaluation."""
    _latest: tuple[Participant, Answer] | None = None

    @property
    def latest(self) -> tuple[Participant, Answer] | None:
        """The participant that answered last and its answer; setting it shows the answer to the user."""
        return self._latest

    @latest.setter
    def latest(self, value: tuple[Participant, Answer] | None) -> None:
        self._latest = value
        if value is None:
            return
        if self.routing is not None:
            value[1]["routing"] = self.routing
        self.user.see(value[1])


class FeedbackQueryProcessor(QueryProcessor):
    """The data set processor for routers that learn from feedback: queries with a simulated user behind each.

    Args:
        flip: Probability that a user says the opposite of what is right.
        feedback_probability: Probability that a user says anything.
        delay: How many later queries are answered before the feedback arrives.
        seed: Seed of the users.
        **arguments: As for `QueryProcessor`.
    """

    def __init__(
        self,
        flip: float = 0.0,
        feedback_probability: float = 1.0,
        delay: int = 0,
        seed: int = 0,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.users = Users(flip, feedback_probability, delay, seed)

    def __call__(self, dataset: DataSource) -> DataSource:
        """Replace the rows of a data source by queries with users; returns the same data source."""
        made = queries(dataset, system=self.system, extractor=self.extractor, shots=self.shots)
        clock = Clock()
        dataset.x = [
            with_user(query, SealedUser(str(gold), number, self.users, clock))
            for number, (query, gold) in enumerate(zip(made, dataset.y, strict=True))
        ]
        return dataset


def with_user(query: Query, user: SealedUser) -> FeedbackQuery:
    """The same query with a user behind it."""
    made = FeedbackQuery(query)
    made.user = user
    return made
