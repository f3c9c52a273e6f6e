"""The best that any policy could do in the long run, by linear programming.

A stationary randomised policy sends a share x_cp of the requests of size s_c to pair p. Time averages depend on the
shares only, so the least cost subject to the averages is a linear programme, and no policy does better (Neely 2010,
chapter 4). It knows the arrival rate and never queues; it is a bound, not a competitor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from ianvs_collab.precision.arrays import Floats
from ianvs_collab.precision.portfolio import Portfolio, PrecisionError
from ianvs_collab.precision.tables import Cost, Tables
from ianvs_collab.precision.workload import Mix


@dataclass(frozen=True)
class Averages:
    """Constraints on time averages.

    Attributes:
        accuracy: Least mean accuracy; None for any.
        energy: Most joules for a request on average; None for any.
    """

    accuracy: float | None = None
    energy: float | None = None


def capacity(portfolio: Portfolio, averages: Averages | None = None, sizes: Mix | None = None) -> float:
    """Returns the highest arrival rate, in requests per second, at which some policy is stable and keeps the averages.

    Raises:
        PrecisionError: If no mix of pairs keeps the averages at any rate.
    """
    shares = _Shares(Tables.of(portfolio), averages or Averages(), sizes or Mix())
    # the last variable is the busiest device's seconds of work for each arrival
    upper = np.vstack([np.hstack([shares.work, -np.ones((len(shares.work), 1))]), shares.averages(1)])
    limits = np.concatenate([np.zeros(len(shares.work)), shares.limits])
    busiest = shares.solve(np.append(np.zeros(shares.variables), 1.0), upper, limits)
    return 1 / busiest


def least_cost(
    portfolio: Portfolio,
    rate: float,
    averages: Averages | None = None,
    sizes: Mix | None = None,
    cost: Cost = "price",
) -> float:
    """Returns the least mean cost of a request, in currency units or joules, at an arrival rate.

    Raises:
        PrecisionError: If no policy is stable at that rate and keeps the averages.
    """
    tables = Tables.of(portfolio)
    shares = _Shares(tables, averages or Averages(), sizes or Mix())
    upper = np.vstack([rate * shares.work, shares.averages(0)])
    limits = np.concatenate([np.ones(len(shares.work)), shares.limits])
    return shares.solve(shares.sized(tables.cost(cost)), upper, limits)


class _Shares:
    """Rows of the programme over x, one variable for each size and pair, size after size."""

    def __init__(self, tables: Tables, averages: Averages, sizes: Mix) -> None:
        self._weight, self._values, self._pairs = np.array(sizes.shares), np.array(sizes.values), len(tables.work)
        self.variables = self._pairs * len(self._weight)
        at = tables.device == np.arange(tables.devices)[:, None]
        self.work = np.stack([self.sized(each) for each in at * tables.work])
        rows, limits = [], []
        if averages.accuracy is not None:
            rows.append(-np.kron(self._weight, tables.accuracy))
            limits.append(-averages.accuracy)
        if averages.energy is not None:
            rows.append(self.sized(tables.cost("energy")))
            limits.append(averages.energy)
        self._rows, self.limits = np.array(rows).reshape(len(rows), self.variables), np.array(limits)

    def sized(self, values: Floats) -> Floats:
        """Coefficients of a mean over requests of something that grows with their size."""
        return np.kron(self._weight * self._values, values)

    def averages(self, further: int) -> Floats:
        """Rows of the constraints on averages, with zeros for further variables."""
        return np.hstack([self._rows, np.zeros((len(self._rows), further))])

    def solve(self, cost: Floats, upper: Floats, limits: Floats) -> float:
        """Solve with the shares of each size summing to 1; returns the objective."""
        sums = np.kron(np.eye(len(self._weight)), np.ones(self._pairs))
        equal = np.hstack([sums, np.zeros((len(sums), len(cost) - self.variables))])
        found = linprog(cost, upper, limits, equal, np.ones(len(sums)), method="highs")
        if not found.success:
            raise PrecisionError(
                "no policy is stable and keeps the averages here; lower the rate or relax the averages"
            )
        return float(found.fun)
