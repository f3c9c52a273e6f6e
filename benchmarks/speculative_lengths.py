"""Whether the measured draft length keeps up with the best fixed one, over round-trip times and drafters.

Greedy completions of nano questions on the virtual timeline with paced models (`speculative_paced.py`): tokens are
real, times were measured in this run. For each drafter and round-trip time: a query's milliseconds with each
fixed draft length, streamed from the cloud, with asynchronous drafting, and with `MeasuredLength`, which begins knowing
nothing; the questions on which it warms up are left out for all, and then counted in. Last, what it does when the
round-trip time changes while it works, and what its planning costs.

Run it from the repository's root: `python benchmarks/speculative_lengths.py [--questions 100] [--warm 20]`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from speculative_paced import Strategy, Suite, World, nano, validate

from ianvs_collab.speculative import Drafter, MeasuredLength, Round

LENGTHS = (1, 2, 4, 6, 8, 12, 16, 24, 48)
WINDOW = 8


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=100, help="nano questions, warm-up included (default: 100)")
    parser.add_argument("--warm", type=int, default=20, help="of these for the warm-up (default: 20)")
    parser.add_argument("--rtts", default="0,10,25,50,100,200", help="milliseconds (default: 0,10,25,50,100,200)")
    arguments = parser.parse_args()
    world = World()
    print(world.describe())
    suite = nano(world, arguments.questions)
    validate(world, nano(world, 20))
    print(f"\n{arguments.questions} questions, the first {arguments.warm} for the warm-up; mean ms of a query\n")
    head = [*(f"γ = {length}" for length in LENGTHS), "streamed", "best asynchronous", "measured"]
    print("| drafter | RTT, ms | " + " | ".join(head) + " | beside best fixed | beside best static | with warm-up |")
    print("| --- | --- |" + " --- |" * (len(head) + 3))
    for name, make in world.drafters(suite.ends).items():
        for rtt in map(float, arguments.rtts.split(",")):
            compare(world, suite, (name, make), rtt, arguments.warm)
    follow(world, suite)
    planning()


def compare(world: World, suite: Suite, drafter: tuple[str, Callable[[], Drafter]], rtt: float, warm: int) -> None:
    """Prints one row."""
    name, make = drafter

    def seconds(strategy: Strategy) -> list[float]:
        return [1e3 * value for value in world.run(suite, strategy, make(), rtt).seconds]

    fixed = [seconds(Strategy("synchronous", length)) for length in LENGTHS]
    streamed = seconds(Strategy("streamed"))
    ahead = [seconds(Strategy("asynchronous", length, WINDOW)) for length in (2, 4, 8)]
    ours = seconds(Strategy("measured", policy=MeasuredLength()))

    def beside(others: list[list[float]], begin: int) -> float:
        return statistics.fmean(ours[begin:]) / min(statistics.fmean(other[begin:]) for other in others) - 1

    static = [*fixed, streamed]
    best_ahead = min(statistics.fmean(other[warm:]) for other in ahead)
    cells = [f"{statistics.fmean(other[warm:]):.0f}" for other in static]
    print(
        f"| {name} | {rtt:g} | {' | '.join(cells)} | {best_ahead:.0f} | {statistics.fmean(ours[warm:]):.0f} | "
        f"{beside(fixed, warm):+.1%} | {beside([*static, *ahead], warm):+.1%} | {beside(static, 0):+.1%} |",
        flush=True,
    )


def follow(world: World, suite: Suite, near: float = 10, far: float = 200) -> None:
    """Prints how queries go when the round-trip time jumps up, and back down."""
    prompts = (suite.prompts * 2)[:120]
    longer = Suite(suite.name, prompts, suite.max_tokens, suite.ends)
    third = len(prompts) // 3
    rtts = [near] * third + [far] * third + [near] * (len(prompts) - 2 * third)
    print(
        f"\nRTT from {near:g} to {far:g} ms after {third} questions, and back after {third} more; mean ms of a query\n"
    )
    parts = [(0, 5), (5, third), (third, third + 3), (third + 3, 2 * third), (2 * third, 2 * third + 3)]
    parts.append((2 * third + 3, len(prompts)))
    print("| drafter | lengths | " + " | ".join(f"questions {a + 1} to {b}" for a, b in parts) + " |")
    print("| --- | --- |" + " --- |" * len(parts))
    for name, make in world.drafters(suite.ends).items():
        rows = {"measured": Strategy("measured", policy=MeasuredLength()), "streamed": Strategy("streamed")}
        rows |= {f"γ = {length}": Strategy("synchronous", length) for length in (4, 16)}
        for label, strategy in rows.items():
            found = world.run(longer, strategy, make(), rtts).seconds
            cells = [f"{1e3 * statistics.fmean(found[begin:end]):.0f}" for begin, end in parts]
            print(f"| {name} | {label} | {' | '.join(cells)} |", flush=True)


def planning() -> None:
    """Prints what a plan costs the edge."""
    for max_tokens in (48, 512):
        policy = MeasuredLength()
        policy.begin(max_tokens)
        policy.choose()
        # One round, only to have something to plan with.
        policy.observe(Round(4, 4, 3, 1, True, 0.02, 0.02, 0.05))
        start = time.process_time()
        for _ in range(50):
            policy.plan()
        print(f"\na plan for up to {max_tokens} tokens takes {20 * (time.process_time() - start):.2f} ms", end="")
    print()


if __name__ == "__main__":
    main()
