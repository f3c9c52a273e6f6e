"""The price of the cloud, which keeps its share near a budget.

A policy maximises quality − price · (1 if the cloud answers). The price is the dual variable of the budget; each
decision moves it by dual (sub)gradient ascent, price ← price + rate · (cloud − share), as in Balseiro & Gur, "Learning
in repeated auctions with budgets" (Management Science 2019). Summed up, after n queries the number that went to the
cloud differs from share · n by exactly (price now − first price) / rate, so a price that stays within
bounds keeps the budget.
"""

from __future__ import annotations

from dataclasses import dataclass

from ianvs_collab.routing.base import RouterError, threshold_for_share
from ianvs_collab.routing.traces.trace import Floats


@dataclass
class Pacer:
    """A price that follows a budget.

    Attributes:
        share: Fraction of queries that should go to the cloud.
        rate: How much one query moves the price, in quality per query; 0 keeps the price fixed.
        price: Quality that an answer from the cloud must gain to be worth it.
        at_most: The share is a limit and not a target: the price never falls below 0, and queries on which the cloud
            is expected to be worse stay at the edge even if there is budget left.

    Raises:
        RouterError: If share or rate are out of range.
    """

    share: float = 0.5
    rate: float = 0.005
    price: float = 0.0
    at_most: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 0 <= self.share <= 1:
            raise RouterError(f"cloud_share must lie between 0 and 1, not {self.share!r}")
        if self.rate < 0:
            raise RouterError(f"rate must not be below 0, not {self.rate!r}; 0 keeps the price fixed")

    def start(self, advantages: Floats) -> None:
        """Set the first price such that the share of these queries is worth it.

        Args:
            advantages: What the policy expects the cloud to gain on queries of before, shape (n,).
        """
        price = threshold_for_share(advantages, self.share)
        largest = float(advantages.max())
        self.price = self._bounded(min(price, largest + self.rate))

    def spend(self, action: int) -> None:
        """Take notice of a decision: 1 for the cloud, 0 for the edge."""
        self.price = self._bounded(self.price + self.rate * (action - self.share))

    def _bounded(self, price: float) -> float:
        return max(price, 0.0) if self.at_most else price
