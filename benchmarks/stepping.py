"""What the step interface costs beside a bare forward pass, and whether it decodes as transformers' `generate()` does.

For both nano models: greedy completions through sessions against `generate()`, token by token; then the time of a step
of one token and of eight, each against a bare call of the model on the same tokens with a cache of the same length,
turn and turn about, so that whatever else the machine does slows both; and the time of `rollback` and `fork`. Prints
medians, and the median of the ratios.

Run it from the repository's root: `python benchmarks/stepping.py [--questions 204] [--repeats 300]`.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

from ianvs_collab.modelserver import load_model, resolve_model
from ianvs_collab.modelserver.backends.hf_loading import quiet
from ianvs_collab.modelserver.stepping import Session, greedy, open_stepper
from ianvs_collab.zoo.export import test_questions

MAX_TOKENS, LENGTH = 48, 128
WARM_UP = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=204, help="prompts for the comparison (default: 204)")
    parser.add_argument("--repeats", type=int, default=300, help="timed pairs (default: 300)")
    arguments = parser.parse_args()
    for name in ("zoo:edge", "zoo:cloud"):
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(resolve_model(name), dtype=torch.float32).eval()
        equality(name, model, arguments.questions)
        overhead(name, model, arguments.repeats)


def equality(name: str, model: Any, questions: int) -> None:
    """Prints how many greedy completions are those of `generate()`."""
    stepper = open_stepper(load_model("transformers", name))
    equal = 0
    for question in test_questions()[:questions]:
        prompt = stepper.encode([{"role": "user", "content": question.prompt}])
        ids = torch.tensor([prompt])
        expected = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=MAX_TOKENS, do_sample=False
        )
        with stepper.open() as session:
            found = greedy(session, prompt, MAX_TOKENS, stepper.end_tokens)
        equal += found == expected[0, len(prompt) :].tolist()
    print(f"{name}: {equal} of {questions} greedy completions equal to generate(), token by token")


def overhead(name: str, model: Any, repeats: int) -> None:
    """Prints the times of steps and bare calls, of rollback and fork."""
    session = open_stepper(load_model("transformers", name)).open()
    text = [(7 * index) % 1000 + 2 for index in range(LENGTH)]
    session.prefill(text)
    with torch.inference_mode():
        cache = DynamicCache(config=model.config)
        model(input_ids=torch.tensor([text]), past_key_values=cache, use_cache=True)
    for count in (1, 8):
        step, bare = pair(session, model, cache, text[:count], repeats)
        ratio = statistics.median(a / b for a, b in zip(step, bare, strict=True))
        print(
            f"{name}: {count} tokens after {LENGTH}: step {1e3 * statistics.median(step):.3f} ms, bare forward "
            f"{1e3 * statistics.median(bare):.3f} ms, median ratio {ratio:.3f}"
        )
    print(f"{name}: fork {1e6 * statistics.median(forks(session, repeats)):.0f} µs", end=", ")
    print(f"rollback of 8 tokens {1e6 * statistics.median(rollbacks(session, text[:8], repeats)):.0f} µs")


def pair(session: Session, model: Any, cache: Any, tokens: list[int], repeats: int) -> tuple[list[float], list[float]]:
    """Times of a step and of a bare call on the same tokens, in seconds, turn and turn about."""

    def step() -> None:
        session.step(tokens)

    def bare() -> None:
        with torch.inference_mode():
            model(input_ids=torch.tensor([tokens]), past_key_values=spare, use_cache=True)

    times: dict[Callable[[], None], list[float]] = {step: [], bare: []}
    for number in range(repeats + WARM_UP):
        spare = copy.deepcopy(cache)
        for deed in (step, bare) if number % 2 else (bare, step):
            times[deed].append(timed(deed))
        session.rollback(len(tokens))
    return times[step][WARM_UP:], times[bare][WARM_UP:]


def forks(session: Session, repeats: int) -> list[float]:
    """Times of `fork`, in seconds."""
    return [timed(session.fork) for _ in range(repeats)]


def rollbacks(session: Session, tokens: list[int], repeats: int) -> list[float]:
    """Times of `rollback`, in seconds."""
    times = []
    for _ in range(repeats):
        session.step(tokens)
        times.append(timed(lambda: session.rollback(len(tokens))))
    return times


def timed(deed: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    deed()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
