"""The comparison of two models' greedy completions, on models that differ as the test says; these need no llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ianvs_collab.modelserver import GREEDY, Generation, ModelInfo, ModelServer, ModelServerError, Prompt, load_model
from ianvs_collab.modelserver.convert.equality import compare_greedy
from ianvs_collab.modelserver.stepping import open_stepper

PROMPTS = ["What is the capital of France?", "12 + 34 =", "问题：法国的首都是哪里？"]


class Altered:
    """A model whose answers a function changes."""

    def __init__(self, server: ModelServer, change: Callable[[Generation], Generation]) -> None:
        self._server, self._change = server, change

    @property
    def info(self) -> ModelInfo:
        return self._server.info

    def generate(self, prompt: Prompt, params: Any = GREEDY, *, query_id: str | None = None) -> Generation:
        return self._change(self._server.generate(prompt, params))

    def generate_batch(self, prompts: Sequence[Prompt], params: Any = GREEDY) -> list[Generation]:
        return [self.generate(prompt, params) for prompt in prompts]

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def reference() -> ModelServer:
    return load_model("transformers", "zoo:edge")


def test_a_model_equals_itself(reference: ModelServer) -> None:
    found = compare_greedy(reference, reference, PROMPTS, 8)
    assert (found.prompts, found.divergences) == (3, ())
    assert found.tokens == sum(reference.generate(p, replace(GREEDY, max_tokens=8)).completion_tokens for p in PROMPTS)
    assert str(found) == f"3 of 3 completions equal ({found.tokens} tokens)"


def test_the_first_difference_is_told_with_its_gap(reference: ModelServer) -> None:
    def other(answer: Generation) -> Generation:
        return replace(answer, token_ids=(*answer.token_ids[:2], 700, *answer.token_ids[3:]))

    found = compare_greedy(reference, Altered(reference, other), PROMPTS[:1], 8)
    (first,) = found.divergences
    stepper = open_stepper(reference)
    kept = reference.generate(PROMPTS[0], replace(GREEDY, max_tokens=8)).token_ids
    logits = stepper.open().prefill([*stepper.encode(PROMPTS[0]), *kept[:2]])
    assert (first.prompt, first.position, first.expected, first.found) == (0, 2, kept[2], 700)
    assert first.gap == pytest.approx(float(logits.max() - logits[700])) and first.gap > 0
    assert f"first at prompt 0, token 2: {kept[2]} became 700; logit gap there {first.gap}, largest" in str(found)


def test_an_answer_that_ends_early_has_no_gap(reference: ModelServer) -> None:
    short = Altered(reference, lambda answer: replace(answer, token_ids=answer.token_ids[:3]))
    (first, *_) = compare_greedy(reference, short, PROMPTS, 8).divergences
    assert (first.position, first.found, first.gap) == (3, None, None)


def test_other_tokens_of_the_prompt_are_told_apart_from_rounding(reference: ModelServer) -> None:
    longer = Altered(reference, lambda answer: replace(answer, prompt_tokens=answer.prompt_tokens + 1))
    found = compare_greedy(reference, longer, PROMPTS, 4)
    assert [other.prompts_differ for other in found.divergences] == [True] * 3


def test_models_that_tell_no_ids_cannot_be_compared(reference: ModelServer) -> None:
    with pytest.raises(ModelServerError, match="tell token ids"):
        compare_greedy(reference, Altered(reference, lambda answer: replace(answer, token_ids=None)), PROMPTS, 4)
