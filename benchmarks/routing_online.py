"""Does a router that learns from feedback beat its frozen twin once the subjects change?

MMLU's subjects arrive in blocks. A policy warms up on both models' answers to part of the first block, learns from
bandit feedback on the rest of it, and is then copied: one twin goes on learning through blocks of subjects that neither
has seen, the other is frozen and acts greedily. Both follow the same budget by the same pacing of the price. Printed,
as Markdown, over seeds that deal subjects to blocks anew, with 95 % t-intervals over seeds:

* quality before and after the shift beside random, the best static linear router in hindsight and the oracle;
* the lifelong twin's gain over the frozen one, the cost of exploring, and how the gain grows;
* the same with noisy, late and rare feedback (of the whole trace; the rest also without high_school_mathematics,
  whose recorded answers of the cloud model are broken);
* off-policy estimates of the frozen twin's quality from the lifelong twins' logs, beside the truth;
* the time that a decision and an update take.

Run it from the repository's root: `python benchmarks/routing_online.py --data ../shared/data [--seeds 10] [--jobs 2]`;
`--quick` is a smoke test.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from ianvs_collab.routing.evaluation.intervals import t_interval
from ianvs_collab.routing.evaluation.splits import without_subjects
from ianvs_collab.routing.online import Context, FeatureMap, LinUCB, Pacer, Replayed, Users, replay, subject_blocks
from ianvs_collab.routing.online.linear import LinearArm
from ianvs_collab.routing.online.offpolicy import RouteLog, cross_fitted, doubly_robust, ips, snips
from ianvs_collab.routing.online.policy import OnlinePolicy
from ianvs_collab.routing.online.prequential import oracle_actions, windowed
from ianvs_collab.routing.online.router import make_policy
from ianvs_collab.routing.traces.correctness import read_correctness
from ianvs_collab.routing.traces.trace import Trace

BROKEN = "high_school_mathematics"
WINDOW = 500
POLICIES = {
    "LinUCB": ("lin-ucb", {}),
    "LinUCB, forgetting": ("lin-ucb", {"discount": 0.9995}),
    "Thompson sampling": ("thompson", {}),
    "Thompson sampling, floor 0.05": ("thompson", {"floor": 0.05}),
    "epsilon-greedy, refitted": ("epsilon-greedy", {"every": 1000}),
}
FEEDBACK = {
    "at once, always, right": Users(),
    "10 % wrong": Users(flip=0.1),
    "30 % of users speak": Users(probability=0.3),
    "200 queries late": Users(delay=200),
    "all three": Users(flip=0.1, probability=0.3, delay=200),
}


@dataclass(frozen=True)
class World:
    """One deal of the subjects."""

    warm_up: list[Context]
    arriving: list[Context]
    known: np.ndarray
    quality: np.ndarray
    shift: int


def deal(trace: Trace, seed: int, blocks: int) -> World:
    """Make a stream of a trace."""
    stream = subject_blocks(trace.subjects, seed, blocks)
    queries, quality = trace.queries(), np.column_stack([trace.quality("edge"), trace.quality("cloud")])
    features = FeatureMap(seed=seed).fit([queries[row] for row in stream.warm_up])

    def contexts(rows: np.ndarray) -> list[Context]:
        chosen = [queries[row] for row in rows]
        return [Context(vector, query) for vector, query in zip(features.transform(chosen), chosen, strict=True)]

    warm_up, arriving = contexts(stream.warm_up), contexts(stream.arriving)
    return World(warm_up, arriving, quality[stream.warm_up], quality[stream.arriving], len(stream.before))


def twins(
    world: World, policy: OnlinePolicy, seed: int, users: Users | None = None
) -> tuple[Replayed, Replayed, Replayed]:
    """Route before the shift, and after it with the lifelong and with the frozen twin."""
    rng = np.random.default_rng([seed, 1])
    policy.warm_up(world.warm_up, world.known)
    before = replay(policy, world.arriving[: world.shift], world.quality[: world.shift], rng, users)
    frozen = copy.deepcopy(policy)
    frozen.frozen = True
    rest = world.arriving[world.shift :], world.quality[world.shift :]
    return before, replay(policy, *rest, rng, users, first=world.shift), replay(frozen, *rest, rng)


def references(world: World, share: float) -> dict[str, float]:
    """Quality after the shift of routers that do not learn, at the share."""
    vectors = np.stack([context.features for context in world.arriving])
    arms = [LinearArm(vectors.shape[1]) for _ in range(2)]
    for arm, rewards in zip(arms, world.quality.T, strict=True):
        arm.fit(vectors, rewards)
    after = world.quality[world.shift :]
    hindsight = (vectors @ (arms[1].theta - arms[0].theta))[world.shift :]
    static = oracle_actions(np.column_stack([-hindsight, np.zeros(len(after))]), share)
    rows = np.arange(len(after))
    return {
        "edge-only": float(after[:, 0].mean()),
        "cloud-only": float(after[:, 1].mean()),
        "random at the share": float(after.mean(axis=0) @ [1 - share, share]),
        "best static linear router in hindsight": float(after[rows, static].mean()),
        "oracle at the share": float(after[rows, oracle_actions(after, share)].mean()),
    }


def off_policy(world: World, lifelong: Replayed, frozen: Replayed) -> dict[str, tuple[float, ...]]:
    """Estimates of the frozen twin's quality from the lifelong twin's log: value, ends, effective size, truth."""
    log = RouteLog(lifelong.actions, lifelong.propensities, lifelong.shown)
    vectors = np.stack([context.features for context in world.arriving[world.shift :]])
    cloud = frozen.actions.astype(float)
    truth = float(frozen.shown.mean())
    found = {
        "IPS": ips(log, cloud),
        "SNIPS": snips(log, cloud),
        "DR": doubly_robust(log, cloud, cross_fitted(log, vectors)),
    }
    return {name: (*estimate, truth) for name, estimate in found.items()}


def figures(before: Replayed, lifelong: Replayed, frozen: Replayed) -> dict[str, float]:
    """What is printed of a pair of twins."""
    gain = lifelong.shown - frozen.shown
    half = len(gain) // 2
    return {
        "before": before.shown.mean(),
        "frozen": frozen.shown.mean(),
        "lifelong": lifelong.shown.mean(),
        "gain": gain.mean(),
        "net gain": gain.mean() - frozen.prices.mean() * (lifelong.cloud_share - frozen.cloud_share),
        "later gain": gain[half:].mean(),
        "frozen share": frozen.cloud_share,
        "lifelong share": lifelong.cloud_share,
        "exploration cost": lifelong.exploration_cost,
        "explored": lifelong.explored,
        "frozen regret": frozen.regret()[-1] / len(frozen),
        "lifelong regret": lifelong.regret()[-1] / len(lifelong),
    }


def run_seed(
    trace: Trace, seed: int, blocks: int, share: float, feedback: dict[str, Users] = FEEDBACK
) -> dict[str, dict]:
    """All of one deal."""
    world = deal(trace, seed, blocks)
    found: dict[str, dict] = {"policies": {}, "feedback": {}, "windows": {}, "off-policy": {}}
    found["references"] = references(world, share)
    for name, (policy, settings) in POLICIES.items():
        before, lifelong, frozen = twins(world, make_policy(policy, pacer=Pacer(share), **settings), seed)
        found["policies"][name] = figures(before, lifelong, frozen)
        found["windows"][name] = windowed(lifelong.shown - frozen.shown, WINDOW)
        if "LinUCB" not in name:  # the log of a deterministic policy says nothing about others
            found["off-policy"][name] = off_policy(world, lifelong, frozen)
    for name, kind in feedback.items():
        users = replace(kind, seed=seed)
        found["feedback"][name] = figures(*twins(world, LinUCB(Pacer(share)), seed, users))
    return found


def with_interval(values: list[float]) -> str:
    """Mean and 95 % t-interval over seeds."""
    shown = t_interval(values)
    return f"{shown.estimate:+.4f} [{shown.low:+.4f}, {shown.high:+.4f}]"


def print_twins(title: str, rows: dict[str, list[dict[str, float]]]) -> None:
    """One line for each policy or kind of feedback."""
    print(
        f"\n| {title} | before | frozen | lifelong | gain | net gain | gain, 2nd half | share frozen/lifelong |", end=""
    )
    print(" explored | cost of exploring | regret frozen/lifelong |\n|" + " --- |" * 11)
    for name, seeds in rows.items():
        mean = {key: float(np.mean([one[key] for one in seeds])) for key in seeds[0]}
        gains = [with_interval([one[key] for one in seeds]) for key in ("gain", "net gain", "later gain")]
        print(
            f"| {name} | {mean['before']:.4f} | {mean['frozen']:.4f} | {mean['lifelong']:.4f} | {' | '.join(gains)} | "
            f"{mean['frozen share']:.3f} / {mean['lifelong share']:.3f} | {mean['explored']:.1%} | "
            f"{with_interval([one['exploration cost'] for one in seeds])} | "
            f"{mean['frozen regret']:.4f} / {mean['lifelong regret']:.4f} |"
        )


def print_off_policy(seeds: list[dict[str, dict]]) -> None:
    """Estimates beside the truth."""
    print("\n| log of | estimator | estimate | truth | error over seeds | interval covers truth | effective size |")
    print("|" + " --- |" * 7)
    for name in seeds[0]:
        for estimator in seeds[0][name]:
            value, low, high, size, truth = np.array([one[name][estimator] for one in seeds]).T
            covered = int(((low <= truth) & (truth <= high)).sum())
            print(
                f"| {name} | {estimator} | {value.mean():.4f} | {truth.mean():.4f} | "
                f"{with_interval(list(value - truth))} | {covered} of {len(value)} | {size.mean():.0f} |"
            )


def print_all(trace: Trace, results: list[dict[str, dict]]) -> None:
    """All tables of one trace."""
    print(f"\n## {len(trace)} queries, {len(np.unique(trace.subjects))} subjects, {len(results)} seeds")
    print("\n| after the shift | quality |\n| --- | --- |")
    for name in results[0]["references"]:
        print(f"| {name} | {np.mean([one['references'][name] for one in results]):.4f} |")
    for title, part in (("policy", "policies"), ("feedback (LinUCB)", "feedback")):
        if results[0][part]:
            print_twins(title, {name: [one[part][name] for one in results] for name in results[0][part]})
    longest = min(len(one["windows"]["LinUCB"]) for one in results)
    print(f"\n| gain in queries after the shift | {' | '.join(str(WINDOW * i) + '+' for i in range(longest))} |")
    print("|" + " --- |" * (longest + 1))
    for name in results[0]["windows"]:
        curve = np.mean([one["windows"][name][:longest] for one in results], axis=0)
        print(f"| {name} | {' | '.join(f'{value:+.4f}' for value in curve)} |")
    print_off_policy([one["off-policy"] for one in results])


def print_speed(trace: Trace) -> None:
    """Medians of one query's features, decision and update at d = 128."""
    queries, quality = trace.queries(), np.column_stack([trace.quality("edge"), trace.quality("cloud")])
    features = FeatureMap(components=62).fit(queries[:1000])
    known = [Context(vector, query) for vector, query in zip(features.transform(queries[:1000]), queries, strict=False)]
    print(f"\n| d = {features.dimension} | features | decision and update |\n| --- | --- | --- |")
    for name in ("lin-ucb", "thompson"):
        policy, rng, times = make_policy(name, discount=0.9995), np.random.default_rng(0), []
        policy.warm_up(known, quality[:1000])
        for query, right in zip(queries[1000:3000], quality[1000:3000], strict=True):
            start = time.perf_counter()
            context = Context(features.transform([query])[0], query)
            made = time.perf_counter()
            decision = policy.decide(context, rng)
            policy.update(context, decision, float(right[decision.action]))
            times.append((made - start, time.perf_counter() - made))
        medians = np.median(times, axis=0) * 1e6
        print(f"| {name}, forgetting | {medians[0]:.0f} µs | {medians[1]:.0f} µs |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mmlu/ and traces/")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two seeds, a quarter of the queries")
    options = parser.parse_args()
    whole = read_correctness(options.data / "traces" / "mmlu_mixtral_gpt4.csv", options.data / "mmlu")
    if options.quick:
        whole, options.seeds = whole.subset(np.arange(0, len(whole), 4)), 2
    for trace, feedback in ((whole, FEEDBACK), (without_subjects(whole, [BROKEN]), {})):
        rest = options.blocks, options.share, feedback
        jobs = (delayed(run_seed)(trace, seed, *rest) for seed in range(options.seeds))
        print_all(trace, Parallel(n_jobs=options.jobs)(jobs))
    print_speed(whole)


if __name__ == "__main__":
    main()
