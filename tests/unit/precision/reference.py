"""One replication, one event at a time, with a heap and plain numbers: slow, and written apart from the package."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ianvs_collab.precision import Portfolio, Requirements

Chooser = Callable[[list[int], list[float], list[int], float], int]


@dataclass
class Plain:
    """What one replication of a workload comes to."""

    choice: dict[tuple[int, int], int] = field(default_factory=dict)
    finish: dict[tuple[int, int], float] = field(default_factory=dict)
    presence: float = 0.0


def plain_simulation(
    portfolio: Portfolio,
    choose: Chooser,
    arrivals: list[float],
    luck: list[list[float]],
    sizes: list[float],
    *,
    wanted: list[Requirements] | None = None,
    parallel: bool = False,
    tails: list[float] | None = None,
) -> Plain:
    names = [device.name for device in portfolio.devices]
    where = [names.index(pair.device) for pair in portfolio.pairs]
    samples = [sorted(pair.service_seconds) for pair in portfolio.pairs]
    backlog, unfinished, free = [0.0] * len(names), [0] * len(names), [0.0] * len(names)
    found, events, clock = Plain(), [], 0.0
    for request, time in enumerate(arrivals):
        for step in range(len(luck[request]) if parallel else 1):
            heapq.heappush(events, (time, 1, request, step, -1))

    def allowed(need: Requirements, size: float) -> list[int]:
        kept = []
        for index, pair in enumerate(portfolio.pairs):
            if need.min_accuracy is not None and pair.accuracy < need.min_accuracy:
                continue
            if need.deadline_s is not None and backlog[where[index]] + size * tails[index] > need.deadline_s:
                continue
            kept.append(index)
        return kept

    def decide(request: int, step: int) -> None:
        size = sizes[request]
        pairs = allowed(wanted[request] if wanted else Requirements(), size)
        if not pairs:
            found.choice[request, step] = -1
            return
        pair = choose(pairs, backlog, unfinished, size)
        device = where[pair]
        draws = samples[pair]
        free[device] = max(clock, free[device]) + size * draws[int(luck[request][step] * len(draws))]
        found.choice[request, step], found.finish[request, step] = pair, free[device]
        backlog[device] += size * portfolio.pairs[pair].mean_seconds
        unfinished[device] += 1
        heapq.heappush(events, (free[device], 0, request, step, pair))

    while events:
        time, kind, request, step, pair = heapq.heappop(events)
        found.presence += sum(unfinished) * (time - clock)
        clock = time
        if kind == 1:
            decide(request, step)
            continue
        unfinished[where[pair]] -= 1
        left = max(backlog[where[pair]] - sizes[request] * portfolio.pairs[pair].mean_seconds, 0.0)
        backlog[where[pair]] = left if unfinished[where[pair]] else 0.0
        if not parallel and step + 1 < len(luck[request]):
            decide(request, step + 1)
    return found


class PlainLyapunov:
    """The decision as it stands in the book, with its virtual queues."""

    def __init__(self, portfolio: Portfolio, v: float, accuracy: float, budget: float) -> None:
        self.portfolio, self.v, self.accuracy, self.budget = portfolio, v, accuracy, budget
        self.z = self.y = 0.0
        self.names = [device.name for device in portfolio.devices]
        self.unit = sum(pair.mean_seconds for pair in portfolio.pairs) / len(portfolio.pairs)
        self.top_price = max(pair.price for pair in portfolio.pairs)
        self.top_energy = max(self.energy(index) for index in range(len(portfolio.pairs)))

    def energy(self, index: int) -> float:
        joules: Any = self.portfolio.pairs[index].energy_joules
        return float(joules)

    def __call__(self, pairs: list[int], backlog: list[float], unfinished: list[int], size: float) -> int:
        best = min(pairs, key=lambda index: self.score(index, backlog, size))
        self.z = max(self.z + self.accuracy - self.portfolio.pairs[best].accuracy, 0.0)
        self.y = max(self.y + size * self.energy(best) / self.top_energy - self.budget / self.top_energy, 0.0)
        return best

    def score(self, index: int, backlog: list[float], size: float) -> float:
        pair = self.portfolio.pairs[index]
        queue = backlog[self.names.index(pair.device)] / self.unit
        return (
            self.v * size * pair.price / self.top_price
            + queue * size * pair.mean_seconds / self.unit
            + self.z * (self.accuracy - pair.accuracy)
            + self.y * size * self.energy(index) / self.top_energy
        )
