"""Whether the measured draft length keeps up with the best fixed one, over round-trip times and drafters.

Greedy completions of nano questions on the virtual timeline, models timed for real by CPU time. For each drafter and
round-trip time: a query's seconds with each fixed draft length, with streaming from the cloud, and with
`MeasuredLength`, which begins knowing nothing; the questions on which it warms up are left out for all.

Run it from the repository's root: `python benchmarks/speculative_lengths.py [--questions 24] [--warm 8]`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from ianvs_collab.link import Deployment, Link, Timeline
from ianvs_collab.modelserver import SamplingParams, load_model
from ianvs_collab.modelserver.stepping import open_stepper
from ianvs_collab.speculative import MeasuredLength, ModelDrafter, PromptLookup, SpeculativeDecoder, early_exit
from ianvs_collab.zoo.export import test_questions

MAX_TOKENS = 48
LENGTHS = (0, 1, 2, 4, 6, 8, 12)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=24, help="nano questions, warm-up included (default: 24)")
    parser.add_argument("--warm", type=int, default=8, help="of these for the warm-up (default: 8)")
    parser.add_argument("--rtts", default="0,10,25,50,100,200", help="milliseconds (default: 0,10,25,50,100,200)")
    arguments = parser.parse_args()
    target = open_stepper(load_model("transformers", "zoo:cloud"))
    edge = open_stepper(load_model("transformers", "zoo:edge"))
    asked = test_questions()[: arguments.questions]
    prompts = [target.encode([{"role": "user", "content": row.prompt}]) for row in asked]
    ends = target.end_tokens
    drafters: dict[str, Callable[[], Any]] = {
        "zoo:edge": lambda: ModelDrafter(edge, target.vocabulary, end_tokens=ends),
        "early exit after 4 layers": lambda: ModelDrafter(early_exit(target, 4), target.vocabulary, end_tokens=ends),
        "prompt lookup": PromptLookup,
    }
    print(
        "| drafter | RTT, ms | "
        + " | ".join(f"γ = {n}" if n else "streamed" for n in LENGTHS)
        + " | measured | beside best |"
    )
    print("| --- | --- |" + " --- |" * (len(LENGTHS) + 2))
    for name, make in drafters.items():
        for rtt in map(float, arguments.rtts.split(",")):
            choices: list[Any] = [*LENGTHS, MeasuredLength()]
            decoders = [
                SpeculativeDecoder(target, make(), draft_length=choice, clock=time.process_time) for choice in choices
            ]
            seconds = [0.0] * len(decoders)
            for number, prompt in enumerate(prompts):
                # Turn and turn about, so that whatever else the machine does slows all.
                for index, decoder in enumerate(decoders):
                    timeline = Timeline(Deployment(link=Link(rtt_ms=rtt)))
                    decoder.decode_tokens(prompt, SamplingParams(max_tokens=MAX_TOKENS), timeline)
                    seconds[index] += timeline.now * (number >= arguments.warm)
            mean = [1000 * value / (len(prompts) - arguments.warm) for value in seconds]
            cells = " | ".join(f"{value:.0f}" for value in mean)
            print(f"| {name} | {rtt:g} | {cells} | {mean[-1] / min(mean[:-1]) - 1:+.1%} |", flush=True)


if __name__ == "__main__":
    main()
