"""The orchestrator of one live system: the policies of the simulation, told of finishes as they happen."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np

from ianvs_collab.precision.arrays import Integers
from ianvs_collab.precision.policy import Policy, View
from ianvs_collab.precision.portfolio import Pair, Portfolio, PrecisionError
from ianvs_collab.precision.requirements import ACCURACY, BUSY, DEADLINE, LOST, MEMORY, REASONS, Requirements, Screen
from ianvs_collab.precision.tables import Tables

_ASKED = {MEMORY: "memory_bytes", ACCURACY: "min_accuracy", DEADLINE: "deadline_s", BUSY: "deadline_s"}


@dataclass(frozen=True)
class Decision:
    """Where a request goes.

    Attributes:
        pair: The variant and its device.
        number: Tells the decisions of an orchestrator apart.
        expected_seconds: Service time that is expected of it.
    """

    pair: Pair
    number: int
    expected_seconds: float


@dataclass(frozen=True)
class Refusal:
    """Why a request goes nowhere.

    Attributes:
        code: As in a simulation's outcome, see `requirements.REASONS`.
        reason: In words, with what was asked for.
    """

    code: int
    reason: str


class Orchestrator:
    """Chooses a pair for each request of a live system. Threads may share one.

    Args:
        portfolio: What there is to choose from.
        policy: What chooses; begun anew, and not to be shared with another orchestrator.
        quantile: Which quantile of a pair's service times deadlines are judged by.

    Raises:
        PrecisionError: If the policy and the portfolio do not go together.
    """

    def __init__(self, portfolio: Portfolio, policy: Policy, quantile: float = 0.95) -> None:
        self._tables, self._policy, self._lock = Tables.of(portfolio, quantile), policy, Lock()
        policy.begin(self._tables, 1)
        self._screens: dict[Requirements, Screen] = {}
        self._eligible = policy.eligible.copy()
        self._backlog = np.zeros((1, self._tables.devices))
        self._open: dict[int, tuple[int, float]] = {}
        self._made = 0

    def decide(self, wanted: Requirements | None = None, size: float = 1.0) -> Decision | Refusal:
        """Choose a pair; the caller runs the request there and says `finished` when it is over, however it ended.

        Args:
            wanted: Hard constraints; none if left out.
            size: Work of the request relative to the mean, as far as it is known.

        Raises:
            PrecisionError: If the size is not above 0.
        """
        if not size > 0:
            raise PrecisionError(f"the size of a request is relative to the mean and above 0, not {size!r}")
        wanted, sizes = wanted or Requirements(), np.array([size])
        with self._lock:
            if not self._eligible.any():
                return Refusal(LOST, REASONS[LOST])
            screen = self._screens.setdefault(wanted, Screen(self._tables, [wanted], self._eligible))
            allowed, refused = screen.check(np.array([0]), self._backlog, sizes)
            if refused[0]:
                return _refusal(int(refused[0]), wanted)
            view = View(allowed, self._backlog.copy(), self._unfinished(), sizes)
            return self._note(int(self._policy.choose(np.array([0]), view)[0]), size)

    def finished(self, decision: Decision) -> None:
        """Take a request off its device's queue.

        Raises:
            PrecisionError: If it was not made here or is finished already.
        """
        with self._lock:
            if decision.number not in self._open:
                raise PrecisionError(f"decision {decision.number} is finished already or another orchestrator's")
            device, work = self._open.pop(decision.number)
            left = max(self._backlog[0, device] - work, 0.0)
            self._backlog[0, device] = left if self._unfinished()[0, device] else 0.0  # not what rounding left

    def lost(self, device: str) -> None:
        """Choose a device no more; what was decided for it stays in its queue until it is `finished`.

        Raises:
            PrecisionError: If there is no such device.
        """
        names = [each.name for each in self._tables.portfolio.devices]
        if device not in names:
            raise PrecisionError(f"the portfolio has no device {device!r}; there are {', '.join(names)}")
        with self._lock:
            self._eligible &= self._tables.device != names.index(device)
            self._screens.clear()

    @property
    def backlog(self) -> dict[str, float]:
        """Expected seconds of unfinished work on each device."""
        names = (device.name for device in self._tables.portfolio.devices)
        return dict(zip(names, map(float, self._backlog[0]), strict=True))

    def _unfinished(self) -> Integers:
        counts = np.zeros((1, self._tables.devices), dtype=np.int64)
        for device, _ in self._open.values():
            counts[0, device] += 1
        return counts

    def _note(self, index: int, size: float) -> Decision:
        device, work = int(self._tables.device[index]), float(self._tables.work[index] * size)
        self._backlog[0, device] += work
        decision = Decision(self._tables.portfolio.pairs[index], self._made, work)
        self._open[self._made] = device, work
        self._made += 1
        return decision


def _refusal(code: int, wanted: Requirements) -> Refusal:
    field = _ASKED[code]
    return Refusal(code, f"{REASONS[code]} (the request asks for {field}={getattr(wanted, field)!r})")
