"""What a policy sees of the system, and what it does with it: score every pair and take the lowest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ianvs_collab.precision.arrays import Booleans, Floats, Integers
from ianvs_collab.precision.tables import Tables


@dataclass(frozen=True)
class View:
    """m requests that wait for a decision, each in a system of its own.

    Attributes:
        allowed: Pairs that meet the request's hard constraints, shape (m, P); at least one in each row.
        backlog: Expected seconds of unfinished work on each device, (m, J). The request in service counts whole,
            because nobody can see how much of an answer is still to come.
        unfinished: Requests on each device that are not finished, (m, J).
        sizes: Work of each request relative to the mean, (m,), as far as it is known on arrival.
    """

    allowed: Booleans
    backlog: Floats
    unfinished: Integers
    sizes: Floats


class Policy(ABC):
    """Chooses a pair for each request.

    A policy serves many independent systems ("replications") at once, so that one numpy operation decides for all of
    them; a live orchestrator is the case of one. Whatever it remembers, it keeps for each replication apart.
    """

    tables: Tables
    eligible: Booleans

    def begin(self, tables: Tables, replications: int) -> None:
        """Forget everything and get ready.

        Args:
            tables: What there is to choose from.
            replications: How many systems there are.

        Raises:
            PrecisionError: If the policy and the portfolio do not go together.
        """
        self.tables, self.eligible = tables, np.ones(len(tables.device), dtype=bool)

    @abstractmethod
    def score(self, rows: Integers, view: View) -> Floats:
        """Score every pair for every request, lower is better, also those that are not allowed.

        Returns:
            Shape (m, P), or (P,) if all requests have the same scores.
        """

    def choose(self, rows: Integers, view: View) -> Integers:
        """Take the allowed pair with the lowest score; the first of equals.

        Args:
            rows: Which replications the requests belong to, shape (m,), each at most once.
            view: The requests.

        Returns:
            Indices of pairs, (m,).
        """
        best: Integers = np.where(view.allowed, self.score(rows, view), np.inf).argmin(axis=1)
        return best
