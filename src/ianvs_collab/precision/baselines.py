"""What an orchestrator has to be better than."""

from __future__ import annotations

import difflib

import numpy as np

from ianvs_collab.precision.arrays import Floats, Integers
from ianvs_collab.precision.policy import Policy, View
from ianvs_collab.precision.portfolio import PrecisionError
from ianvs_collab.precision.tables import Cost, Tables


class DeviceOnly(Policy):
    """Sends everything to one device, to its most accurate variant that is allowed; "cloud-only" is the usual case.

    Args:
        device: Name of the device.
    """

    def __init__(self, device: str = "cloud") -> None:
        self._device = device

    def begin(self, tables: Tables, replications: int) -> None:
        """See Policy.begin."""
        super().begin(tables, replications)
        names = [device.name for device in tables.portfolio.devices]
        self.eligible = tables.device == _index(self._device, names, "device")

    def score(self, rows: Integers, view: View) -> Floats:
        """See Policy.score."""
        return -self.tables.accuracy


class FixedVariant(Policy):
    """Uses one variant only, on the device where the expected answer is soonest.

    Args:
        variant: Name of the variant.
    """

    def __init__(self, variant: str) -> None:
        self._variant = variant

    def begin(self, tables: Tables, replications: int) -> None:
        """See Policy.begin."""
        super().begin(tables, replications)
        _index(self._variant, tables.portfolio.variants, "variant")
        self.eligible = np.array([pair.variant == self._variant for pair in tables.portfolio.pairs])

    def score(self, rows: Integers, view: View) -> Floats:
        """See Policy.score."""
        return view.backlog[:, self.tables.device] + view.sizes[:, None] * self.tables.work


class RoundRobin(Policy):
    """Takes the pairs in turn, skipping those that are not allowed."""

    def begin(self, tables: Tables, replications: int) -> None:
        """See Policy.begin."""
        super().begin(tables, replications)
        self._last = np.full(replications, -1)

    def score(self, rows: Integers, view: View) -> Floats:
        """How many places after the last choice; see Policy.score."""
        places = np.arange(len(self.tables.device))
        after: Floats = (places - self._last[rows][:, None] - 1) % len(places) * 1.0
        return after

    def choose(self, rows: Integers, view: View) -> Integers:
        """See Policy.choose."""
        pairs = super().choose(rows, view)
        self._last[rows] = pairs
        return pairs


class JoinShortestQueue(Policy):
    """Goes where the fewest requests are unfinished; there, and among equals, to the most accurate variant."""

    def score(self, rows: Integers, view: View) -> Floats:
        """See Policy.score."""
        return view.unfinished[:, self.tables.device] - 0.5 * self.tables.accuracy


class MinCost(Policy):
    """Takes the cheapest pair, whatever the queues.

    Args:
        cost: What cheap means.
    """

    def __init__(self, cost: Cost = "price") -> None:
        self._cost = cost

    def begin(self, tables: Tables, replications: int) -> None:
        """See Policy.begin."""
        super().begin(tables, replications)
        self._penalty = tables.normalised_cost(self._cost)

    def score(self, rows: Integers, view: View) -> Floats:
        """See Policy.score."""
        return self._penalty


class SimplifiedScore(MinCost):
    """The published simplification V·cost + (1 - V)·queue: no service times, no memory of what averages owe.

    Cost is normalised as in the Lyapunov policy, the queue is in the portfolio's unit of work. With V = 1 the queues
    are ignored, and whatever is cheapest is flooded.

    Args:
        v: From 0 (queue alone) to 1 (cost alone).
        cost: What the cost is.
    """

    def __init__(self, v: float, cost: Cost = "price") -> None:
        super().__init__(cost)
        if not 0 <= v <= 1:
            raise PrecisionError(f"v lies between 0 and 1 in the simplified score, so it cannot be {v!r}")
        self._v = v

    def score(self, rows: Integers, view: View) -> Floats:
        """See Policy.score."""
        queue = view.backlog[:, self.tables.device] / self.tables.work_unit
        return self._v * self._penalty + (1 - self._v) * queue


def _index(name: str, known: list[str], what: str) -> int:
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
        raise PrecisionError(f"the portfolio has no {what} {name!r}{hint}")
    return known.index(name)
