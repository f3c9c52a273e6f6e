"""Hard constraints of a request, and which pairs meet them; a request that none can serve is refused with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ianvs_collab.precision.arrays import Booleans, Codes, Floats, Integers
from ianvs_collab.precision.portfolio import PrecisionError
from ianvs_collab.precision.tables import Tables

MEMORY, ACCURACY, DEADLINE, BUSY, NOT_REACHED, LOST = -1, -2, -3, -4, -5, -6
"""Codes that stand in the place of a pair where a request was not served."""

REASONS = {
    MEMORY: "no device of the policy has enough free memory",
    ACCURACY: "no pair that fits is accurate enough",
    DEADLINE: "no pair that is accurate enough meets the deadline even when idle",
    BUSY: "every pair that could meet the deadline is too busy now",
    NOT_REACHED: "an earlier step of the workflow was refused",
    LOST: "every device of the policy is lost",
}


@dataclass(frozen=True)
class Requirements:
    """What one request, or one step of a workflow, insists on.

    Attributes:
        min_accuracy: Least accuracy of the variant, 0 to 1; None for any. This is the per-request mode; the average
            mode is a setting of the Lyapunov policy.
        confident: Judge by the lower end of the accuracy's 95 % interval, not by the accuracy itself.
        deadline_s: Most seconds from the decision to the answer; None for any. A pair meets it if the expected work
            ahead and a high quantile of the service time fit in.
        memory_bytes: Memory that the request needs beside the loaded variants, e.g. for its KV cache.
    """

    min_accuracy: float | None = None
    confident: bool = False
    deadline_s: float | None = None
    memory_bytes: int = 0

    def __post_init__(self) -> None:
        """Refuse what no request can mean."""
        if self.min_accuracy is not None and not 0 <= self.min_accuracy <= 1:
            raise PrecisionError(f"min_accuracy is a share from 0 to 1, not {self.min_accuracy!r}")
        if self.deadline_s is not None and not self.deadline_s > 0:
            raise PrecisionError(f"deadline_s must be above 0 seconds, not {self.deadline_s!r}")
        if self.memory_bytes < 0:
            raise PrecisionError(f"memory_bytes cannot be below 0, as {self.memory_bytes!r} is")


class Screen:
    """Tells which pairs meet the requirements of C classes of requests.

    Args:
        tables: The pairs.
        classes: The requirements, a class an element.
        eligible: Which pairs the policy considers at all, shape (P,).
    """

    def __init__(self, tables: Tables, classes: Sequence[Requirements], eligible: Booleans) -> None:
        self._tables = tables
        fitting = np.array([eligible & _fits(tables, each) for each in classes])
        self._static = fitting & np.array([_accurate(tables, each) for each in classes])
        self._refused = np.where(fitting.any(axis=1), np.where(self._static.any(axis=1), 0, ACCURACY), MEMORY)
        limits = [np.inf if each.deadline_s is None else each.deadline_s for each in classes]
        self._deadline = np.array(limits)
        self._timeless = bool(np.isinf(self._deadline).all())

    def check(self, classes: Integers, backlog: Floats, sizes: Floats) -> tuple[Booleans, Codes]:
        """Judge m requests.

        Args:
            classes: Their classes, shape (m,).
            backlog: Expected seconds of unfinished work on each of J devices, (m, J).
            sizes: Work of the requests relative to the mean, (m,).

        Returns:
            Which pairs may serve them, (m, P), and the codes of refusal, (m,), 0 where there is a pair.
        """
        allowed, refused = self._static[classes], self._refused[classes].astype(np.int16)
        if self._timeless:
            return allowed, refused
        own, limit = sizes[:, None] * self._tables.tail, self._deadline[classes][:, None]
        idle = allowed & (own <= limit)
        now: Booleans = idle & (own + backlog[:, self._tables.device] <= limit)
        late = np.where(idle.any(axis=1), np.where(now.any(axis=1), 0, BUSY), DEADLINE)
        return now, np.where(refused != 0, refused, late).astype(np.int16)


def _fits(tables: Tables, wanted: Requirements) -> Booleans:
    portfolio = tables.portfolio
    free = [
        np.inf if device.memory_bytes is None else device.memory_bytes - portfolio.occupied_bytes(device.name)
        for device in portfolio.devices
    ]
    enough: Booleans = np.array(free)[tables.device] >= wanted.memory_bytes
    return enough


def _accurate(tables: Tables, wanted: Requirements) -> Booleans:
    if wanted.min_accuracy is None:
        return np.ones(len(tables.device), dtype=bool)
    known = tables.accuracy
    if wanted.confident:
        known = np.array([pair.accuracy_interval()[0] for pair in tables.portfolio.pairs])
    enough: Booleans = known >= wanted.min_accuracy
    return enough
