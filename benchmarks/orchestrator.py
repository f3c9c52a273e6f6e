"""Does drift plus penalty serve a portfolio of precisions better than simpler orchestrators, and does theory hold?

A discrete-event simulation, on a portfolio that `benchmarks/portfolio.py --out FILE` or `ianvs model profile` measured.
Without `--portfolio` the portfolio is SYNTHETIC: its service times, accuracies, energies and prices are made up, and
every figure below says how orchestrators compare on it, not how any device performs. The synthetic one has requests of
eight sizes that are known on arrival; in a measured one, how long an answer is stands in the samples and nobody knows
it beforehand.
Printed, as Markdown, with 95 % t-intervals over seeds:

* simulated requests in a second, for one and for many replications side by side;
* mean latency beside M/M/1, M/D/1 and M/G/1 theory; Little's law;
* the trade-off of V: backlog, and cost above the best possible for the arrivals that came (a linear programme);
* stability and latency of all policies at loads from 0.5 to 1.05, under Poisson and bursty arrivals; load 1 is the
  most that any policy can serve at the required average accuracy;
* energy at equal p99 latency and equal accuracy: for each baseline, the Lyapunov policy gets the accuracy that the
  baseline reached as its target, and V is chosen on tuning seeds; reported are other seeds, paired by seed;
* hard constraints for each request, and refusals; workflows of several steps.

Run it from the repository's root: `python benchmarks/orchestrator.py [--portfolio FILE --accuracy 0.85] [--quick]`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
from scipy.stats import gamma

from ianvs_collab.precision import (
    Arrivals,
    Averages,
    Bursty,
    Device,
    DeviceOnly,
    FixedVariant,
    JoinShortestQueue,
    Lyapunov,
    MinCost,
    Mix,
    Outcome,
    Pair,
    Poisson,
    Policy,
    Portfolio,
    PrecisionError,
    Requirements,
    RoundRobin,
    SimplifiedScore,
    Workload,
    capacity,
    draw_workload,
    least_cost,
    read_portfolio,
    simulate,
)
from ianvs_collab.precision.theory import exponential_samples, mm1_response, pollaczek_khinchine
from ianvs_collab.routing.evaluation.intervals import t_interval

LOADS = (0.5, 0.7, 0.9, 0.95, 1.05)
PROCESSES: dict[str, Arrivals] = {"Poisson": Poisson(), "bursty": Bursty()}
ACCURACY = 0.66
SIZES = Mix((0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0), (0.1, 0.2, 0.2, 0.15, 0.125, 0.1, 0.075, 0.05))
V_GRID = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0)
TUNED = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
USUAL_V = 5.0
SYNTHETIC = {  # device: variant: mean seconds, accuracy, joules, price
    "edge": {"pruned": (0.5, 0.55, 4, 0.01), "q4_0": (0.9, 0.62, 7, 0.02), "q8_0": (1.5, 0.69, 12, 0.03)},
    "gateway": {"q4_0": (0.35, 0.62, 10, 0.06), "q8_0": (0.6, 0.69, 18, 0.1), "bf16": (1.0, 0.7, 30, 0.16)},
    "cloud": {"q8_0": (0.3, 0.69, 45, 0.6), "bf16": (0.4, 0.7, 60, 0.8), "f32": (0.7, 0.705, 105, 1.4)},
}
"""Made up. Nothing here was measured on anything."""


def synthetic_portfolio() -> Portfolio:
    """The made-up portfolio; service times are mid-quantiles of gamma distributions with shape 4."""
    levels = (np.arange(500) + 0.5) / 500
    shape = gamma.ppf(levels, 4)
    return Portfolio(
        function="answer a question (made up)",
        origin="synthetic",
        devices=tuple(Device(name=name, memory_bytes=8 * 2**30) for name in SYNTHETIC),
        pairs=tuple(
            Pair(
                variant=variant,
                device=device,
                service_seconds=tuple(map(float, mean * shape / shape.mean())),
                correct=round(2000 * accuracy),
                answered=2000,
                memory_bytes=2**30,
                energy_joules=joules,
                energy_source="modelled",
                price=price,
            )
            for device, variants in SYNTHETIC.items()
            for variant, (mean, accuracy, joules, price) in variants.items()
        ),
    )


def shown(values: Sequence[float] | np.ndarray, form: str = ".4f") -> str:
    """Mean and 95 % t-interval over seeds."""
    found = t_interval(list(map(float, values)))
    return f"{found.estimate:{form}} [{found.low:{form}}, {found.high:{form}}]"


def table(*columns: str) -> None:
    """The head of a table."""
    print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")


def row(*cells: object) -> None:
    """A line of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def work_at(portfolio: Portfolio, process: Arrivals, loads: Sequence[float], seeds: range, requests: int) -> Workload:
    """Every load with every seed, loads outermost; load 1 is the capacity at the average accuracy."""
    most = capacity(portfolio, Averages(ACCURACY), SIZES)
    rates = [load * most for load in loads for _ in seeds]
    return draw_workload(process, rates, [*seeds] * len(loads), requests, sizes=SIZES)


def print_portfolio(portfolio: Portfolio) -> None:
    """What there is to choose from."""
    print(f"\n## Portfolio: {portfolio.function}, {portfolio.origin.upper()}")
    table("pair", "service time: mean, p95 (s)", "accuracy", "energy (J)", "price")
    for pair in portfolio.pairs:
        low, high = pair.accuracy_interval()
        times = f"{pair.mean_seconds:.3f}, {np.quantile(pair.service_seconds, 0.95):.3f}"
        joules = "unavailable" if pair.energy_joules is None else f"{pair.energy_joules:g} ({pair.energy_source})"
        row(pair, times, f"{pair.accuracy:.3f} [{low:.3f}, {high:.3f}]", joules, f"{pair.price:g}")
    free, bound = capacity(portfolio, sizes=SIZES), capacity(portfolio, Averages(ACCURACY), SIZES)
    print(f"\nCapacity {free:.3f} requests/s; with an average accuracy of {ACCURACY:g}, which is load 1: {bound:.3f}.")


def print_speed(portfolio: Portfolio, requests: int) -> None:
    """Requests in a second of one core's time, medians of three runs."""
    print("\n## Speed, on CPU time of one core, so that what else the machine does counts little")
    table("replications side by side", "Lyapunov, requests/s", "join shortest queue, requests/s")
    for replications in (1, 8, 32, 128, 512, 2048):
        each = max(requests // 5 // replications, 200)
        work = work_at(portfolio, Poisson(), [0.8], range(replications), each)
        policies: list[Policy] = [Lyapunov(USUAL_V, ACCURACY), JoinShortestQueue()]
        row(replications, *(f"{speed(portfolio, policy, work):,.0f}" for policy in policies))


def speed(portfolio: Portfolio, policy: Policy, work: Workload) -> float:
    """Median over three runs."""
    rates = []
    for _ in range(3):
        start = time.process_time()
        simulate(portfolio, policy, work)
        rates.append(work.arrivals.size / (time.process_time() - start))
    return statistics.median(rates)


def print_theory(replications: int, requests: int) -> None:
    """Mean latency of one device beside theory."""
    loads, first = (0.5, 0.8, 0.9), requests // 4
    print(f"\n## Queueing theory: {replications} replications of {requests:,} requests, the first quarter left out")
    table("queue", "load", "mean latency, simulated (s)", "theory (s)", "off by", "Little's law off by")
    heavy = (0.2,) * 8 + (4.2,) * 2
    for name, samples in {"M/M/1": exponential_samples(1.0, 100_000), "M/D/1": (1.0,), "M/G/1": heavy}.items():
        pair = synthetic_portfolio().pairs[0].model_copy(update={"service_seconds": samples, "device": "edge"})
        alone = Portfolio(function=name, origin="synthetic", devices=(Device(name="edge"),), pairs=(pair,))
        rates = np.repeat(loads, replications)
        outcome = simulate(alone, MinCost(), draw_workload(Poisson(), rates, range(len(rates)), requests))
        little = np.abs(outcome.presence / outcome.latency.sum(axis=1) - 1).max()
        for load, means in zip(loads, outcome.mean_latency(first).reshape(len(loads), -1), strict=True):
            expected = mm1_response(load, 1.0) if name == "M/M/1" else pollaczek_khinchine(load, samples)
            row(name, load, shown(means), f"{expected:.4f}", f"{means.mean() / expected - 1:+.2%}", f"{little:.0e}")


def print_trade_off(portfolio: Portfolio, seeds: range, requests: int) -> None:
    """Backlog and cost over V."""
    first = requests // 2
    print(
        f"\n## What V trades: load 0.8, average accuracy {ACCURACY:g}, {requests:,} requests, the first half left out"
    )
    work = work_at(portfolio, Poisson(), [0.8] * len(V_GRID), seeds, requests)
    policy = Lyapunov(np.repeat(V_GRID, len(seeds)), ACCURACY)
    outcome = simulate(portfolio, policy, work)
    units = outcome.tables.work_unit
    parts = (outcome.backlog[:, first:, 0].mean(axis=1) / units, policy.accuracy_debt, gaps(outcome, first))
    backlog, debt, gap = (each.reshape(len(V_GRID), -1) for each in parts)
    late = outcome.latency_quantile(0.99, first).reshape(len(V_GRID), -1)
    missing = (ACCURACY - outcome.accuracy(first)).reshape(len(V_GRID), -1)
    table("V", "backlog (units of work)", "Z at the end", "p99 (s)", "accuracy below target", "cost gap", "V · gap")
    for index, v in enumerate(V_GRID):
        cells = [shown(backlog[index], ".2f"), f"{debt[index].mean():.1f}", f"{late[index].mean():.1f}"]
        row(f"{v:g}", *cells, f"{missing[index].mean():+.5f}", shown(gap[index], ".5f"), shown(v * gap[index], ".3f"))
    print_fits(backlog, gap)


def gaps(outcome: Outcome, first: int) -> np.ndarray:
    """Price above the least possible for the arrivals that came, as a share of the dearest pair's, (replications,)."""
    price, found = outcome.cost("price", first), []
    times, sizes = outcome.workload.arrivals[:, first:], outcome.workload.sizes[:, first:]
    for mean, when, size in zip(price, times, sizes, strict=True):
        values, counts = np.unique(size, return_counts=True)
        came = Mix(tuple(map(float, values)), tuple(map(float, counts / counts.sum())))
        rate = (len(when) - 1) / (when[-1] - when[0])
        found.append(mean - least_cost(outcome.tables.portfolio, rate, Averages(ACCURACY), came))
    return np.array(found) / outcome.tables.price.max()


def print_fits(backlog: np.ndarray, gap: np.ndarray) -> None:
    """Whether the backlog is linear in V and the gap in 1/V."""
    large = np.array(V_GRID) >= 10  # noqa: PLR2004 - the upper part of the grid
    v, mean = np.array(V_GRID)[large], backlog[large].mean(axis=1)
    slope, start = np.polyfit(v, mean, 1)
    squared = 1 - ((mean - slope * v - start) ** 2).sum() / ((mean - mean.mean()) ** 2).sum()
    print(f"\nBacklog for V >= 10: {start:.2f} + {slope:.3f} V, R² = {squared:.4f}.")
    means = gap.mean(axis=1)
    inverse = 1 / np.array(V_GRID)
    steep, rest = np.polyfit(inverse, means, 1)
    share = 1 - ((means - steep * inverse - rest) ** 2).sum() / ((means - means.mean()) ** 2).sum()
    print(f"Cost gap for all V: {rest:.5f} + {steep:.4f} / V, R² = {share:.4f}.")
    positive = (means > 0) & (np.array(V_GRID) >= 5)  # noqa: PLR2004 - where the bound is what limits the gap
    power = np.polyfit(np.log(np.array(V_GRID)[positive]), np.log(means[positive]), 1)[0]
    print(f"Its power of V for V >= 5, where it is above 0: {power:.2f} (O(1/V) allows -1 or less).")


def contestants(portfolio: Portfolio) -> dict[str, Policy]:
    """All policies that the portfolio has room for."""
    best = max(portfolio.pairs, key=lambda pair: pair.accuracy)
    usable = [v for v in portfolio.variants if best_of(portfolio, v) >= ACCURACY] or portfolio.variants
    fixed = max(usable, key=lambda variant: sum(pair.variant == variant for pair in portfolio.pairs))
    return {
        f"Lyapunov, V = {USUAL_V:g}": Lyapunov(USUAL_V, ACCURACY),
        f"{best.device}-only": DeviceOnly(best.device),
        f"{fixed} only": FixedVariant(fixed),
        "round robin": RoundRobin(),
        "join shortest queue": JoinShortestQueue(),
        "min cost": MinCost(),
        "simplified score, V = 0.5": SimplifiedScore(0.5),
        "simplified score, V = 0.9": SimplifiedScore(0.9),
        "simplified score, V = 1": SimplifiedScore(1.0),
    }


def best_of(portfolio: Portfolio, variant: str) -> float:
    """Accuracy of a variant."""
    return max(pair.accuracy for pair in portfolio.pairs if pair.variant == variant)


def print_policies(portfolio: Portfolio, seeds: range, requests: int) -> None:
    """Stability, latency and costs of all policies at all loads."""
    first, shape = requests // 5, (len(PROCESSES), len(LOADS), len(seeds))
    work, found = joined([work_at(portfolio, each, LOADS, seeds, requests) for each in PROCESSES.values()]), {}
    for name, policy in contestants(portfolio).items():
        outcome = simulate(portfolio, policy, work)
        values = (outcome.latency_quantile(0.99, first), outcome.backlog_growth(first), outcome.accuracy(first))
        costs = (outcome.cost("price", first), outcome.cost("energy", first))
        found[name] = [each.reshape(shape) for each in (*values, *costs)]
    for index, process in enumerate(PROCESSES):
        print(f"\n## Policies, {process} arrivals: {len(seeds)} seeds, {requests:,} requests, the first fifth left out")
        print("\np99 latency in seconds, and in brackets the growth of the backlog in seconds a second where its")
        print("interval lies above 0.005 (the system is overrun):")
        table("policy", *(f"load {load:g}" for load in LOADS))
        for name, (late, growth, *_) in found.items():
            row(name, *(latency_cell(late[index, i], growth[index, i]) for i in range(len(LOADS))))
        print("\nAt load 0.9:")
        table("policy", "accuracy", "price", "energy (J)", "p99 (s)")
        for name, (late, _, accuracy, price, energy) in found.items():
            row(name, *(shown(each[index, LOADS.index(0.9)], ".3f") for each in (accuracy, price, energy, late)))


def joined(works: Sequence[Workload]) -> Workload:
    """The replications of several workloads side by side."""
    parts = ("arrivals", "luck", "sizes", "classes")
    return Workload(*(np.concatenate([getattr(work, part) for work in works]) for part in parts))


def latency_cell(late: np.ndarray, growth: np.ndarray) -> str:
    """p99, and the growth if it is certain."""
    found = t_interval(list(map(float, late)))
    note = f" (grows {growth.mean():.3f})" if overrun(growth) else ""
    return f"{found.estimate:.2f} ± {found.high - found.estimate:.2f}{note}"


def rivals(portfolio: Portfolio) -> dict[str, Policy]:
    """The baselines; where they know a cost, it is energy here."""
    found = {name: policy for name, policy in contestants(portfolio).items() if "Lyapunov" not in name}
    cheap = {"min cost": MinCost("energy"), "simplified score, V = 0.5": SimplifiedScore(0.5, "energy")}
    del found["simplified score, V = 1"]  # it is min cost
    return found | cheap | {"simplified score, V = 0.9": SimplifiedScore(0.9, "energy")}


def print_energy(portfolio: Portfolio, seeds: range, requests: int) -> None:
    """Energy of the Lyapunov policy and of each baseline at equal p99 and accuracy."""
    print(f"\n## Energy at equal p99 and equal accuracy: {requests:,} requests, the first half left out;")
    print("the Lyapunov policy with `own_work`, its cost is energy")
    table("arrivals", "load", "baseline", "its energy (J)", "V", "energy saved", "p99 ratio", "accuracy difference")
    tuning = range(1000, 1000 + len(seeds))
    scenes = [(name, load) for name in PROCESSES for load in (0.3, 0.5, 0.9)]
    works = {
        which: {scene: work_at(portfolio, PROCESSES[scene[0]], [scene[1]], which, requests) for scene in scenes}
        for which in (tuning, seeds)
    }
    tuning_work, work = (joined([*each.values()]) for each in works.values())
    for name, baseline in rivals(portfolio).items():
        known = figures(simulate(portfolio, baseline, tuning_work), len(scenes))
        found = tuned(portfolio, known, tuning_work)
        base = figures(simulate(portfolio, baseline, work), len(scenes))
        v, target = (np.repeat(each, len(seeds)) for each in ([v or 0.0 for v in found], known[2].mean(axis=1)))
        ours = figures(simulate(portfolio, Lyapunov(v, target, cost="energy", own_work=True), work), len(scenes))
        for i, scene in enumerate(scenes):
            row(*scene, name, *energy_cells(base[:, i], ours[:, i], found[i]))


def figures(outcome: Outcome, scenes: int) -> np.ndarray:
    """p99, energy, accuracy and growth, each for each scene and seed."""
    first = outcome.choice.shape[1] // 2
    values = (outcome.latency_quantile(0.99, first), outcome.cost("energy", first), outcome.accuracy(first))
    return np.stack([*values, outcome.backlog_growth(first)]).reshape(4, scenes, -1)


def tuned(portfolio: Portfolio, known: np.ndarray, work: Workload) -> list[float | None]:
    """For each scene the V of least energy that keeps the baseline's p99 and accuracy on the tuning seeds, or None."""
    scenes, seeds = known.shape[1:]
    stable = [not overrun(growth) for growth in known[3]]
    if not any(stable):
        return [None] * scenes
    late, _, accuracy, _ = known.mean(axis=2)
    policy = Lyapunov(
        np.repeat(TUNED, scenes * seeds), np.tile(np.repeat(accuracy, seeds), len(TUNED)), cost="energy", own_work=True
    )
    ours = figures(simulate(portfolio, policy, joined([work] * len(TUNED))), len(TUNED) * scenes).mean(axis=2)
    late_now, energy, reached, _ = ours.reshape(4, len(TUNED), scenes)
    kept = (late_now <= late) & (reached >= accuracy - 0.001) & stable
    best = np.where(kept, energy, np.inf).argmin(axis=0)
    return [TUNED[best[i]] if kept[:, i].any() else None for i in range(scenes)]


def overrun(growth: np.ndarray) -> bool:
    """Whether the backlog surely grows by more than half a per cent of one device."""
    return t_interval(list(map(float, growth))).low > 0.005  # noqa: PLR2004


def energy_cells(base: np.ndarray, ours: np.ndarray, v: float | None) -> list[str]:
    """What is printed of a baseline and the Lyapunov policy with the same seeds."""
    if overrun(base[3]):
        return ["overrun", *"----"]
    if v is None:
        return [shown(base[1], ".2f"), "none of the grid keeps both", *"---"]
    saved, ratio = shown(100 * (1 - ours[1] / base[1]), ".1f"), shown(ours[0] / base[0], ".2f")
    return [shown(base[1], ".2f"), f"{v:g}", f"{saved} %", ratio, shown(ours[2] - base[2], "+.4f")]


def print_constraints(portfolio: Portfolio, seeds: range, requests: int) -> None:
    """What hard constraints do to each policy."""
    accurate = float(np.quantile([pair.accuracy for pair in portfolio.pairs], 0.5))
    soon = 3 * min(float(np.quantile(pair.service_seconds, 0.95)) for pair in portfolio.pairs)
    classes = [
        (Requirements(), 0.6),
        (Requirements(min_accuracy=accurate), 0.2),
        (Requirements(deadline_s=soon), 0.15),
        (Requirements(min_accuracy=accurate, deadline_s=soon), 0.05),
    ]
    rate = 0.9 * capacity(portfolio, Averages(ACCURACY))
    work = draw_workload(Bursty(), [rate] * len(seeds), seeds, requests, classes=classes)
    print(f"\n## Hard constraints: bursty arrivals at load 0.9; a fifth of the requests want accuracy {accurate:g},")
    print(f"15 % an answer in {soon:.2f} s, 5 % both")
    table("policy", "served", "late among those with a deadline", "p99 (s)", "energy (J)", "refused")
    for name, policy in contestants(portfolio).items():
        outcome = simulate(portfolio, policy, work)
        late = outcome.latency[(work.classes > 1) & outcome.served] > soon
        reasons = "; ".join(
            f"{reason}: {count / work.arrivals.size:.2%}" for reason, count in outcome.refusals().items()
        )
        cells = (shown(outcome.latency_quantile(0.99), ".2f"), shown(outcome.cost("energy"), ".2f"))
        row(name, f"{outcome.served.mean():.2%}", f"{late.mean():.2%}", *cells, reasons or "none")


def print_workflows(portfolio: Portfolio, seeds: range, requests: int) -> None:
    """Requests of several steps at the same load."""
    print("\n## Workflows: Poisson arrivals, load 0.8 whatever the number of steps")
    table("policy", "steps", "mean (s)", "p99 (s)", "accuracy of a step", "price of a step")
    first, rate = requests // 5, 0.8 * capacity(portfolio, Averages(ACCURACY))
    for name, policy in list(contestants(portfolio).items())[:5]:
        for steps, parallel in ((1, False), (4, False), (4, True)):
            rates = [rate / steps] * len(seeds)
            work = draw_workload(Poisson(), rates, seeds, requests // steps, steps=steps, parallel=parallel)
            outcome = simulate(portfolio, policy, work)
            figures = (outcome.mean_latency(first // steps), outcome.latency_quantile(0.99, first // steps))
            rest = (outcome.accuracy(first // steps), outcome.cost("price", first // steps))
            kind = "1" if steps == 1 else f"{steps} {'parallel' if parallel else 'in sequence'}"
            row(name, kind, *(shown(each, ".3f") for each in (*figures, *rest)))


def set_scene(portfolio: Portfolio, accuracy: float) -> None:
    """Which average accuracy every part of this script asks for, and whether requests have sizes beside their luck."""
    global ACCURACY, SIZES  # noqa: PLW0603 - a script that runs once; every part reads them
    ACCURACY, SIZES = accuracy, Mix() if portfolio.origin == "measured" else SIZES


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolio", help="a portfolio in JSON; a synthetic one if left out")
    parser.add_argument("--accuracy", type=float, default=ACCURACY, help=f"average to keep (default {ACCURACY:g})")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default 5)")
    parser.add_argument("--requests", type=int, default=10_000, help="requests for each seed and load (default 10000)")
    parser.add_argument("--quick", action="store_true", help="a smoke test: 2 seeds, few requests")
    options = parser.parse_args()
    requests = 500 if options.quick else options.requests
    seeds = range(2 if options.quick else options.seeds)
    portfolio = read_portfolio(options.portfolio) if options.portfolio else synthetic_portfolio()
    set_scene(portfolio, options.accuracy)
    if any(pair.energy_joules is None for pair in portfolio.pairs):
        raise PrecisionError("this benchmark compares energy, and a pair of the portfolio has none")
    print_portfolio(portfolio)
    print_speed(portfolio, requests)
    print_theory(80 * len(seeds), 4 * requests // 5)
    print_trade_off(portfolio, seeds, 3 * requests)
    print_policies(portfolio, seeds, requests)
    print_energy(portfolio, seeds, 3 * requests // 10)
    print_constraints(portfolio, seeds, requests // 4)
    print_workflows(portfolio, seeds, requests // 4)


if __name__ == "__main__":
    main()
