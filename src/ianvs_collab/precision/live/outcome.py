"""What became of requests that were really served, request by request, and the figures that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ianvs_collab.precision.arrays import Floats
from ianvs_collab.precision.portfolio import Pair


@dataclass(frozen=True)
class Served:
    """One request; times are in seconds from the start of the run.

    Attributes:
        arrival_s: When it was scheduled to arrive.
        decided_s: When a pair was chosen for it; later than that by what the machine was late.
        pair: What served it, or was to serve it when it failed; None if it was refused.
        finished_s: When the answer came; None if none came.
        worked_s: Measured work of the answer.
        busy_s: How long it kept the device busy, emulated slowness included.
        late: Whether the emulated device was faster than this machine could be, so that `busy_s` is too long.
        right: Whether the answer was right; None if none came.
        reroutes: How often it was sent anew because a worker had died.
        reason: Why there is no answer; None if there is one.
    """

    arrival_s: float
    decided_s: float
    pair: Pair | None
    finished_s: float | None = None
    worked_s: float | None = None
    busy_s: float | None = None
    late: bool = False
    right: bool | None = None
    reroutes: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class LiveOutcome:
    """A run of a fleet. Figures are of the requests from `first` on, so that a warm-up can be left out.

    Attributes:
        requests: In order of arrival.
        deaths: Reasons of the workers that were lost, by device.
    """

    requests: Sequence[Served]
    deaths: dict[str, str]

    @property
    def latency(self) -> Floats:
        """Seconds from the scheduled arrival to the answer, not-a-number where none came, shape (n,)."""
        ends = [np.nan if one.finished_s is None else one.finished_s - one.arrival_s for one in self.requests]
        return np.array(ends)

    def mean_latency(self, first: int = 0) -> float:
        """Mean seconds of the requests answered; not-a-number where none was."""
        known = self._answered(first)
        return float(known.mean()) if known.size else float("nan")

    def latency_quantile(self, share: float, first: int = 0) -> float:
        """A quantile of the latency of the requests answered, seconds; not-a-number where none was."""
        known = self._answered(first)
        return float(np.quantile(known, share)) if known.size else float("nan")

    def accuracy(self, first: int = 0) -> float:
        """Share of all requests that were answered rightly; those without an answer count as wrong."""
        return float(np.mean([bool(one.right) for one in self.requests[first:]]))

    def failures(self) -> dict[str, int]:
        """How many requests got no answer, by reason."""
        reasons = [one.reason for one in self.requests if one.reason is not None]
        return {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}

    def busy_seconds(self) -> dict[tuple[str, str], list[float]]:
        """Seconds that each answer kept its device busy, by (variant, device)."""
        found: dict[tuple[str, str], list[float]] = {}
        for one in self.requests:
            if one.pair is not None and one.busy_s is not None:
                found.setdefault((one.pair.variant, one.pair.device), []).append(one.busy_s)
        return found

    def _answered(self, first: int) -> Floats:
        latency = self.latency[first:]
        known: Floats = latency[~np.isnan(latency)]
        return known
