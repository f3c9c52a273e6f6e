"""Whether sampled speculative decoding has the target's distribution, and whether this test would notice if not.

Three tokens of an 8-token toy vocabulary are decoded again and again by the verifiers themselves; how often each of the
512 sequences came is compared with its probability by a chi-square test, with Holm's correction over all modes. Two
verifiers that are broken on purpose have to fail. Then the toy is left: with the nano models the output of Gumbel mode
and sample-match is compared, token for token, with seeded sampling by the target alone, for four drafters.

Run it from the repository's root: `python benchmarks/speculative_sampling.py [--draws 200000] [--questions 60]`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import stats

from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative.protocols import make_codec
from ianvs_collab.speculative.sampling import draw
from ianvs_collab.speculative.verification import (
    Draft,
    Gumbel,
    Matching,
    Rejection,
    SampleMatch,
    Verifier,
    replacement,
)

VOCABULARY, LENGTH, DRAFT = 8, 3, 2
HOT = SamplingParams(temperature=1.0)
MAX_TOKENS = 32


class Toy:
    """Target and draft: a distribution for each beginning of a text, and one row more for the bonus token."""

    def __init__(self, seed: int, rounding: Callable[[Any], Any]) -> None:
        generator = np.random.default_rng(seed)
        shape = (VOCABULARY + 1,) * LENGTH + (VOCABULARY,)
        self.logits = generator.normal(0, 0.6, shape)
        weights = np.exp(self.logits + generator.normal(0, 0.8, shape))
        rows = [rounding(row / row.sum()) for row in weights.reshape(-1, VOCABULARY)]
        self.q = np.array(rows).reshape(shape)

    def expected(self) -> Any:
        """Probability of every sequence, shape (8, 8, 8)."""
        p = np.exp(self.logits) / np.exp(self.logits).sum(-1, keepdims=True)
        first, second, third = p[8, 8, 8], p[:8, 8, 8], p[:8, :8, 8]
        return first[:, None, None] * second[:, :, None] * third


def at(text: list[int]) -> tuple[int, ...]:
    """The row after a text; 8 stands for no token."""
    return tuple((text + [VOCABULARY] * LENGTH)[:LENGTH])


def decode(toy: Toy, verifier: Verifier, generator: np.random.Generator) -> list[int]:
    """A sequence of three tokens, drafted two at a time."""
    text: list[int] = []
    while len(text) < LENGTH:
        count = min(DRAFT, LENGTH - 1 - len(text))
        tokens: list[int] = []
        for _ in range(count):
            tokens.append(draw(toy.q[at(text + tokens)], generator.random()))
        rows = np.array([toy.q[at(text + tokens[:index])] for index in range(count)]).reshape(count, VOCABULARY)
        chosen = rows[np.arange(count), tokens]
        logits = np.array([toy.logits[at(text + tokens[:index])] for index in range(count + 1)])
        verdict = verifier.verify(Draft(tokens, rows, chosen), torch.from_numpy(logits), len(text))
        token = verdict.token
        if token is None:  # the edge's half of the split form
            assert verdict.row is not None
            token = replacement(verdict.row, rows[verdict.accepted], generator.random())
        text += [*tokens[: verdict.accepted], token]
    return text


class NoResidual(Rejection):
    """Broken: after a rejection it draws from p."""

    def _reject(self, index: int, draft: Draft, row: Any) -> Any:
        return super()._reject(index, Draft(draft.tokens, np.zeros((len(draft.tokens), VOCABULARY))), row)


class TruncatedQ(Rejection):
    """Broken: it judges by the four largest entries of q, although the draft was drawn from all of q."""

    def verify(self, draft: Draft, logits: Any, first: int) -> Any:
        """Judge a draft."""
        assert draft.rows is not None
        rows = draft.rows.copy()
        rows[rows < np.sort(rows, -1)[:, -4, None]] = 0
        rows /= rows.sum(-1, keepdims=True)
        chosen = rows[np.arange(len(rows)), draft.tokens]
        return super().verify(Draft(draft.tokens, rows, chosen), logits, first)


def fixed(kind: Any) -> Callable[[int], Verifier]:
    """A mode whose token is fixed by the seed, with another seed for every sequence."""
    return lambda number: Matching(kind(HOT, number))


def random(kind: type[Rejection], **settings: Any) -> Callable[[int], Verifier]:
    """A mode that draws its own numbers."""
    verifier = kind(HOT, np.random.default_rng(17), **settings)
    return lambda number: verifier


SOUND: dict[str, tuple[Callable[[], Callable[[int], Verifier]], str]] = {
    "rejection, full q": (lambda: random(Rejection), "full-q"),
    "rejection, quantised q (4 entries, 4 bits)": (lambda: random(Rejection), "quantised-q"),
    "rejection, split": (lambda: random(Rejection, split=True), "dssd"),
    "Gumbel coupling": (lambda: fixed(Gumbel), "ids"),
    "sample-match": (lambda: fixed(SampleMatch), "ids"),
}
BROKEN = {"broken: no residual": NoResidual, "broken: truncated q": TruncatedQ}


def p_value(name: str, draws: int, seed: int = 1) -> float:
    """Chi-square test of one verifier, by name."""
    make, protocol = SOUND[name] if name in SOUND else (lambda: random(BROKEN[name]), "full-q")
    settings = {"top": 4, "bits": 4} if protocol == "quantised-q" else {}
    toy = Toy(seed, make_codec(protocol, VOCABULARY, **settings).round)
    verifier_of, generator = make(), np.random.default_rng(seed)
    counts = np.zeros((VOCABULARY,) * LENGTH)
    for number in range(draws):
        counts[tuple(decode(toy, verifier_of(number), generator))] += 1
    expected = toy.expected() * draws
    return float(stats.chisquare(counts.ravel(), expected.ravel()).pvalue)


def holm(values: dict[str, float]) -> dict[str, float]:
    """Holm's step-down correction (Holm 1979): adjusted p-values."""
    adjusted, largest = {}, 0.0
    for index, name in enumerate(sorted(values, key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - index) * values[name]))
        adjusted[name] = largest
    return adjusted


def coupling(questions: int) -> None:
    """Prints for each drafter how many outputs are those of seeded sampling by the target alone."""
    from ianvs_collab.modelserver import load_model
    from ianvs_collab.modelserver.stepping import open_stepper
    from ianvs_collab.speculative import ModelDrafter, PromptLookup, SpeculativeDecoder, Tally, make_chooser
    from ianvs_collab.zoo.export import test_questions

    target = open_stepper(load_model("transformers", "zoo:cloud"))
    edge = open_stepper(load_model("transformers", "zoo:edge"))
    drafters: dict[str, Any] = {
        "zoo:edge": ModelDrafter(edge, target.vocabulary, end_tokens=target.end_tokens),
        "zoo:edge, confidence 0.6": ModelDrafter(edge, target.vocabulary, confidence=0.6),
        "zoo:cloud itself": ModelDrafter(target, target.vocabulary, end_tokens=target.end_tokens),
        "prompt lookup": PromptLookup(),
    }
    prompts = [target.encode([{"role": "user", "content": row.prompt}]) for row in test_questions()[:questions]]
    print("\n| mode | drafter | equal to seeded sampling by the target | acceptance | smallest margin |")
    print("| --- | --- | --- | --- | --- |")
    for mode in ("gumbel", "sample-match"):
        wanted = []
        for seed, prompt in enumerate(prompts):
            params = SamplingParams(temperature=1.0, seed=seed, max_tokens=MAX_TOKENS)
            chooser = make_chooser(mode, params)
            with target.open() as session:
                tokens = chooser.choose(session.prefill(prompt)[None], 0).tokens
                while len(tokens) < MAX_TOKENS and tokens[-1] not in target.end_tokens:
                    tokens += chooser.choose(session.step(tokens[-1:]), len(tokens)).tokens
            wanted.append(tokens)
        for name, drafter in drafters.items():
            decoder, tally, margins, equal = SpeculativeDecoder(target, drafter, mode=mode), Tally(), [], 0
            for seed, (prompt, tokens) in enumerate(zip(prompts, wanted, strict=True)):
                params = SamplingParams(temperature=1.0, seed=seed, max_tokens=MAX_TOKENS)
                decoding = decoder.decode_tokens(prompt, params)
                tally.add(decoding.tally)
                margins += decoding.margins
                equal += decoding.tokens == tokens
            print(
                f"| {mode} | {name} | {equal} of {len(prompts)} | {tally.acceptance or 0:.3f} | {min(margins):.1e} |",
                flush=True,
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200_000, help="sequences for each verifier (default: 200000)")
    parser.add_argument("--questions", type=int, default=60, help="nano questions for each drafter (default: 60)")
    arguments = parser.parse_args()
    values = {name: p_value(name, arguments.draws) for name in SOUND}
    print(f"| verifier, {arguments.draws:,} draws of 3 tokens | chi-square p | with Holm's correction |")
    print("| --- | --- | --- |")
    for name, adjusted in holm(values).items():
        print(f"| {name} | {values[name]:.3f} | {adjusted:.3f} |")
    for name in BROKEN:
        print(f"| {name} | {p_value(name, arguments.draws):.1e} | |", flush=True)
    coupling(arguments.questions)


if __name__ == "__main__":
    main()
