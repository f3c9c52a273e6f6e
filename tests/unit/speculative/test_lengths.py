"""Draft lengths from measurements: what is soonest complete, and quick to notice that the world has changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Device, Link, Timeline
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import (
    FixedLength,
    MeasuredLength,
    ModelDrafter,
    Round,
    SpeculativeDecoder,
    SpeculativeError,
)

from .toys import ToyStepper, alone

VERIFY_S, TOKEN_S = 0.02, 0.001


def measured(
    drafted: int, stood: int, *, draft_s: float = 0.003, other_s: float = 0.05, first: bool = False, answers: int = 1
) -> Round:
    """A round with constant times; reading the prompt takes 10 ms at the edge."""
    verify_s = answers * (VERIFY_S + TOKEN_S * drafted)
    offered = min(stood + 1, drafted)
    return Round(drafted, offered, stood, answers, first, drafted * draft_s + 0.01 * first, verify_s, other_s, verify_s)


def taught(
    policy: MeasuredLength, period: int, *, rounds: int = 200, draft_s: float = 0.003, other_s: float = 0.05
) -> MeasuredLength:
    """Answers of 64 tokens, cut off there, in which every `period`-th drafted token is wrong."""
    place = tokens = 0
    policy.begin(64)
    for number in range(rounds):
        policy.choose()
        length = 2 + number % 5
        stood = next((count for count in range(length) if not (place + count + 1) % period), length)
        place += min(stood + 1, length)
        policy.observe(measured(length, stood, draft_s=draft_s, other_s=other_s, first=not tokens))
        tokens += stood + 1
        if tokens >= 64:
            policy.end(64)
            policy.begin(64)
            tokens = 0
    policy.end(64)
    return policy


def length(policy: MeasuredLength) -> int:
    """What it drafts in the first block of a long answer, reading the prompt left out."""
    policy.begin(512)
    return policy.plan().lengths[0]


def test_until_a_block_was_timed_the_choice_is_reasonable() -> None:
    assert MeasuredLength().choose() == 4
    assert MeasuredLength(longest=2).choose() == 2
    assert MeasuredLength().begin(30) == 4


def test_a_better_drafter_and_a_longer_way_make_drafts_longer() -> None:
    near = length(taught(MeasuredLength(), 20, other_s=0.0))
    assert length(taught(MeasuredLength(), 3, other_s=0.0)) < near
    assert length(taught(MeasuredLength(), 20, other_s=0.1)) > near
    assert length(taught(MeasuredLength(), 20, other_s=0.0, draft_s=0.02)) < near


def test_a_poor_drafter_far_away_gives_way_to_streaming() -> None:
    assert length(taught(MeasuredLength(), 2, other_s=0.3)) == 0
    assert length(taught(MeasuredLength(), 2, other_s=0.0)) > 0


def test_a_change_of_the_link_is_noticed_within_a_few_rounds() -> None:
    policy = taught(MeasuredLength(), 3, other_s=0.0)
    assert length(policy) > 0
    assert length(taught(policy, 3, other_s=0.3, rounds=4)) == 0
    assert length(taught(policy, 3, other_s=0.0, rounds=4)) > 0


def test_short_answers_are_drafted_whole() -> None:
    policy = MeasuredLength()
    for _ in range(20):
        policy.begin(48)
        for number, drafted in enumerate((4, 4, 2)):
            policy.choose()
            policy.observe(measured(drafted, drafted, first=not number))
        policy.end(13)
    assert policy.begin(48) >= 12
    assert policy.choose() >= 12
    policy.observe(measured(12, 8, first=True))
    assert policy.choose() >= 3  # four tokens are left, one of them the bonus


def test_streaming_is_tried_once_if_it_may_be_as_good() -> None:
    policy = taught(MeasuredLength(), 2, other_s=0.05)
    assert policy.begin(64) == 0
    far = taught(MeasuredLength(), 1000, other_s=0.0)
    assert far.begin(64) > 0


def test_the_drafter_is_looked_at_rarely_and_only_while_there_is_time() -> None:
    hopeless = taught(MeasuredLength(probe=4), 2, other_s=2.0)
    assert [hopeless.look() for _ in range(9)] == [12, 0, 0, 0, 12, 0, 0, 0, 12]
    close = taught(MeasuredLength(probe=4), 2, other_s=0.3)
    assert [close.look() for _ in range(9)] == [12] * 9
    slow = taught(MeasuredLength(probe=1), 2, other_s=0.0, draft_s=0.1)
    assert [slow.look() for _ in range(3)] == [0, 0, 0]


def test_a_drafter_that_became_better_is_found_by_looking() -> None:
    policy = taught(MeasuredLength(), 2, other_s=0.08)
    policy.begin(64)
    policy.choose()
    policy.observe(Round(0, 0, 0, 64, True, 0.0, 64 * VERIFY_S, 0.08, VERIFY_S))
    assert policy.begin(64) == 0
    for _ in range(200):
        policy.looked(8, 8, 8, 8 * 0.003 + 0.01)
    assert policy.begin(64) > 8


def test_a_silent_drafter_is_not_waited_for() -> None:
    policy = taught(MeasuredLength(), 20, other_s=0.1)
    talking = policy.plan().drafting_s
    for _ in range(50):
        policy.looked(0, 0, 0, 0.0)
    assert policy.plan().drafting_s > 1.1 * talking


@pytest.mark.parametrize("mode", ["greedy", "gumbel"])
def test_the_output_does_not_depend_on_the_lengths(mode: str) -> None:
    target = ToyStepper(ends=(7,))
    policy = MeasuredLength(stream=3, probe=1)
    decoder = SpeculativeDecoder(target, ModelDrafter(target.blurred(0.4), 8), mode=mode, draft_length=policy, stream=3)
    for seed in range(30):
        params = SamplingParams(temperature=0.0 if mode == "greedy" else 1.0, seed=seed, max_tokens=30)
        timeline = Timeline(Deployment(cloud=Device(slowdown=0.5), link=Link(rtt_ms=5 * (seed % 3))))
        prompt = [1 + seed % 6, 3]
        assert decoder.decode_tokens(prompt, params, timeline).tokens == alone(target, mode, prompt, params)


def test_a_policy_is_told_the_link_not_the_compute() -> None:
    rounds: list[Round] = []

    class Listening(FixedLength):
        def observe(self, measured: Round) -> None:
            rounds.append(measured)

    target = ToyStepper()
    decoder = SpeculativeDecoder(target, ModelDrafter(target, 8), draft_length=Listening(3))
    timeline = Timeline(Deployment(link=Link(rtt_ms=1000)))
    decoder.decode_tokens([1], SamplingParams(max_tokens=12), timeline)
    assert [entry.first for entry in rounds] == [True, False, False]
    assert all(1 <= entry.other_s < 1.2 for entry in rounds)
    assert all((entry.drafted, entry.offered, entry.stood, entry.answers) == (3, 3, 3, 1) for entry in rounds)


@given(st.sampled_from(["longest", "stream", "memory", "probe"]))
def test_wrong_settings_are_refused(name: str) -> None:
    with pytest.raises(SpeculativeError, match="at least 1"):
        MeasuredLength(**{name: 0})


def test_drafting_ahead_needs_a_fixed_length() -> None:
    with pytest.raises(SpeculativeError, match="needs a fixed draft_length"):
        SpeculativeDecoder(
            ToyStepper(), ModelDrafter(ToyStepper(), 8), draft_length=MeasuredLength(), pipelining="pre-draft"
        )
