"""The cloud is lost in the middle of a query: an error with what is the target's, or the draft model goes on alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Link, Timeline
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import (
    CloudLostError,
    ModelDrafter,
    PromptLookup,
    SpeculativeDecoder,
    SpeculativeError,
    make_chooser,
)

from .toys import ToySession, ToyStepper, alone

TARGET = ToyStepper(ends=(7,))
PROMPT = [3, 4, 1]


class Lost(ToyStepper):
    """A target whose connection breaks after some steps."""

    def __init__(self, like: ToyStepper, steps: int) -> None:
        super().__init__(like.vocabulary, ends=tuple(like.end_tokens))
        self.table, self._left = like.table, steps

    def open(self, *, hidden: bool = False) -> ToySession:
        outer = self

        class Session(ToySession):
            def step(self, tokens: Sequence[int]) -> torch.Tensor:
                outer._left -= 1
                if outer._left < 0:
                    raise ConnectionResetError("the link was cut")
                return super().step(tokens)

        return Session(self.table, None)


def params_for(mode: str, seed: int, max_tokens: int = 25) -> SamplingParams:
    return SamplingParams(temperature=0.0 if mode == "greedy" else 0.9, seed=seed, max_tokens=max_tokens)


def continued(draft: ToyStepper, mode: str, written: list[int], params: SamplingParams) -> list[int]:
    """What a model writes behind a prompt and the first tokens of a completion, by the rule of the mode."""
    chooser, tokens = make_chooser(mode, params), list(written)
    with draft.open() as session:
        logits = session.prefill([*PROMPT, *written])
        while len(tokens) < params.max_tokens and tokens[-1:] != [7]:
            tokens.append(chooser.take(logits, len(tokens)))
            logits = session.prefill(tokens[-1:])
    return tokens


@pytest.mark.parametrize("pipelining", ["synchronous", "pre-draft", "asynchronous"])
@pytest.mark.parametrize("mode", ["greedy", "gumbel", "sample-match"])
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(0, 80)))
def test_the_draft_model_writes_the_rest(mode: str, pipelining: str, seed: int, numbers: tuple[int, ...]) -> None:
    steps, length, rtt = numbers
    draft, params = TARGET.blurred(0.4), params_for(mode, seed)
    decoder = SpeculativeDecoder(
        Lost(TARGET, steps),
        ModelDrafter(draft, 8),
        mode=mode,
        draft_length=length,
        pipelining=pipelining,
        when_cut="edge",
    )
    timeline = Timeline(Deployment(link=Link(rtt_ms=rtt / 10)))
    decoding = decoder.decode_tokens(PROMPT, params, timeline)
    own = decoding.tokens[: decoding.lossless_tokens]
    assert own == alone(TARGET, mode, PROMPT, params)[: len(own)]
    assert decoding.tokens == continued(draft, mode, own, params)
    assert decoding.tally.alone == len(decoding.tokens) - len(own)
    assert decoding.finish_reason == ("stop" if decoding.tokens[-1] == 7 else "length")
    assert len(timeline.commits) == len(decoding.tokens)
    assert timeline.commits == sorted(timeline.commits)


def test_with_rejection_the_rest_is_drawn_by_sample_match() -> None:
    draft, params = TARGET.blurred(0.4), params_for("rejection", 4)
    decoder = SpeculativeDecoder(
        Lost(TARGET, 2), ModelDrafter(draft, 8), mode="rejection", protocol="dssd", draft_length=2, when_cut="edge"
    )
    decoding = decoder.decode_tokens(PROMPT, params)
    own = decoding.tokens[: decoding.lossless_tokens]
    assert 0 < len(own) < len(decoding.tokens)
    assert decoding.tokens == continued(draft, "sample-match", own, params)


def test_a_decoder_goes_on_with_the_next_query() -> None:
    target = Lost(TARGET, 1)
    decoder = SpeculativeDecoder(target, ModelDrafter(TARGET.blurred(0.4), 8), when_cut="edge")
    params = params_for("greedy", 0)
    assert decoder.decode_tokens(PROMPT, params).tally.alone > 0
    target._left = 100
    decoding = decoder.decode_tokens(PROMPT, params)
    expected = alone(TARGET, "greedy", PROMPT, params)
    assert (decoding.tokens, decoding.lossless_tokens, decoding.tally.alone) == (expected, len(expected), 0)


@pytest.mark.parametrize("pipelining", ["synchronous", "asynchronous"])
def test_otherwise_it_is_an_error_with_the_tokens_so_far(pipelining: str) -> None:
    decoder = SpeculativeDecoder(
        Lost(TARGET, 2), ModelDrafter(TARGET.blurred(0.2), 8), pipelining=pipelining, draft_length=2
    )
    with pytest.raises(CloudLostError, match="the cloud was lost after .* tokens .the link was cut") as lost:
        decoder.decode_tokens(PROMPT, params_for("greedy", 0))
    expected = alone(TARGET, "greedy", PROMPT, params_for("greedy", 0))
    assert 0 < len(lost.value.tokens) < len(expected)
    assert lost.value.tokens == expected[: len(lost.value.tokens)]


def test_a_draft_model_whose_context_ends_gives_the_error_after_all() -> None:
    target = ToyStepper()
    draft = ModelDrafter(target.blurred(0.2, context=9), 8)
    decoder = SpeculativeDecoder(Lost(target, 1), draft, draft_length=2, when_cut="edge")
    with pytest.raises(CloudLostError, match="append them to the prompt") as lost:
        decoder.decode_tokens(PROMPT, SamplingParams(max_tokens=25))
    own = lost.value.tokens
    assert 0 < len(own) < 6
    assert own == alone(target, "greedy", PROMPT, SamplingParams(max_tokens=25))[: len(own)]


@pytest.mark.parametrize(
    ("drafter", "when_cut", "reason"),
    [
        (PromptLookup(), "edge", "PromptLookup cannot write a text without the target; use a ModelDrafter"),
        (ModelDrafter(TARGET, 8), "cloud", "there is no when_cut 'cloud'; choose one of error, edge"),
    ],
)
def test_what_cannot_go_on_alone_is_refused(drafter: Any, when_cut: str, reason: str) -> None:
    with pytest.raises(SpeculativeError, match=reason):
        SpeculativeDecoder(TARGET, drafter, when_cut=when_cut)
