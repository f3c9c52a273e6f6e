"""Draft lengths from measurements: the formula's best, and quick to notice that the world has changed."""

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

VERIFY_S, SLOPE_S = 0.02, 0.001


def measured(
    drafted: int, alpha: float, *, draft_s: float = 0.003, other_s: float = 0.05, first: bool = False
) -> Round:
    """A round with constant times, in which a share `alpha` of what was looked at stood."""
    answers = 1 if drafted else 16
    verify_s = answers * (VERIFY_S + SLOPE_S * drafted)
    return Round(drafted, 100 * (drafted > 0), round(100 * alpha), answers, first, drafted * draft_s, verify_s, other_s)


def taught(policy: MeasuredLength, alpha: float, *, draft_s: float = 0.003, other_s: float = 0.05) -> MeasuredLength:
    for number in range(150):
        policy.observe(measured(2 + number % 5, alpha, draft_s=draft_s, other_s=other_s))
    return policy


def by_formula(length: int, alpha: float, draft_s: float, other_s: float) -> float:
    if not length:
        return VERIFY_S + other_s / 16
    committed = sum(alpha**k for k in range(length + 1))
    return (length * draft_s + VERIFY_S + SLOPE_S * length + other_s) / committed


@given(st.integers(5, 99), st.floats(0.0005, 0.03), st.floats(0, 0.3))
def test_the_choice_is_the_best_of_the_formula(percent: int, draft_s: float, other_s: float) -> None:
    policy = taught(MeasuredLength(longest=10), percent / 100, draft_s=draft_s, other_s=other_s)
    costs = [by_formula(length, percent / 100, draft_s, other_s) for length in range(11)]
    chosen = policy.choose()
    assert costs[chosen] <= 1.01 * min(costs)
    assert policy.seconds_per_token(chosen) == pytest.approx(costs[chosen], rel=0.02)


def test_nothing_is_measured_by_the_first_round_but_the_acceptance() -> None:
    policy = MeasuredLength()
    for _ in range(5):
        policy.observe(measured(3, 0.9, first=True))
    assert policy.choose() == 4
    assert MeasuredLength(longest=2).choose() == 2
    policy.observe(measured(3, 0.9))
    assert policy.choose() != 4


def test_a_longer_round_trip_moves_to_longer_drafts_or_to_streaming() -> None:
    good = taught(MeasuredLength(), 0.9, other_s=0.0)
    before = good.choose()
    assert 0 < before < 12
    assert taught(good, 0.9, other_s=0.1).choose() > before
    assert taught(good, 0.9, other_s=0.0).choose() == before
    bad = taught(MeasuredLength(), 0.3, other_s=0.0)
    assert bad.choose() > 0
    assert taught(bad, 0.3, other_s=0.2).choose() == 0


def test_streaming_is_left_now_and_then_to_see_whether_drafting_has_become_better() -> None:
    policy = taught(MeasuredLength(probe=3), 0.1, other_s=0.3)
    assert [policy.choose() for _ in range(8)] == [0, 0, 0, 4, 0, 0, 0, 4]


@pytest.mark.parametrize("mode", ["greedy", "gumbel"])
def test_the_output_does_not_depend_on_the_lengths(mode: str) -> None:
    target = ToyStepper(ends=(7,))
    policy = MeasuredLength(stream=3, probe=1)
    decoder = SpeculativeDecoder(target, ModelDrafter(target.blurred(0.4), 8), mode=mode, draft_length=policy)
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


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(SpeculativeError, match="at least 1"):
        MeasuredLength(longest=0)
    with pytest.raises(SpeculativeError, match="needs a fixed draft_length"):
        SpeculativeDecoder(
            ToyStepper(), ModelDrafter(ToyStepper(), 8), draft_length=MeasuredLength(), pipelining="pre-draft"
        )
