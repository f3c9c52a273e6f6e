"""Speculative decoding without a link beside transformers' assisted generation: same models, same thread, same prompts.

Greedy completions of nano questions, one at a time on one thread. Draft length and confidence are tuned for both on one
part of the questions and compared on the rest, each question by all methods in turn, in an order that rotates. Times
are CPU times, which for one thread are what an idle machine's clock would show, whatever else this one does; ratios are
of sums over questions, with a bootstrap interval over questions. Then what the ratio is made of: acceptance by
position, the time of a draft step and of verifying blocks of every length, and the speed-up that these alone predict.
Such steps are timed after each question of the comparison, so that they and it have the same machine.

Run it from the repository's root: `python benchmarks/speculative_speed.py [--questions 60] [--tuning 10]`.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ianvs_collab.modelserver import SamplingParams, load_model
from ianvs_collab.modelserver.stepping import Stepper, greedy, open_stepper
from ianvs_collab.speculative import ModelDrafter, SpeculativeDecoder, Tally
from ianvs_collab.zoo.export import test_questions

MAX_TOKENS = 48
LENGTHS, CONFIDENCES = (3, 5, 8, 12), (0.0, 0.4, 0.7)
DEFAULTS = (20, 0.4)  # of transformers' GenerationConfig
BLOCKS = (1, 2, 4, 6, 9, 13)  # tokens of a verification
Method = Callable[[list[int]], list[int]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=60, help="to compare on (default: 60)")
    parser.add_argument("--tuning", type=int, default=10, help="to tune on (default: 10)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    target = open_stepper(load_model("transformers", "zoo:cloud"))
    edge = open_stepper(load_model("transformers", "zoo:edge"))
    asked = test_questions()[: arguments.tuning + arguments.questions]
    prompts = [target.encode([{"role": "user", "content": row.prompt}]) for row in asked]
    tuning, measured = prompts[: arguments.tuning], prompts[arguments.tuning :]
    grid = list(itertools.product(LENGTHS, CONFIDENCES))
    best = {}
    for name, make in (("ours", ours), ("transformers", theirs)):
        times = run({setting: make(target, edge, *setting) for setting in grid}, tuning)
        best[name] = min(grid, key=lambda setting: times[setting].sum())
        print(f"{name}: best of {len(grid)} on {len(tuning)} questions: draft length and confidence {best[name]}")
    methods: dict[Any, Method] = {
        "ours, tuned": ours(target, edge, *best["ours"]),
        "transformers, tuned": theirs(target, edge, *best["transformers"]),
        "transformers, defaults": theirs(target, edge, *DEFAULTS),
        "target alone, ours": lambda prompt: alone(target, prompt),
        "target alone, transformers": lambda prompt: generate(target, prompt),
    }
    steps = Steps(target, edge)
    times = run(methods, measured, steps.measure)
    print(f"\n| method, {len(measured)} questions | CPU ms a question | speed of ours, tuned, beside it |")
    print("| --- | --- | --- |")
    for name, values in times.items():
        print(f"| {name} | {1e3 * values.mean():.1f} | {interval(values, times['ours, tuned'])} |")
    explain(steps, best["ours"], measured, times)


def ours(target: Stepper, edge: Stepper, length: int, confidence: float) -> Method:
    """Decoding by this project."""
    drafter = ModelDrafter(edge, target.vocabulary, end_tokens=target.end_tokens, confidence=confidence)
    decoder = SpeculativeDecoder(target, drafter, draft_length=length)
    return lambda prompt: decoder.decode_tokens(prompt, SamplingParams(max_tokens=MAX_TOKENS)).tokens


def theirs(target: Stepper, edge: Stepper, length: int, confidence: float) -> Method:
    """Decoding by transformers with `assistant_model`."""

    def decode(prompt: list[int]) -> list[int]:
        with edge.engine.at_work() as model:  # type: ignore[attr-defined]
            assistant = model
        assistant.generation_config.num_assistant_tokens = length
        assistant.generation_config.num_assistant_tokens_schedule = "constant"
        assistant.generation_config.assistant_confidence_threshold = confidence
        return generate(target, prompt, assistant_model=assistant)

    return decode


def generate(target: Stepper, prompt: list[int], **options: Any) -> list[int]:
    """Greedy decoding by transformers, on the same model object."""
    ids = torch.tensor([prompt])
    with target.engine.at_work() as model:  # type: ignore[attr-defined]
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=MAX_TOKENS,
            do_sample=False,
            **options,
        )
    tokens: list[int] = found[0, len(prompt) :].tolist()
    return tokens


def alone(target: Stepper, prompt: list[int]) -> list[int]:
    """Greedy decoding through the step interface."""
    with target.open() as session:
        return greedy(session, prompt, MAX_TOKENS, target.end_tokens)


class Steps:
    """Times of single steps of both models, sampled again and again."""

    def __init__(self, target: Stepper, edge: Stepper) -> None:
        self.target, self.edge = target, edge
        self._models = {"target": (target, BLOCKS), "edge": (edge, (1,) * 4)}
        self._samples: dict[tuple[str, int], list[float]] = defaultdict(list)

    def measure(self, prompt: list[int]) -> None:
        """Take a sample of each."""
        for name, (stepper, counts) in self._models.items():
            with stepper.open() as session:
                self._time((name, 0), lambda: session.prefill(prompt))  # noqa: B023 - called at once
                for count in counts:
                    self._time((name, count), lambda: session.step(prompt[:count]))  # noqa: B023
                    session.rollback(count)

    def ms(self, model: str, tokens: int) -> float:
        """CPU milliseconds of a step of so many tokens, the median; with 0 of reading a prompt, the mean."""
        average = statistics.median if tokens else statistics.fmean
        return 1e3 * average(self._samples[model, tokens])

    def _time(self, what: tuple[str, int], deed: Callable[[], Any]) -> None:
        start = time.process_time()
        deed()
        self._samples[what].append(time.process_time() - start)


def run(
    methods: dict[Any, Method], prompts: list[list[int]], between: Callable[[list[int]], None] = lambda prompt: None
) -> dict[Any, Any]:
    """CPU seconds of each method and prompt, shape (prompts,); all methods have to give the same tokens."""
    names = list(methods)
    times = {name: np.zeros(len(prompts)) for name in names}
    for name in names:
        methods[name](prompts[0])  # warm
    for number, prompt in enumerate(prompts):
        outputs = []
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.process_time()
            outputs.append(methods[name](prompt))
            times[name][number] = time.process_time() - start
        if any(output != outputs[0] for output in outputs):
            print(f"prompt {number}: outputs differ")
        between(prompt)
    return times


def interval(theirs_s: Any, ours_s: Any) -> str:
    """Ratio of sums with a 95 % bootstrap interval over questions."""
    draws = np.random.default_rng(0).integers(0, len(ours_s), (2000, len(ours_s)))
    ratios = theirs_s[draws].sum(1) / ours_s[draws].sum(1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return f"{theirs_s.sum() / ours_s.sum():.3f} x [{low:.3f}, {high:.3f}]"


def explain(steps: Steps, setting: tuple[int, float], prompts: list[list[int]], times: dict[Any, Any]) -> None:
    """Prints what the speed is made of, and the speed-up that this predicts."""
    target, edge = steps.target, steps.edge
    drafter = ModelDrafter(edge, target.vocabulary, end_tokens=target.end_tokens, confidence=setting[1])
    decoder, tally, tokens = SpeculativeDecoder(target, drafter, draft_length=setting[0]), Tally(), 0
    for prompt in prompts:
        decoding = decoder.decode_tokens(prompt, SamplingParams(max_tokens=MAX_TOKENS))
        tally.add(decoding.tally)
        tokens += len(decoding.tokens)
    by_position = ", ".join(f"{s / o:.3f}" for s, o in zip(tally.stood, tally.offered, strict=True) if o)
    print(f"\nacceptance by position: {by_position}; over all {tally.acceptance:.3f}")
    draft, verify = steps.ms("edge", 1), {count: steps.ms("target", count) for count in BLOCKS}
    print(f"draft step {draft:.2f} ms; target step {verify[1]:.2f} ms; cost ratio {draft / verify[1]:.3f}")
    print("verifying " + ", ".join(f"{count} tokens {ms:.2f} ms" for count, ms in verify.items()))
    prefills = [steps.ms(model, 0) for model in ("target", "edge")]
    drafted, alpha = tally.drafted / tally.blocks, tally.acceptance or 0
    committed = (1 - alpha ** (drafted + 1)) / (1 - alpha)
    block = float(np.interp(drafted + 1, list(verify), list(verify.values())))
    length = tokens / len(prompts)
    predicted_alone = prefills[0] + (length - 1) * verify[1]
    rounds = length / committed
    # The prompt is read with the first block, and with the first draft step.
    predicted = sum(prefills) + (rounds - 1) * block + (rounds * drafted - 1) * draft
    measured = times["target alone, ours"].sum() / times["ours, tuned"].sum()
    print(
        f"{length:.1f} tokens a question, {drafted:.2f} drafted a block, N = {committed:.2f} by the formula, "
        f"{tally.committed / tally.blocks:.2f} counted; speed-up beside the target alone: predicted "
        f"{predicted_alone / predicted:.3f} x, measured {measured:.3f} x "
        f"(off by {100 * (predicted_alone / predicted / measured - 1):+.1f} %)"
    )


if __name__ == "__main__":
    main()
