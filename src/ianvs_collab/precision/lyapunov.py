"""Drift plus penalty: weigh cost against backlog and against what the long-run averages still owe.

Source: M. J. Neely, "Stochastic Network Optimization with Application to Communication and Queueing Systems" (2010),
chapter 4. Each constraint on a time average becomes a virtual queue that grows while the constraint is broken and is
stable only if it holds on average. Minimising V · penalty + drift at every decision brings the cost within O(1/V) of
the best that any policy can reach, with queues of O(V) (the drift-plus-penalty theorem).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ianvs_collab.precision.arrays import Floats, Integers
from ianvs_collab.precision.policy import Policy, View
from ianvs_collab.precision.portfolio import PrecisionError
from ianvs_collab.precision.tables import Cost, Tables


class Lyapunov(Policy):
    """Minimises V·p(i,j) + Q_j·w_ij + Z·(ā - acc_i) + Y·e_ij over the pairs (i, j) that are allowed.

    Units: cost p and energy e as shares of the dearest pair's, work Q and w in the portfolio's unit of work, accuracy
    from 0 to 1. A request of size s costs, works and burns s times as much. After a decision Z becomes
    max(Z + ā - acc, 0) and Y becomes max(Y + e - ē, 0); Q_j is what `View.backlog` says.

    Args:
        v: Weight of the cost, above or equal 0; a number, or one for each replication.
        average_accuracy: ā, the least average accuracy; None for no such constraint. A number or one for each.
        energy_budget: ē, the most joules for a request on average; None for no such constraint. Likewise.
        cost: What p is.
        own_work: Add (w_ij)²/2. Then the drift of Q²/2 is minimised itself, not the usual bound on it, and a request
            sees its own service time, without which idle devices look alike however slow they are.

    Attributes:
        accuracy_debt: Z, shape (replications,).
        energy_debt: Y, (replications,).
    """

    def __init__(
        self,
        v: ArrayLike,
        average_accuracy: ArrayLike | None = None,
        energy_budget: ArrayLike | None = None,
        cost: Cost = "price",
        *,
        own_work: bool = False,
    ) -> None:
        self._v, self._accuracy, self._budget = _at_least_0(v, "v"), average_accuracy, energy_budget
        self._cost, self._own_work = cost, own_work

    def begin(self, tables: Tables, replications: int) -> None:
        """See Policy.begin."""
        super().begin(tables, replications)
        self.accuracy_debt, self.energy_debt = np.zeros(replications), np.zeros(replications)
        self._weight = np.broadcast_to(self._v, replications)[:, None]
        self._penalty = tables.normalised_cost(self._cost)
        self._work = tables.work / tables.work_unit**2  # times a backlog in seconds gives Q·w in units
        target = 0.0 if self._accuracy is None else _at_least_0(self._accuracy, "average_accuracy")
        self._target = np.broadcast_to(target, replications)
        self._check_target()
        self._energy, self._allowance = np.zeros_like(tables.work), np.zeros(replications)
        if self._budget is not None:
            budget = _at_least_0(self._budget, "energy_budget")
            self._energy = tables.normalised_cost("energy")
            self._allowance = np.broadcast_to(budget / tables.energy.max(), replications)

    def _check_target(self) -> None:
        best = self.tables.accuracy.max()
        if (self._target > best).any():
            raise PrecisionError(
                f"no mix of pairs has an average accuracy of {self._target.max():g}; the best pair has {best:g}"
            )

    def score(self, rows: Integers, view: View) -> Floats:
        """The expression above; see Policy.score."""
        costs = self._weight[rows] * self._penalty + view.backlog.take(self.tables.device, axis=1) * self._work
        if self._own_work:
            costs += 0.5 * view.sizes[:, None] * self._work * self.tables.work
        if self._budget is not None:
            costs += self.energy_debt[rows][:, None] * self._energy
        costs *= view.sizes[:, None]
        if self._accuracy is not None:
            costs += self.accuracy_debt[rows][:, None] * (self._target[rows][:, None] - self.tables.accuracy)
        return costs

    def choose(self, rows: Integers, view: View) -> Integers:
        """Take the best pair and bring the virtual queues up to date; see Policy.choose."""
        pairs = super().choose(rows, view)
        if self._accuracy is not None:
            owed = self.accuracy_debt[rows] + self._target[rows] - self.tables.accuracy[pairs]
            self.accuracy_debt[rows] = np.maximum(owed, 0)
        if self._budget is not None:
            burnt = self.energy_debt[rows] + view.sizes * self._energy[pairs] - self._allowance[rows]
            self.energy_debt[rows] = np.maximum(burnt, 0)
        return pairs


def _at_least_0(values: ArrayLike, name: str) -> Floats:
    checked = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(checked) & (checked >= 0)).all():
        raise PrecisionError(f"{name} must be finite and at least 0, not {values!r}")
    return checked
