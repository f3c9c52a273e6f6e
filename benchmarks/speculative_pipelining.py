"""How much of the round trips drafting ahead hides, on the virtual timeline.

Greedy completions of nano questions under several round-trip times, by the cloud alone (streamed), synchronous
speculation, one-step pre-drafting and asynchronous speculation; also with a drafter that is never wrong (the target
itself, at the speed of the edge), which shows the most that drafting ahead can do. Models are run and timed for real,
by CPU time; the link is added by the timeline. The share that is hidden is what a query takes less than synchronously,
beyond what it takes less without a link, divided by RTT times the number of synchronous rounds.

Run it from the repository's root: `python benchmarks/speculative_pipelining.py [--questions 30]`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from ianvs_collab.link import Deployment, Device, Link, Timeline
from ianvs_collab.modelserver import SamplingParams, load_model
from ianvs_collab.modelserver.stepping import Stepper, open_stepper
from ianvs_collab.speculative import ModelDrafter, SpeculativeDecoder
from ianvs_collab.zoo.export import test_questions

MAX_TOKENS, WINDOW = 48, 8
RTTS_MS = (0, 10, 25, 50, 100)
MODES: dict[str, dict[str, Any]] = {
    "streamed": {"draft_length": 0},
    "synchronous": {},
    "pre-draft": {"pipelining": "pre-draft"},
    "asynchronous": {"pipelining": "asynchronous", "window": WINDOW},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=30, help="nano questions (default: 30)")
    parser.add_argument("--length", type=int, default=4, help="draft length (default: 4)")
    arguments = parser.parse_args()
    target = open_stepper(load_model("transformers", "zoo:cloud"))
    edge = open_stepper(load_model("transformers", "zoo:edge"))
    asked = test_questions()[: arguments.questions]
    prompts = [target.encode([{"role": "user", "content": row.prompt}]) for row in asked]
    for name, stepper, slowdown in (("zoo:edge", edge, 1.0), ("never wrong", target, 0.2)):
        compare(name, target, (stepper, slowdown), prompts, arguments.length)


def compare(name: str, target: Stepper, device: tuple[Stepper, float], prompts: list[list[int]], length: int) -> None:
    """Prints one table: seconds of a query in every mode and round-trip time."""
    stepper, slowdown = device
    print(f"\n{name}, draft length {length}, {len(prompts)} questions\n")
    print(
        "| RTT, ms | " + " | ".join(f"{mode}, ms" for mode in MODES) + " | hidden: pre-draft | hidden: asynchronous |"
    )
    print("| --- |" + " --- |" * (len(MODES) + 2))
    ideal: dict[str, float] = {}
    for rtt in RTTS_MS:
        seconds, rounds = {}, 0.0
        for mode, options in MODES.items():
            drafter = ModelDrafter(stepper, target.vocabulary, end_tokens=target.end_tokens)
            chosen = {"draft_length": length, "clock": time.process_time, **options}
            decoder = SpeculativeDecoder(target, drafter, **chosen)
            seconds[mode], counted = run(
                decoder, prompts, Deployment(edge=Device(slowdown=slowdown), link=Link(rtt_ms=rtt))
            )
            rounds = counted if mode == "synchronous" else rounds
        ideal = ideal or seconds
        paid = rtt / 1000 * rounds
        hidden = [
            ((seconds["synchronous"] - seconds[mode]) - (ideal["synchronous"] - ideal[mode])) / paid if paid else 0.0
            for mode in ("pre-draft", "asynchronous")
        ]
        cells = [f"{1000 * value:.0f}" for value in seconds.values()]
        print(f"| {rtt} | {' | '.join(cells)} | " + " | ".join(f"{share:.0%}" for share in hidden) + " |", flush=True)


def run(decoder: SpeculativeDecoder, prompts: Sequence[list[int]], deployment: Deployment) -> tuple[float, float]:
    """Mean seconds of a query, and mean rounds."""
    total, rounds = 0.0, 0
    for prompt in prompts:
        timeline = Timeline(deployment)
        decoding = decoder.decode_tokens(prompt, SamplingParams(max_tokens=MAX_TOKENS), timeline)
        total += timeline.now
        rounds += decoding.tally.blocks
    return total / len(prompts), rounds / len(prompts)


if __name__ == "__main__":
    main()
