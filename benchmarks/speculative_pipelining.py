"""How much of the round trips drafting ahead hides: one block ahead, asynchronously, and in branches.

Greedy completions on the virtual timeline with paced models (`speculative_paced.py`): tokens are real, times were
measured in this run. Nano questions, and with `--spec-bench FOLDER` Spec-Bench prompts with 64 new tokens;
drafted by `zoo:edge`, and by a drafter that is never wrong (the target itself at the speed of the edge model), which
shows the most that drafting ahead can do. Answers of nano questions have 12 tokens, and the nano models can write no
longer ones that `zoo:edge` is any good at; so for longer ones, 48 tokens, the drafter is the target again, wrong one
time in 20, as often as `zoo:edge` is on nano questions. The share that is hidden is what a query takes less than
synchronously with the same draft length, beyond what it takes less without a link, divided by RTT times the number of
synchronous rounds.

Run it from the repository's root: `python benchmarks/speculative_pipelining.py [--questions 40]`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speculative_paced import NANO_TOKENS, Corrupted, Outcome, Strategy, Suite, World, nano, spec_bench, validate

from ianvs_collab.speculative import ModelDrafter

WINDOW = 16
AHEAD = ("pre-draft", "asynchronous", "branches")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=40, help="nano questions (default: 40)")
    parser.add_argument("--spec-bench", type=Path, help="folder with question.jsonl of Spec-Bench")
    parser.add_argument("--prompts", type=int, default=40, help="Spec-Bench prompts (default: 40)")
    parser.add_argument("--lengths", default="2,3,4", help="draft lengths (default: 2,3,4)")
    parser.add_argument("--rtts", default="25,50,100", help="milliseconds (default: 25,50,100)")
    arguments = parser.parse_args()
    world = World()
    print(world.describe())
    suites = [nano(world, arguments.questions)]
    validate(world, suites[0])
    if arguments.spec_bench:
        suites.append(spec_bench(world, arguments.spec_bench, arguments.prompts))
    never, seldom = world.target.at_pace(world.edge.costs), 0.05
    for suite in suites:
        show(world, suite, "`zoo:edge`", world.edge, arguments)
        show(world, suite, "never wrong", never, arguments)
    longer = Suite(f"{NANO_TOKENS} tokens after nano prompts", suites[0].prompts[:10], NANO_TOKENS, ())
    show(world, longer, "wrong one time in 20", Corrupted(never, seldom, 1.0), arguments)


def show(world: World, suite: Suite, name: str, model: Any, arguments: argparse.Namespace) -> None:
    """Prints the table of one drafter."""
    drafter = ModelDrafter(model, world.target.vocabulary, end_tokens=suite.ends)
    print(f"\n{suite.name}, {name}, {len(suite.prompts)} prompts, window {WINDOW}; mean ms of a query\n")
    head = ["γ | α | window, ms | RTT, ms | streamed | rounds | synchronous", *AHEAD]
    head += [f"hidden: {AHEAD[0]}", *AHEAD[1:], "branches hit"]
    print(f"| {' | '.join(head)} |\n| --- |{' --- |' * 13}")
    for length in map(int, arguments.lengths.split(",")):
        compare(world, suite, drafter, length, [float(rtt) for rtt in arguments.rtts.split(",")])


def compare(world: World, suite: Suite, drafter: ModelDrafter, length: int, rtts: Sequence[float]) -> None:
    """Prints the rows of one draft length."""
    strategies = {"streamed": Strategy("streamed"), "synchronous": Strategy("synchronous", length)}
    strategies |= {"pre-draft": Strategy("pre-draft", length)}
    strategies |= {kind: Strategy(kind, length, WINDOW) for kind in ("asynchronous", "branches")}

    def measure(rtt: float) -> dict[str, Outcome]:
        return {kind: world.run(suite, strategy, drafter, rtt) for kind, strategy in strategies.items()}

    # Not 0: the prompt is then read with the first block, another order of work.
    ideal = measure(1e-6)
    window_ms = 1e3 * WINDOW * length * world.edge.costs.prefill(1)
    for rtt in rtts:
        found = measure(rtt)
        waiting = found["synchronous"]
        gained = [waiting.mean_ms - found[kind].mean_ms for kind in AHEAD]
        anyway = [ideal["synchronous"].mean_ms - ideal[kind].mean_ms for kind in AHEAD]
        hidden = [(gain - free) / (rtt * waiting.rounds) for gain, free in zip(gained, anyway, strict=True)]
        branched = found["branches"]
        cells = [
            f"{length} | {waiting.tally.acceptance or 0:.3f} | {window_ms:.0f} | {rtt:g}",
            f"{found['streamed'].mean_ms:.0f} | {waiting.rounds:.1f}",
            *(f"{found[kind].mean_ms:.0f}" for kind in ("synchronous", *AHEAD)),
            *(f"{share:.0%}" for share in hidden),
            f"{branched.foreseen} of {branched.surprises}",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
