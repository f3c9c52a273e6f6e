"""Policies by name, as a configuration file calls them."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from ianvs_collab.precision.baselines import (
    DeviceOnly,
    FixedVariant,
    JoinShortestQueue,
    MinCost,
    RoundRobin,
    SimplifiedScore,
)
from ianvs_collab.precision.lyapunov import Lyapunov
from ianvs_collab.precision.policy import Policy
from ianvs_collab.precision.portfolio import PrecisionError
from ianvs_collab.precision.tables import Cost

POLICIES: dict[str, Callable[[float, float | None, Cost, str], Policy]] = {
    "lyapunov": lambda v, accuracy, cost, _: Lyapunov(v, accuracy, cost=cost, own_work=True),
    "round-robin": lambda *_: RoundRobin(),
    "join-shortest-queue": lambda *_: JoinShortestQueue(),
    "min-cost": lambda _v, _accuracy, cost, _only: MinCost(cost),
    "simplified-score": lambda v, _accuracy, cost, _only: SimplifiedScore(v, cost),
    "device-only": lambda *given: DeviceOnly(given[-1]),
    "fixed-variant": lambda *given: FixedVariant(given[-1]),
}
"""Name -> makes the policy of (v, average accuracy, cost, device or variant)."""


def make_policy(
    name: str, *, v: float = 5.0, average_accuracy: float | None = None, cost: Cost = "price", only: str = "cloud"
) -> Policy:
    """Make a policy.

    Args:
        name: One of `POLICIES`.
        v: Weight of the cost, for `lyapunov` (at least 0) and `simplified-score` (0 to 1).
        average_accuracy: For `lyapunov`; None for no such constraint.
        cost: `price` or `energy`, for the policies that know a cost.
        only: The device of `device-only`, the variant of `fixed-variant`.

    Raises:
        PrecisionError: If there is no such policy, or v is out of its range.
    """
    if name not in POLICIES:
        near = difflib.get_close_matches(name, POLICIES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise PrecisionError(f"there is no orchestrator {name!r}{hint} Known are {', '.join(POLICIES)}")
    return POLICIES[name](v, average_accuracy, cost, only)
