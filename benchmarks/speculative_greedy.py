"""Whether greedy speculative decoding gives the tokens of greedy decoding with the target alone, and in how few bytes.

For each suite and each variant of the target: outputs equal token for token; where one parts, the position and how near
the two best logits were there for the target alone, beside the numeric noise, which is the largest difference that was
measured between the logits of single-token and block forward passes. Then the bytes of protocol `ids` per committed
token, payload beside the closed formula, and on the wire. The suites are nano questions and the Spec-Bench prompts, cut
to what fits into the models' context; there the end token is ignored, because the nano models would say almost nothing.

Spec-Bench (Xia et al. 2024) is read from `question.jsonl` in the folder given by `--spec-bench`; without it only the
nano questions are asked. Run from the repository's root: `python benchmarks/speculative_greedy.py --spec-bench FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ianvs_collab.modelserver import SamplingParams, load_model
from ianvs_collab.modelserver.stepping import Stepper, greedy, open_stepper
from ianvs_collab.speculative import ModelDrafter, SpeculativeDecoder, Tally
from ianvs_collab.speculative.protocols import make_codec
from ianvs_collab.zoo.export import test_questions

MAX_TOKENS, LENGTH = 48, 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=400, help="nano questions (default: 400)")
    parser.add_argument("--spec-bench", type=Path, help="folder with question.jsonl of Spec-Bench")
    parser.add_argument("--prompts", type=int, default=480, help="Spec-Bench prompts (default: 480)")
    parser.add_argument("--variants", default="float32,bfloat16,gguf-f16", help="of the target (default: all three)")
    arguments = parser.parse_args()
    edge = open_stepper(load_model("transformers", "zoo:edge"))
    for variant in arguments.variants.split(","):
        with opened(variant) as target:
            count = arguments.questions if variant == "float32" else arguments.questions // 4
            asked = [[{"role": "user", "content": row.prompt}] for row in test_questions()[:count]]
            compare(f"{variant}, nano", target, edge, [target.encode(prompt) for prompt in asked])
            if arguments.spec_bench:
                count = arguments.prompts if variant == "float32" else arguments.prompts // 4
                prompts = spec_bench(arguments.spec_bench, target)[:count]
                compare(f"{variant}, Spec-Bench", Endless(target), edge, prompts)


class Endless:
    """A model whose completions have no end."""

    end_tokens: frozenset[int] = frozenset()

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper

    def __getattr__(self, name: str) -> Any:
        """Everything else is as it was."""
        return getattr(self._stepper, name)


@contextmanager
def opened(variant: str) -> Iterator[Stepper]:
    """The nano cloud model in a precision of transformers, or converted for llama.cpp."""
    if not variant.startswith("gguf-"):
        yield open_stepper(load_model("transformers", "zoo:cloud", precision=variant))
        return
    from ianvs_collab.modelserver.convert.gguf_file import convert_to_gguf

    with tempfile.TemporaryDirectory() as folder:
        (file,) = convert_to_gguf("zoo:cloud", Path(folder), [variant.removeprefix("gguf-")])
        server = load_model("llamacpp", str(file.path))
        yield open_stepper(server)
        server.close()


def spec_bench(folder: Path, target: Stepper) -> list[list[int]]:
    """The prompts (first turns), each cut at the front so that it fits with its answer."""
    lines = (folder / "question.jsonl").read_text(encoding="utf-8").splitlines()
    room = (target.context or 512) - MAX_TOKENS
    asked = [[{"role": "user", "content": json.loads(line)["turns"][0]}] for line in lines]
    return [target.encode(prompt)[-room:] for prompt in asked]


def compare(name: str, target: Stepper, edge: Stepper, prompts: list[list[int]]) -> None:
    """Prints what came of one suite."""
    drafter = ModelDrafter(edge, target.vocabulary, end_tokens=target.end_tokens)
    decoder = SpeculativeDecoder(target, drafter, draft_length=LENGTH)
    tally, tokens, equal, margin = Tally(), 0, 0, float("inf")
    up = down = wire_up = wire_down = 0
    noise, partings = 0.0, []
    for number, prompt in enumerate(prompts):
        with target.open() as session:
            expected = greedy(session, prompt, MAX_TOKENS, target.end_tokens)
        decoding = decoder.decode_tokens(prompt, SamplingParams(max_tokens=MAX_TOKENS))
        if decoding.tokens == expected:
            equal += 1
        else:
            partings.append((number, *parting(target, prompt, expected, decoding.tokens)))
        if number % 10 == 0 or decoding.tokens != expected:
            noise = max(noise, block_noise(target, prompt, expected))
        tally.add(decoding.tally)
        tokens += len(decoding.tokens)
        margin = min(margin, *decoding.margins)
        meter = decoding.meter
        up, down = up + meter.uplink_bytes, down + meter.downlink_bytes
        wire_up = wire_up + meter.wire_uplink_bytes - meter.prompt_bytes
        wire_down += meter.wire_downlink_bytes
    print(f"{name}: {equal} of {len(prompts)} outputs equal, {tokens} tokens; numeric noise {noise:.1e}, ", end="")
    print(f"smallest distance of the two best logits {margin:.1e}")
    for number, position, gap in partings:
        where = "below" if gap <= noise else "ABOVE"
        print(f"  prompt {number} parts at token {position}; gap of its two best logits {gap:.1e}, {where} noise")
    shape = tally.shape(target.vocabulary)
    formula = make_codec("ids", target.vocabulary).formula(shape)
    print(
        f"  acceptance {tally.acceptance or 0:.3f}, {shape.drafted:.2f} drafted and {shape.committed:.2f} committed a "
        f"block, {tally.streamed} tokens without a draft; payload bytes per committed token: up "
        f"{up / tokens:.3f} (formula {formula[0]:.3f}), down {down / tokens:.3f} ({formula[1]:.3f}); "
        f"with framing {wire_up / tokens:.3f} and {wire_down / tokens:.3f}",
        flush=True,
    )


def parting(target: Stepper, prompt: list[int], expected: list[int], found: list[int]) -> tuple[int, float]:
    """Where two outputs part, and the gap of the two best logits there with single-token passes."""
    position = next(
        (index for index, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]),
        min(len(expected), len(found)),
    )
    with target.open() as session:
        logits = session.prefill(prompt)
        for token in expected[:position]:
            logits = session.step([token])[-1]
    best = logits.topk(2).values
    return position, float(best[0] - best[1])


def block_noise(target: Stepper, prompt: list[int], tokens: list[int]) -> float:
    """Largest difference of a logit between single-token and block passes over the same text."""
    with target.open() as single, target.open() as block:
        single.prefill(prompt)
        block.prefill(prompt)
        largest = 0.0
        for start in range(0, len(tokens), LENGTH + 1):
            part = tokens[start : start + LENGTH + 1]
            together = block.step(part)
            for index, token in enumerate(part):
                largest = max(largest, float((single.step([token])[0] - together[index]).abs().max()))
    return largest


if __name__ == "__main__":
    main()
