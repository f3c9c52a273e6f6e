"""Whole queries on toy models: the output is the target's, whatever drafts, whatever travels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ianvs_collab.link import Deployment, Link, Timeline
from ianvs_collab.modelserver.types import ModelServerError, Prompt, SamplingParams
from ianvs_collab.speculative import (
    MODES,
    Decoding,
    Drafter,
    MeasuredLength,
    ModelDrafter,
    PromptLookup,
    Silent,
    SpeculativeDecoder,
    SpeculativeError,
    Tally,
    make_chooser,
)
from ianvs_collab.speculative.drafters import FixedPicker, Picker
from ianvs_collab.speculative.protocols import make_codec
from ianvs_collab.speculative.verification import Draft, Greedy, Verdict

from .toys import ToyStepper, alone

TARGET = ToyStepper(ends=(7,))
PROMPTS = [[1], [3, 4], [5, 2, 5, 2, 6]]
PROTOCOLS_OF = {"greedy": ("ids",), "sample-match": ("ids",), "gumbel": ("ids",)}
PROTOCOLS_OF["rejection"] = ("quantised-q", "dssd", "full-q")


class Parrot:
    """Proposes the same tokens for ever, right or wrong."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tokens

    def begin(self, tokens: Sequence[int], picker: Picker, prompt: Prompt | None = None) -> None:
        self._picker = picker

    def draft(self, count: int) -> Draft:
        return self._picker.certain(list(itertools.islice(itertools.cycle(self._tokens), count)))

    def commit(self, tokens: Sequence[int]) -> None:
        assert tokens

    def end(self) -> None:
        pass


def drafters(target: ToyStepper) -> dict[str, Drafter]:
    return {
        "the target itself": ModelDrafter(target, target.vocabulary, end_tokens=target.end_tokens),
        "a near model": ModelDrafter(target.blurred(0.3), target.vocabulary, confidence=0.4),
        "a far model": ModelDrafter(target.blurred(3), target.vocabulary),
        "a model with a short context": ModelDrafter(target.blurred(0.3, context=9), target.vocabulary),
        "lookup": PromptLookup(),
        "a parrot": Parrot([4, 2]),
        "nothing": Silent(),
    }


DRAFTERS = list(drafters(TARGET))


def params_for(mode: str, seed: int, max_tokens: int) -> SamplingParams:
    return SamplingParams(temperature=0.0 if mode == "greedy" else 0.9, top_k=6, seed=seed, max_tokens=max_tokens)


def finish(tokens: list[int]) -> str:
    return "stop" if tokens[-1] in TARGET.end_tokens else "length"


@pytest.mark.parametrize("mode", ["greedy", "sample-match", "gumbel"])
@pytest.mark.parametrize("name", DRAFTERS)
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**63), st.tuples(st.integers(0, 9), st.integers(1, 30)), st.sampled_from(PROMPTS))
def test_the_output_is_the_targets_own(
    name: str, mode: str, seed: int, lengths: tuple[int, int], prompt: list[int]
) -> None:
    length, max_tokens = lengths
    params = params_for(mode, seed, max_tokens)
    decoder = SpeculativeDecoder(TARGET, drafters(TARGET)[name], mode=mode, draft_length=length)
    expected = alone(TARGET, mode, prompt, params)
    for _ in range(2):  # whatever the first query left behind
        decoding = decoder.decode_tokens(prompt, params)
        assert (decoding.tokens, decoding.finish_reason) == (expected, finish(expected))
    tally = decoding.tally
    assert tally.committed + tally.streamed == len(expected)
    assert len(decoding.margins) == tally.blocks + tally.streamed


@pytest.mark.parametrize(("mode", "protocol"), [(mode, protocol) for mode in MODES for protocol in PROTOCOLS_OF[mode]])
@pytest.mark.parametrize("name", DRAFTERS)
def test_a_seed_gives_the_same_output_again(name: str, mode: str, protocol: str) -> None:
    decoder = SpeculativeDecoder(TARGET, drafters(TARGET)[name], mode=mode, protocol=protocol)
    params = params_for(mode, 5, 12)
    first, second = (decoder.decode_tokens([3, 4], params) for _ in range(2))
    assert first.tokens == second.tokens
    assert first.params == params
    assert 1 <= len(first.tokens) <= 12


def test_a_draft_by_the_target_itself_always_stands() -> None:
    drafter = ModelDrafter(TARGET, 8, end_tokens=TARGET.end_tokens)
    for mode, protocol in (("greedy", "ids"), ("gumbel", "ids"), ("rejection", "full-q"), ("rejection", "dssd")):
        decoding = SpeculativeDecoder(TARGET, drafter, mode=mode, protocol=protocol).decode_tokens(
            [3, 4], SamplingParams(temperature=0.0 if mode == "greedy" else 1.0, seed=2, max_tokens=40)
        )
        # q is p but for its rounding to multiples of 2^-31
        assert decoding.tally.acceptance == 1.0
        assert decoding.tally.rejected == 0


def test_end_tokens_end_the_output_wherever_they_come() -> None:
    """In the middle of a draft, as a correction, as a bonus, in a stream: nothing ever follows one."""
    seen = set[int]()
    for seed, length in itertools.product(range(60), (0, 1, 4)):
        params = SamplingParams(temperature=1.0, seed=seed, max_tokens=25)
        drafter = ModelDrafter(TARGET.blurred(0.5), 8)  # drafts beyond end tokens
        tokens = (
            SpeculativeDecoder(TARGET, drafter, mode="gumbel", draft_length=length).decode_tokens([2], params).tokens
        )
        assert 7 not in tokens[:-1]
        seen.add(len(tokens) if tokens[-1] == 7 else -1)
    assert len(seen) > 5


def tokens_of(decoding: Decoding) -> tuple[int, ...]:
    return tuple(decoding.tokens)


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("a near model", "quantised-q"),
        ("a far model", "dssd"),
        ("a near model", "full-q"),
        ("a parrot", "quantised-q"),
        ("a parrot", "dssd"),
    ],
)
def test_rejection_keeps_the_targets_distribution(name: str, protocol: str) -> None:
    target = ToyStepper(4, 1, scale=1)
    drafter = {**drafters(target), "a parrot": Parrot([1, 3])}[name]
    settings_ = {"top": 2, "bits": 3} if protocol == "quantised-q" else {}
    decoder = SpeculativeDecoder(
        target, drafter, mode="rejection", protocol=protocol, draft_length=2, settings=settings_
    )
    counts = np.zeros((4, 4))
    draws = 500
    for seed in range(draws):
        first, second = decoder.decode_tokens([2], SamplingParams(temperature=1.0, seed=seed, max_tokens=2)).tokens
        counts[first, second] += 1
    start = target.table[0, 2].double().softmax(-1)
    expected = torch_free(start)[:, None] * torch_free(target.table[2].double().softmax(-1))
    assert stats.chisquare(counts.ravel(), expected.ravel() * draws).pvalue > 0.001


def torch_free(tensor: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(tensor, dtype=np.float64)


def test_a_draft_of_another_vocabulary_size_is_cut_or_filled() -> None:
    params = SamplingParams(max_tokens=20)
    expected = alone(TARGET, "greedy", [3, 4], params)
    larger = ToyStepper(8)
    wide = ToyStepper(11, 3)
    wide.table[:8, :8, :8] = larger.table
    wide.table[..., 8:] += 100  # ids that the target does not know would always win
    narrow = ToyStepper(7)
    narrow.table = larger.table[:7, :7, :7]
    for stepper in (wide, narrow):
        for mode, protocol in (("greedy", "ids"), ("rejection", "full-q")):
            hot = SamplingParams(temperature=0.0 if mode == "greedy" else 0.01, seed=1, max_tokens=20)
            decoder = SpeculativeDecoder(TARGET, ModelDrafter(stepper, 8), mode=mode, protocol=protocol)
            assert decoder.decode_tokens([3, 4], hot).tokens == expected


def test_times_and_bytes_are_put_on_the_timeline() -> None:
    deployment = Deployment(link=Link(rtt_ms=100, uplink_mbps=1, downlink_mbps=1))
    timeline = Timeline(deployment)
    params = SamplingParams(max_tokens=12)
    decoding = SpeculativeDecoder(TARGET, Parrot([4, 2]), draft_length=3).decode_tokens([3, 4], params, timeline)
    assert decoding.timeline is timeline
    meter, tally = decoding.meter, decoding.tally
    assert timeline.nbytes("uplink") == meter.wire_uplink_bytes
    assert timeline.nbytes("downlink") == meter.wire_downlink_bytes
    messages = len([event for event in timeline.events if event.resource == "downlink"])
    assert meter.wire_downlink_bytes == meter.downlink_bytes + messages
    assert meter.wire_uplink_bytes == meter.prompt_bytes + meter.uplink_bytes + 1 + messages
    assert len(timeline.commits) == len(decoding.tokens)
    # Each round waits for the link; prompt and first block travel one behind the other.
    rounds = tally.blocks + tally.streamed
    assert timeline.now >= 0.1 * rounds
    busy = sum(meter.draft_s) + sum(meter.verify_s) + sum(meter.commit_s)
    assert timeline.now - 0.1 * rounds < busy + 0.1


def test_a_stream_pays_the_round_trip_once() -> None:
    timeline = Timeline(Deployment(link=Link(rtt_ms=1000)))
    decoding = SpeculativeDecoder(TARGET, Silent(), draft_length=0).decode_tokens(
        [3, 4], SamplingParams(max_tokens=20), timeline
    )
    assert decoding.tally.streamed == len(decoding.tokens) > 5
    assert 1 <= timeline.now < 1.5


def test_bytes_are_those_of_the_closed_formula() -> None:
    target = ToyStepper(160, scale=3)
    near = target.blurred(0.15)
    for mode, protocol in (("greedy", "ids"), ("gumbel", "ids"), ("rejection", "dssd"), ("rejection", "full-q")):
        decoder = SpeculativeDecoder(target, ModelDrafter(near, 160), mode=mode, protocol=protocol, draft_length=4)
        total, up, down = Tally(), 0, 0
        for start in range(12):
            params = SamplingParams(temperature=0.0 if mode == "greedy" else 0.8, seed=start, max_tokens=61)
            decoding = decoder.decode_tokens([start, 17], params)
            total.add(decoding.tally)
            up, down = up + decoding.meter.uplink_bytes, down + decoding.meter.downlink_bytes
        # What streamed at the very end of an answer is 3 bytes up and as a verdict down.
        up, down = up - 3 * total.streamed, down - 4 * total.streamed
        shape = total.shape(160)
        formula_up, formula_down = make_codec(protocol, 160).formula(shape)
        assert up / total.committed == pytest.approx(formula_up, rel=0.02)
        assert down / total.committed == pytest.approx(formula_down, rel=0.02)


def test_a_tally_counts_each_position() -> None:
    tally = Tally()
    assert tally.acceptance is None
    tally.judge([1, 200, 3], Verdict(3, 4), 4)
    tally.judge([1, 2, 3], Verdict(1, None, np.ones(2)), 2)
    tally.judge([1], Verdict(0, 300), 1)
    tally.judge([], Verdict(0, 5), 1)
    assert (tally.drafted_id_bytes, tally.verdict_id_bytes, tally.verdict_ids) == (8, 3, 2)
    assert (tally.blocks, tally.drafted, tally.accepted, tally.committed) == (3, 7, 4, 7)
    assert (tally.rejected, tally.streamed) == (2, 1)
    assert (tally.offered, tally.stood) == ([3, 2, 1], [2, 1, 1])
    assert tally.acceptance == 4 / 6
    other = Tally()
    other.judge([1], Verdict(1, 2), 2)
    other.add(tally)
    assert (other.offered, other.stood, other.committed) == ([4, 2, 1], [3, 1, 1], 9)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"draft_length": -1}, "draft_length must be 0"),
        ({"draft_length": 257}, "to 256, not 257"),
        ({"stream": 0}, "stream must be at least 1"),
        ({"protocol": "telepathy"}, "no protocol 'telepathy'"),
    ],
)
def test_a_decoder_refuses_what_cannot_work(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(SpeculativeError, match=reason):
        SpeculativeDecoder(TARGET, Silent(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "protocol", "temperature", "reason"),
    [
        ("greddy", "ids", 0.0, "no mode 'greddy'; choose one of greedy, rejection"),
        ("greedy", "ids", 0.5, "use mode greedy with temperature 0"),
        ("gumbel", "ids", 0.0, "another mode with a temperature above 0"),
        ("rejection", "ids", 1.0, "use quantised-q, dssd or full-q"),
        ("gumbel", "dssd", 1.0, "does not go with protocol 'dssd'; use ids"),
    ],
)
def test_modes_that_do_not_fit_are_refused(mode: str, protocol: str, temperature: float, reason: str) -> None:
    decoder = SpeculativeDecoder(TARGET, Silent(), mode=mode, protocol=protocol)
    with pytest.raises(SpeculativeError, match=reason):
        decoder.decode_tokens([1], SamplingParams(temperature=temperature, seed=1))


@pytest.mark.parametrize("asked", [{"stop": (";",)}, {"logprobs": True}])
def test_what_speculation_does_not_do_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(SpeculativeError, match="leave `stop` and `logprobs` out"):
        SpeculativeDecoder(TARGET, Silent()).decode_tokens([1], SamplingParams(**asked))


def test_a_drafter_is_left_as_it_was_found() -> None:
    drafter = ModelDrafter(TARGET.blurred(0.3), TARGET.vocabulary)
    SpeculativeDecoder(TARGET, drafter, pipelining="branches").decode_tokens([1], params_for("greedy", 0, 9))
    assert not drafter.doubting


def test_a_query_that_does_not_fit_is_refused_before_it_begins() -> None:
    target = ToyStepper(context=10)
    decoder = SpeculativeDecoder(target, Silent())
    with pytest.raises(
        SpeculativeError, match=r"prompt \(3 tokens\) and completion \(max_tokens 8\) need 11.*context of 10"
    ):
        decoder.decode_tokens([1, 2, 3], SamplingParams(max_tokens=8))
    assert len(decoder.decode_tokens([1, 2, 3], SamplingParams(max_tokens=7)).tokens) == 7
    assert not target.opened[1:]


def test_a_model_drafter_checks_its_confidence() -> None:
    with pytest.raises(SpeculativeError, match="cannot be 1.0"):
        ModelDrafter(TARGET, 8, confidence=1.0)
    with pytest.raises(SpeculativeError, match="1 <= shortest <= longest, not 3 and 2"):
        PromptLookup(2, 3)


def test_an_unsure_model_ends_its_block_early_but_never_hides_a_token() -> None:
    target = ToyStepper(ends=())
    sure, unsure = (ModelDrafter(target.blurred(0.2), 8, confidence=level) for level in (0.0, 0.999))
    params = SamplingParams(max_tokens=40)
    by_sure, by_unsure = (SpeculativeDecoder(target, kind).decode_tokens([1], params).tally for kind in (sure, unsure))
    assert by_unsure.drafted / by_unsure.blocks < by_sure.drafted / by_sure.blocks
    assert by_unsure.drafted >= by_unsure.blocks


def test_a_fresh_seed_is_told() -> None:
    decoder = SpeculativeDecoder(TARGET, Silent(), mode="gumbel")
    decoding = decoder.decode("12", SamplingParams(temperature=1.0, max_tokens=9))
    again = decoder.decode("12", decoding.params)
    assert decoding.params.seed is not None
    assert decoding.tokens == again.tokens
    assert make_chooser("gumbel", decoding.params) == make_chooser("gumbel", again.params)


def test_a_model_that_fails_leaves_no_session_open() -> None:
    target, draft = ToyStepper(context=5), ToyStepper()
    target.context = None  # it has less room than it says
    decoder = SpeculativeDecoder(target, ModelDrafter(draft, 8))
    with pytest.raises(ModelServerError, match="the context is 5"):
        decoder.decode_tokens([1, 2, 1], SamplingParams(max_tokens=14))
    for session in (*target.opened, *draft.opened):
        with pytest.raises(ModelServerError, match="closed"):
            session.step([1])


def test_the_caches_are_kept_from_block_to_block() -> None:
    target, draft = ToyStepper(), ToyStepper()
    decoding = SpeculativeDecoder(target, ModelDrafter(draft, 8), draft_length=4).decode_tokens(
        [1, 2, 3], SamplingParams(max_tokens=21)
    )
    assert decoding.tally.acceptance == 1.0
    assert target.opened[0].steps == decoding.tally.blocks + decoding.tally.streamed  # the prompt goes with the first
    # The token that was drafted last goes in together with the bonus token.
    assert draft.opened[0].steps == decoding.tally.drafted


def test_a_draft_model_that_lacks_a_token_of_the_text_leaves_the_rest_to_the_cloud() -> None:
    target = ToyStepper()
    params = SamplingParams(max_tokens=30)
    expected = alone(target, "greedy", [3, 4], params)
    narrow = ToyStepper(6)
    for prompt in ([3, 4], [7, 3, 4]):
        decoding = SpeculativeDecoder(target, ModelDrafter(narrow, 8)).decode_tokens(prompt, params)
        assert decoding.tokens == expected
        assert max(expected) > 5
        assert decoding.tally.streamed > 0
    assert decoding.tally.blocks == 0


def test_prompt_lookup_continues_the_latest_occurrence_of_the_longest_ngram() -> None:
    lookup = PromptLookup(2)
    lookup.begin([1, 2, 3, 9, 2, 4, 1, 2], FixedPicker(Greedy()))
    assert lookup.draft(3).tokens == [3, 9, 2]  # after (1, 2), although 2 alone was last followed by 4
    lookup.commit([4])
    assert lookup.draft(2).tokens == [1, 2]
    lookup.commit([8])
    assert lookup.draft(2).tokens == []
    lookup.end()


@pytest.mark.parametrize("way", ["branches", "measured"])
@pytest.mark.parametrize("mode", ["greedy", "gumbel", "sample-match"])
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**63), st.floats(0, 0.2), st.integers(1, 30))
def test_branches_and_planned_lengths_change_nothing(
    mode: str, way: str, seed: int, rtt_s: float, max_tokens: int
) -> None:
    how: dict[str, Any] = {"pipelining": "branches"} if way == "branches" else {"draft_length": MeasuredLength()}
    decoder = SpeculativeDecoder(TARGET, ModelDrafter(TARGET.blurred(0.8), TARGET.vocabulary), mode=mode, **how)
    for number, prompt in enumerate(PROMPTS):  # one after the other, because lengths are learnt
        params = params_for(mode, seed + number, max_tokens)
        timeline = Timeline(Deployment(link=Link(rtt_ms=1000 * rtt_s)))
        decoding = decoder.decode_tokens(prompt, params, timeline)
        assert decoding.tokens == alone(TARGET, mode, prompt, params)
        assert decoding.lossless_tokens == len(decoding.tokens)


def test_branches_need_a_drafter_that_can_be_copied() -> None:
    with pytest.raises(SpeculativeError, match="PromptLookup cannot draft in branches"):
        SpeculativeDecoder(TARGET, PromptLookup(), pipelining="branches")
