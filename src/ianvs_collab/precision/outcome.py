"""What became of a simulated workload, request by request, and the figures that are made of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ianvs_collab.precision.arrays import Booleans, Codes, Floats
from ianvs_collab.precision.requirements import REASONS
from ianvs_collab.precision.tables import Cost, Tables
from ianvs_collab.precision.workload import Workload


@dataclass(frozen=True)
class Outcome:
    """Of R replications with n requests of k steps.

    Figures are of the requests from `first` on, so that a warm-up can be left out. Latency runs from the arrival to
    the end of the last step. Accuracy is the calibrated accuracy of the chosen pairs: a simulation answers nothing.

    Attributes:
        tables: The portfolio.
        workload: What was to be served.
        choice: The pair of each step, or a negative code (see `requirements.REASONS`), shape (R, n, k).
        finish: When each step finished, seconds; not-a-number where it was not served, (R, n, k).
        backlog: Expected seconds of unfinished work on all devices, as each decision found it, (R, n, k).
        presence: Requests in the system, integrated over the run, request-seconds, (R,).
    """

    tables: Tables
    workload: Workload
    choice: Codes
    finish: Floats
    backlog: Floats
    presence: Floats

    @property
    def served(self) -> Booleans:
        """Which requests got all of their steps, (R, n)."""
        done: Booleans = np.asarray((self.choice >= 0).all(axis=2))
        return done

    @property
    def latency(self) -> Floats:
        """Seconds from arrival to answer, not-a-number if refused, (R, n)."""
        ends: Floats = self.finish.max(axis=2)  # not-a-number if any step has none
        return ends - self.workload.arrivals

    def mean_latency(self, first: int = 0) -> Floats:
        """Mean seconds of the requests served, (R,); not-a-number where none was."""
        return np.array([each.mean() if each.size else np.nan for each in self._latencies(first)])

    def latency_quantile(self, share: float, first: int = 0) -> Floats:
        """A quantile of the latency of the requests served, seconds, (R,); not-a-number where none was."""
        return np.array([np.quantile(each, share) if each.size else np.nan for each in self._latencies(first)])

    def _latencies(self, first: int) -> list[Floats]:
        return [each[~np.isnan(each)] for each in self.latency[:, first:]]

    def accuracy(self, first: int = 0) -> Floats:
        """Mean accuracy of the pairs chosen, (R,); not-a-number where none was."""
        return self._mean_over_decisions(self.tables.accuracy, first, sized=False)

    def cost(self, kind: Cost, first: int = 0) -> Floats:
        """Mean price or energy of a step served, in currency units or joules, (R,); not-a-number where none was.

        Raises:
            PrecisionError: If energy is asked for and some pair has none.
        """
        return self._mean_over_decisions(self.tables.cost(kind), first, sized=True)

    def refusals(self) -> dict[str, int]:
        """How many requests were refused over all replications, by reason."""
        codes = np.where(self.choice < 0, self.choice, 0).max(axis=2, initial=-99, where=self.choice < 0)
        return {reason: int((codes == code).sum()) for code, reason in REASONS.items() if (codes == code).any()}

    def backlog_growth(self, first: int = 0) -> Floats:
        """Slope of the backlog over time by least squares, seconds of work in a second, (R,).

        It is the share of one device by which the system is overrun: near 0 if stable.
        """
        times, found = self.workload.arrivals[:, first:], self.backlog[:, first:, 0]
        centred = times - times.mean(axis=1, keepdims=True)
        slopes: Floats = (centred * found).sum(axis=1) / (centred**2).sum(axis=1)
        return slopes

    def _mean_over_decisions(self, values: Floats, first: int, *, sized: bool) -> Floats:
        chosen = self.choice[:, first:]
        weight = self.workload.sizes[:, first:, None] if sized else 1.0
        decided = chosen >= 0
        taken = np.where(decided, values[np.maximum(chosen, 0)] * weight, 0.0).sum(axis=(1, 2))
        made = decided.sum(axis=(1, 2))
        means: Floats = np.divide(taken, made, out=np.full(len(made), np.nan), where=made > 0)
        return means
