"""A portfolio as arrays, one element a pair, which is what decisions are computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ianvs_collab.precision.arrays import Floats, Integers
from ianvs_collab.precision.portfolio import Portfolio, PrecisionError

Cost = Literal["price", "energy"]


@dataclass(frozen=True)
class Tables:
    """Arrays of P pairs; `device` counts devices in the portfolio's order.

    Attributes:
        portfolio: Where they come from.
        device: Index of the pair's device, shape (P,).
        work: Mean service time in seconds, (P,).
        tail: A high quantile of the service time in seconds, (P,); deadlines are judged by it.
        accuracy: Share of right answers, (P,).
        energy: Joules for a request, (P,); not-a-number where unavailable.
        price: Currency units for a request, (P,).
        samples: All service times, pair after pair, ascending within each.
        first: Where a pair's samples begin, (P,).
        count: How many there are, (P,).
    """

    portfolio: Portfolio
    device: Integers
    work: Floats
    tail: Floats
    accuracy: Floats
    energy: Floats
    price: Floats
    samples: Floats
    first: Integers
    count: Integers

    @classmethod
    def of(cls, portfolio: Portfolio, quantile: float = 0.95) -> Tables:
        """Make the arrays.

        Args:
            portfolio: What there is to choose from.
            quantile: Which quantile of the service times deadlines are judged by.
        """
        pairs, order = portfolio.pairs, {device.name: index for index, device in enumerate(portfolio.devices)}
        times = [np.sort(np.array(pair.service_seconds)) for pair in pairs]
        count = np.array([len(each) for each in times])
        return cls(
            portfolio=portfolio,
            device=np.array([order[pair.device] for pair in pairs]),
            work=np.array([each.mean() for each in times]),
            tail=np.array([np.quantile(each, quantile) for each in times]),
            accuracy=np.array([pair.accuracy for pair in pairs]),
            energy=np.array([np.nan if pair.energy_joules is None else pair.energy_joules for pair in pairs]),
            price=np.array([pair.price for pair in pairs]),
            samples=np.concatenate(times),
            first=np.cumsum(count) - count,
            count=count,
        )

    def taking(self, actual: Portfolio) -> Tables:
        """The same expectations, where the work really takes the service times of another portfolio.

        Args:
            actual: A portfolio with the same pairs, in the same order.

        Raises:
            PrecisionError: If it has other pairs.
        """
        if [str(pair) for pair in actual.pairs] != [str(pair) for pair in self.portfolio.pairs]:
            raise PrecisionError("expected and actual service times belong to different pairs; give the same portfolio")
        other = Tables.of(actual)
        return replace(self, samples=other.samples, first=other.first, count=other.count)

    @property
    def devices(self) -> int:
        """Number of devices."""
        return len(self.portfolio.devices)

    @property
    def work_unit(self) -> float:
        """Seconds that count as one unit of work: the mean over the pairs of their mean service times."""
        return float(self.work.mean())

    def service(self, pairs: Integers, luck: Floats) -> Floats:
        """Draw service times: the `luck`-quantile (0 <= luck < 1) of each pair's samples, in seconds.

        Two policies that are given the same luck meet equally hard requests, so their comparison is paired.
        """
        drawn: Floats = self.samples[self.first[pairs] + (luck * self.count[pairs]).astype(np.int64)]
        return drawn

    def cost(self, kind: Cost) -> Floats:
        """Price or energy of each pair in joules or currency units, (P,).

        Raises:
            PrecisionError: If energy is asked for and some pair has none.
        """
        values = self.price if kind == "price" else self.energy
        missing = np.flatnonzero(np.isnan(values))
        if len(missing):
            raise PrecisionError(
                f"{self.portfolio.pairs[missing[0]]} has no energy; measure or model it, or choose cost='price'"
            )
        return values

    def normalised_cost(self, kind: Cost) -> Floats:
        """The cost as a share of the dearest pair's, (P,), so that one V means the same in every portfolio.

        Raises:
            PrecisionError: If the cost is unavailable or zero everywhere.
        """
        values = self.cost(kind)
        if not values.max() > 0:
            raise PrecisionError(f"every pair has {kind} 0, so there is nothing to weigh; choose another cost")
        shares: Floats = values / values.max()
        return shares
