"""Does the simulation say what really happens? The same workloads on real worker processes and in the simulation.

Two devices, a process each: `edge` serves small variants of the nano cloud model, `cloud` larger ones. Answers are
computed by the real models; a device that is slower than this machine is emulated by staying busy for `slowdown` times
the processor time of the answer. An orchestrator decides, arrivals are open-loop, latency counts from the scheduled
arrival. Before and after every run the fleet is calibrated: all variants answer all questions, both devices at once.
The simulation gets the same arrivals, the same questions and the service times of the two calibrations around the run.

Printed, as Markdown: the portfolio; for each policy, arrival process and load the mean and p99 latency of the run, and
by how much the simulation is off. `own`: the simulation with the service times of the run itself; what is left then is
no fault of the calibration. `paced`: each request takes so many times its expected time as it did in the run, so that a
slow minute of this machine is one in the simulation too; the policy decides anew. `replay`: first come, first served
with the run's own decisions and each request's own time, so that only the queues are left to differ. `slow`: answers
for which this machine was too busy to be as fast as the emulated device. `tardy`: mean delay from a scheduled arrival
to its decision, another thing that the simulation knows nothing of.

Run it from the repository's root: `python benchmarks/orchestrator_live.py [--requests 300] [--quick]`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ianvs_collab.link import Deployment
from ianvs_collab.link.deployment import Device
from ianvs_collab.precision import (
    Arrivals,
    Averages,
    Bursty,
    JoinShortestQueue,
    Lyapunov,
    Outcome,
    Poisson,
    Policy,
    Portfolio,
    Workload,
    capacity,
    draw_workload,
    simulate,
)
from ianvs_collab.precision.arrays import Floats
from ianvs_collab.precision.live import Berth, Fleet, LiveOutcome, by_hardness, calibrate, recalibrated, serve
from ianvs_collab.precision.live.calibration import Samples
from ianvs_collab.precision.profile import Item, Plan, build_portfolio, measure, prepare_variants, zoo_items
from ianvs_collab.precision.profile.report import portfolio_table
from ianvs_collab.precision.tables import Tables

PLACES = {"edge": ("q4_0", "pruned-9"), "cloud": ("q8_0", "pruned-8")}
HOUSE = Deployment(
    name="benchmark", edge=Device(slowdown=16.0, power_w=6), cloud=Device(slowdown=8.0, power_w=120)
)  # slow enough that two workers and their neighbours rarely need the same core at the same time
ACCURACY, V = 0.8, 2.0
LOADS = (0.5, 0.7, 0.9, 1.05)
PROCESSES: dict[str, Arrivals] = {"Poisson": Poisson(), "bursty": Bursty()}
MEAN_LIMIT, P99_LIMIT = 0.15, 0.25


@dataclass(frozen=True)
class Cell:
    """One run and its simulations; latencies are (mean, p99) in seconds.

    Attributes:
        policy: Its name.
        process: How requests arrived.
        load: Share of the capacity.
        live: The run.
        simulated: With the calibrations around it.
        own: With the run's own service times.
        paced: With expected times, each request slower or faster than that by as much as in the run.
        replay: With the run's own decisions, too, and each request's own time.
        slow: Share of answers that took longer than on the emulated device.
        tardy: Mean seconds from a scheduled arrival to its decision.
        drift: Mean service time of the calibration after, over that before.
    """

    policy: str
    process: str
    load: float
    live: tuple[float, float]
    simulated: tuple[float, float]
    own: tuple[float, float]
    paced: tuple[float, float]
    replay: tuple[float, float]
    slow: float
    tardy: float
    drift: float

    def off(self, other: tuple[float, float]) -> tuple[float, float]:
        """By which share a simulation is off."""
        return other[0] / self.live[0] - 1, other[1] / self.live[1] - 1

    def agrees(self, other: tuple[float, float]) -> bool:
        """Whether a simulation's mean and p99 are as near as they should be."""
        mean, late = self.off(other)
        return abs(mean) <= MEAN_LIMIT and abs(late) <= P99_LIMIT


def main() -> None:
    """Measure, serve, simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300, help="requests of a run (default: 300)")
    parser.add_argument("--questions", type=int, default=24, help="questions they ask (default: 24)")
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS, help="shares of the capacity")
    parser.add_argument("--seed", type=int, default=0, help="seed of arrivals and questions (default: 0)")
    parser.add_argument("--quick", action="store_true", help="a smoke test: one load, few requests and questions")
    options = parser.parse_args()
    questions = 8 if options.quick else options.questions
    items, plan = zoo_items(questions), Plan(clock="cpu")
    names = list(dict.fromkeys(name for each in PLACES.values() for name in each))
    variants, left_out = prepare_variants("zoo:cloud", names, [item.prompt for item in zoo_items(51)], threads=1)
    found, failures = measure(variants, items, plan, lambda line: print(line, file=sys.stderr))
    if left_out or failures:
        sys.exit(f"variants are missing: {left_out} {failures}")
    portfolio = build_portfolio(
        found, [], HOUSE, plan, function="answer a nano question", data={"source": "zoo"}, places=PLACES
    )
    by_name = {variant.name: variant for variant in variants}
    berths = [
        Berth(name, [by_name[each] for each in places], HOUSE.device(name).slowdown) for name, places in PLACES.items()
    ]
    with Fleet(berths, clock="cpu") as fleet:
        compare(fleet, portfolio, items, options)


def compare(fleet: Fleet, portfolio: Portfolio, items: Sequence[Item], options: argparse.Namespace) -> None:
    """Serve and simulate every workload."""
    before = calibrate(fleet, items)
    ordered, expected = by_hardness(items, before), recalibrated(portfolio, before)
    print(
        f"\n{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; slowdown: "
        f"edge {HOUSE.edge.slowdown:g}, cloud {HOUSE.cloud.slowdown:g}\n"
    )
    print(portfolio_table(expected))
    most = capacity(expected, Averages(ACCURACY))
    print(f"\nCapacity at an average accuracy of {ACCURACY:g}, which is load 1: {most:.2f} requests/s\n")
    columns = (
        "policy",
        "arrivals",
        "load",
        "live: mean, p99 (s)",
        "simulation off",
        "own off",
        "paced off",
        "replay off",
    )
    print(f"| {' | '.join((*columns, 'slow', 'tardy (ms)', 'drift', 'agrees'))} |\n|{' --- |' * (len(columns) + 4)}")
    loads, requests = (options.loads[:1], 30) if options.quick else (options.loads, options.requests)
    cells = []
    for load in loads:
        for name, process in PROCESSES.items():
            work = draw_workload(process, [load * most], [options.seed], requests)
            for title, policy in policies().items():
                outcome = serve(fleet, expected, policy, work, items=ordered)
                after = calibrate(fleet, items)
                cells.append(cell((title, name, load), expected, work, outcome, (before, after)))
                print_cell(cells[-1])
                before = after
    print(f"\nWithin {MEAN_LIMIT:.0%} on the mean and {P99_LIMIT:.0%} on p99, of {len(cells)} runs:\n")
    print_agreement("simulation", cells, [one.simulated for one in cells])
    print_agreement("own", cells, [one.own for one in cells])
    print_agreement("paced", cells, [one.paced for one in cells])
    print_agreement("replay", cells, [one.replay for one in cells])
    ended = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    print(f"\nEnded {ended}, load average {os.getloadavg()[0]:.1f}.")


def print_agreement(name: str, cells: Sequence[Cell], found: Sequence[tuple[float, float]]) -> None:
    """How many runs a simulation agrees with, and how far off it is."""
    agreeing = sum(one.agrees(other) for one, other in zip(cells, found, strict=True))
    offs = [tuple(map(abs, one.off(other))) for one, other in zip(cells, found, strict=True)]
    means, tails = zip(*offs, strict=True)
    print(
        f"* {name}: {agreeing} agree; mean off by {statistics.median(means):.1%} (median) and {max(means):.1%} (most), "
        f"p99 by {statistics.median(tails):.1%} and {max(tails):.1%}"
    )


def policies() -> dict[str, Policy]:
    """Who decides."""
    return {"Lyapunov": Lyapunov(V, ACCURACY, cost="energy"), "join shortest queue": JoinShortestQueue()}


def cell(
    what: tuple[str, str, float],
    expected: Portfolio,
    work: Workload,
    outcome: LiveOutcome,
    around: tuple[Samples, Samples],
) -> Cell:
    """Simulate what was served. Policies decide by the same expectations as in the run; only the times differ."""
    before, after = around
    both = {key: [*before[key], *after[key]] for key in before}
    first = len(outcome.requests) // 10
    total = [sum(map(sum, each.values())) for each in around]
    done = [one for one in outcome.requests if one.reason is None]
    return Cell(
        *what,
        live=(outcome.mean_latency(first), outcome.latency_quantile(0.99, first)),
        simulated=latencies(expected, both, what[0], work, first),
        own=latencies(expected, outcome.busy_seconds(), what[0], work, first),
        paced=latencies(expected, {}, what[0], replace(work, pace=paces(expected, work, outcome)), first),
        replay=replayed(outcome, first),
        slow=float(np.mean([one.late for one in done])),
        tardy=float(np.mean([one.decided_s - one.arrival_s for one in outcome.requests])),
        drift=total[1] / total[0],
    )


def latencies(portfolio: Portfolio, samples: Samples, policy: str, work: Workload, first: int) -> tuple[float, float]:
    """Mean and p99 latency of a simulation with these service times."""
    found: Outcome = simulate(portfolio, policies()[policy], work, actual=recalibrated(portfolio, samples))
    return float(found.mean_latency(first)[0]), float(found.latency_quantile(0.99, first)[0])


def paces(portfolio: Portfolio, work: Workload, outcome: LiveOutcome) -> Floats:
    """How many times its expected time each request took, shape (1, requests, 1); 1 where no answer came."""
    tables, found = Tables.of(portfolio), np.ones_like(work.luck)
    order = {(pair.variant, pair.device): index for index, pair in enumerate(portfolio.pairs)}
    for index, one in enumerate(outcome.requests):
        if one.pair is not None and one.busy_s is not None:
            pair = np.array([order[one.pair.variant, one.pair.device]])
            found[0, index] = one.busy_s / tables.service(pair, work.luck[0, index])
    return found


def replayed(outcome: LiveOutcome, first: int) -> tuple[float, float]:
    """Mean and p99 latency of lines that are served in order, without any delay between them."""
    free_at: dict[str, float] = {}
    found = []
    for one in outcome.requests:
        assert one.pair is not None and one.busy_s is not None
        free_at[one.pair.device] = max(one.arrival_s, free_at.get(one.pair.device, 0.0)) + one.busy_s
        found.append(free_at[one.pair.device] - one.arrival_s)
    return float(np.mean(found[first:])), float(np.quantile(found[first:], 0.99))


def print_cell(one: Cell) -> None:
    """A line of the table."""
    offs = ["{:+.1%}, {:+.1%}".format(*one.off(each)) for each in (one.simulated, one.own, one.paced, one.replay)]
    live = f"{one.live[0]:.3f}, {one.live[1]:.3f}"
    agrees = "yes" if one.agrees(one.simulated) else "no"
    print(
        f"| {one.policy} | {one.process} | {one.load:g} | {live} | {' | '.join(offs)} | {one.slow:.1%} | "
        f"{1e3 * one.tardy:.1f} | {one.drift:.3f} | {agrees} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
