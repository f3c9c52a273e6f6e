"""Planned answers: the plan beside simulation and brute force, estimates beside what they estimate, whole queries."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Link, Timeline
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import Drafter, FixedLength, MeasuredLength, ModelDrafter, PromptLookup, make_codec
from ianvs_collab.speculative.loop import CloudHalf, EdgeHalf, LengthPolicy, VirtualExchange, run_synchronous
from ianvs_collab.speculative.loop.branching import BranchingEdge
from ianvs_collab.speculative.loop.controlled import run_controlled
from ianvs_collab.speculative.loop.estimates import Acceptance, AnswerLengths, Belief, Level, Line, Mean
from ianvs_collab.speculative.loop.lengths import Planning
from ianvs_collab.speculative.loop.plan import Habits, Times, plan
from ianvs_collab.speculative.loop.timing import Timing
from ianvs_collab.speculative.modes import make_generator, make_picker, make_verifier
from ianvs_collab.speculative.paced import Costs, PacedClock, PacedStepper

from .toys import ToyStepper, alone

TIMES = Times(0.003, 0.017, 0.0002, 0.015, 0.05)


def simulated(times: Times, habits: Habits, lengths: Sequence[int], draws: int) -> float:
    """Mean seconds of answers that follow the habits, drafted by a table of lengths."""
    chance, total = random.Random(0), 0.0
    for _ in range(draws):
        last = next((place for place, end in enumerate(habits.ends) if chance.random() < end), len(habits.ends) - 1)
        place = 0
        while place <= last:
            length = min(lengths[place], len(habits.ends) - place - 1)
            if not length:
                total += times.link_s + times.token_s * (last + 1 - place)
                break
            drafted = min(length, last + 1 - place)
            total += times.block(drafted, first=False)
            stood = next((index for index in range(length) if chance.random() > habits.stands[index]), length)
            place += stood + 1
    return total / draws


@pytest.mark.parametrize("alpha", [0.5, 0.9])
@pytest.mark.parametrize("link_s", [0.0, 0.1])
def test_a_plan_takes_as_long_as_it_says(alpha: float, link_s: float) -> None:
    times = Times(0.003, 0.017, 0.0002, 0.02, link_s)
    habits = Habits([alpha] * 12, [0.02] * 9 + [0.5] * 6 + [0.3] * 10)
    found = plan(times, habits, first=False)
    said = min(found.drafting_s, found.streaming_s)
    assert simulated(times, habits, found.lengths, 20000) == pytest.approx(said, rel=0.02)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.05, 0.99), st.floats(0, 0.2), st.floats(0.0005, 0.03), st.floats(0, 0.3))
def test_no_fixed_length_beats_the_plan(alpha: float, link_s: float, draft_s: float, end: float) -> None:
    times = Times(draft_s, 0.017, 0.0002, 0.015, link_s)
    ends = [end] * 20
    found = plan(times, Habits([alpha] * 10, ends), first=False)
    best = min(found.drafting_s, found.streaming_s)
    for length in range(11):
        assert best <= seconds_of_fixed(times, alpha, ends, length) + 1e-9


def seconds_of_fixed(times: Times, alpha: float, ends: Sequence[float], length: int) -> float:
    """Expected seconds with one length throughout, by the same model of a round, written as a recursion."""
    known: dict[int, float] = {len(ends): 0.0, len(ends) + 1: 0.0}
    for place in reversed(range(len(ends))):
        count = min(length, len(ends) - place - 1)
        if not count:
            known[place] = times.link_s + sum_of_stream(times, ends[place:])
            continue
        total, reached, drafted, drafting = 0.0, 1.0, 0.0, 1.0
        for index in range(count):
            drafted += drafting
            drafting *= 1 - ends[place + index]
            total += reached * (1 - alpha) * (1 - ends[place + index]) * known[place + index + 1]
            reached *= alpha * (1 - ends[place + index])
        total += reached * (1 - ends[place + count]) * known[place + count + 1]
        known[place] = total + times.block(drafted, first=False)
    return known[0]


def sum_of_stream(times: Times, ends: Sequence[float]) -> float:
    total, alive = 0.0, 1.0
    for end in ends:
        total += alive * times.token_s
        alive *= 1 - end
    return total


def test_a_certain_answer_is_drafted_whole() -> None:
    ends = [0.0] * 11 + [1.0]
    found = plan(TIMES, Habits([1.0] * 24, ends), first=False)
    assert found.lengths[0] == 11  # the bonus is the twelfth
    assert found.drafting_s == pytest.approx(0.05 + 11 * 0.003 + 0.017 + 11 * 0.0002)
    assert found.streaming_s == pytest.approx(0.05 + 12 * 0.015)
    assert found.lengths[-1] == 0  # the last one is not worth a draft


def test_drafts_that_do_not_stop_at_the_end_are_kept_shorter() -> None:
    ends = [0.0] * 5 + [0.5] * 10
    going, stopping = (plan(TIMES, Habits([1.0] * 24, ends, stops=stops), first=False) for stops in (0.0, 1.0))
    assert going.lengths[0] < stopping.lengths[0]
    assert going.drafting_s > stopping.drafting_s


def test_the_first_round_reads_the_prompt() -> None:
    times = Times(0.003, 0.017, 0.0, 0.015, 0.05, 0.01, 0.04, 0.02, 0.03)
    habits = Habits([1.0] * 24, [0.0] * 3 + [1.0])
    begin = plan(times, habits, first=True)
    assert begin.drafting_s == pytest.approx(0.05 + 0.04 + 0.017 + 0.02)  # drafting hides behind the cloud's reading
    assert begin.streaming_s == pytest.approx(0.05 + 4 * 0.015 + 0.03)
    assert plan(times, habits, first=False).drafting_s == pytest.approx(0.05 + 0.009 + 0.017)


def test_a_silent_drafter_costs_its_bursts() -> None:
    habits = Habits([1.0] * 24, [0.0] * 19 + [1.0], silent=1.0, burst=4)
    found = plan(TIMES, habits, first=False)
    assert found.lengths[0] == 0
    # The burst, and then the rest is streamed.
    assert found.drafting_s == pytest.approx(2 * 0.05 + 20 * 0.015)


@given(st.floats(0.1, 1), st.integers(1, 30))
def test_acceptance_by_position_is_learnt(alpha: float, seed: int) -> None:
    chance = random.Random(seed)
    found = Acceptance(1000)
    assert found.by_position(3) == [0.75] * 3
    for _ in range(1000):
        stood = next((index for index in range(4) if chance.random() > alpha * (0.5 if index == 2 else 1)), 4)
        found.add(min(stood + 1, 4), stood)
    first, second, third, *_, beyond = found.by_position(6)
    assert first == pytest.approx(alpha, abs=0.08)
    assert second == pytest.approx(alpha, abs=0.12) or alpha < 0.4
    assert third < 0.8 * first or alpha < 0.4
    assert min(first, third) - 0.02 < beyond < max(first, second) + 0.05


def test_where_answers_end_is_learnt() -> None:
    lengths = AnswerLengths(1000)
    for tokens in [3] * 30 + [5] * 30 + [9] * 30:
        lengths.add(tokens, ended=tokens != 9)
    found = lengths.hazards(0, 12)
    assert found[2] == pytest.approx(1 / 3, abs=0.02)
    assert found[4] == pytest.approx(1 / 2, abs=0.02)
    assert found[8] < 0.01  # cut off there, not ended
    assert found[10] == pytest.approx(1 / 64)
    assert list(lengths.hazards(4, 2)) == list(found[4:6])


def test_old_measurements_fade() -> None:
    mean, line, lengths = Mean(5), Line(5), AnswerLengths(5)
    assert mean.value is None
    assert not line.known
    for x in range(50):
        mean.add(1)
        line.add(x % 5, 1 + x % 5)
        lengths.add(2, ended=True)
    assert line.at(3) == pytest.approx(4)
    for x in range(50):
        mean.add(2)
        line.add(x % 5, 7 - x % 5)
        lengths.add(4, ended=True)
    assert mean.value == pytest.approx(2, abs=0.01)
    assert line.at(0) == line.at(4) == pytest.approx(4.5, abs=0.2)  # it does not fall
    assert lengths.hazards(0, 2)[1] < 0.05


@pytest.mark.parametrize("kappa", [0.2, 1.0, 2.0])
def test_how_far_a_drafter_is_to_be_believed_is_learnt(kappa: float) -> None:
    chance, belief = random.Random(1), Belief(2000)
    assert belief.as_drafter(0.5) == pytest.approx(0.5)  # to begin with, as it says
    for _ in range(4000):
        mistrust, rejected = 0.0, False
        for certainty in (chance.uniform(0.5, 1) for _ in range(6)):
            rejected = chance.random() > certainty**kappa
            mistrust -= math.log(certainty) / (1 + rejected)
            if rejected:
                break
        belief.add(mistrust, int(rejected))
    assert belief.as_drafter(0.5) ** kappa == pytest.approx(0.5, abs=0.06)


def test_a_drafter_that_is_right_without_being_sure_is_not_stopped() -> None:
    belief = Belief(20)
    for _ in range(200):
        belief.add(4.0, 0)
    assert 0 <= belief.as_drafter(0.9) < 1e-4
    assert Belief(5).as_drafter(0.0) == 0.0


def test_a_level_follows_a_jump_but_not_a_stray_value() -> None:
    level = Level(20)
    for value in [0.1] * 10 + [0.5]:
        level.add(value)
    assert level.value == pytest.approx(0.1 + 0.4 / 9, abs=0.03)
    level.add(0.1)
    level.add(0.5)
    assert level.value is not None
    assert level.value < 0.2  # not twice in succession
    level.add(0.52)
    assert level.value == pytest.approx(0.51, abs=0.01)
    level.add(0.01)
    level.add(0.0)
    assert level.value < 0.01


def test_the_times_of_first_rounds_are_told_apart() -> None:
    timing = Timing(40)
    for _ in range(20):
        # The cloud reads for 40 ms while the edge reads for 10 and drafts 5 tokens in 15: 15 ms more to wait.
        timing.add(5, 1, (0.025, 0.018, 0.065), begin_s=0.018, first=True, streaming=False)
        timing.add(3, 1, (0.009, 0.018, 0.05), begin_s=0.018, first=False, streaming=False)
    found = timing.estimate()
    assert found.draft_s == pytest.approx(0.003)
    assert found.link_s == pytest.approx(0.05)
    assert found.read_draft_s == pytest.approx(0.01)
    assert found.read_cloud_s == pytest.approx(0.04, rel=0.05)
    assert found.read_verify_s == pytest.approx(0)
    assert not timing.streamed
    timing.add(0, 10, (0.0, 0.035 + 9 * 0.015, 0.05), begin_s=0.035, first=True, streaming=True)
    assert timing.streamed
    assert timing.estimate().token_s == pytest.approx(0.015)
    assert timing.estimate().read_stream_s == pytest.approx(0.02)
    assert timing.drafts_before_stream() in (24, 25)  # 50 + 20 + 15 - 10 ms, 3 ms each


def test_a_first_round_that_waits_longer_tells_of_the_link() -> None:
    timing = Timing(40)
    for _ in range(20):
        timing.add(5, 1, (0.025, 0.018, 0.05), begin_s=0.018, first=False, streaming=False)
        timing.add(5, 1, (0.025, 0.048, 0.05), begin_s=0.048, first=True, streaming=False)
    assert timing.estimate().read_verify_s == pytest.approx(0.03)
    assert timing.estimate().link_s == pytest.approx(0.05)
    for _ in range(20):
        timing.add(5, 1, (0.025, 0.048, 0.2), begin_s=0.048, first=True, streaming=False)
    assert timing.estimate().link_s == pytest.approx(0.2, rel=0.2)


TARGET = ToyStepper(ends=(7,))
CODEC = make_codec("ids", 8)


def decode(  # noqa: PLR0917 - a query has so many sides
    policy: LengthPolicy,
    drafter: Drafter,
    clock: PacedClock,
    rtt: float,
    prompt: Sequence[int],
    params: SamplingParams,
    *,
    mode: str = "greedy",
    kind: type[EdgeHalf] = EdgeHalf,
) -> VirtualExchange:
    """A query by a policy, with the prompt read ahead unless it begins with a stream."""
    target = PacedStepper(TARGET, Costs.constant(0.02), clock)
    begun = policy.begin(params.max_tokens) if isinstance(policy, Planning) else policy.choose()
    verifier = make_verifier(mode, params, CODEC)
    cloud = CloudHalf(target, CODEC, verifier, TARGET.end_tokens, eager=bool(begun and rtt))
    edge = kind(drafter, CODEC, make_generator(params), params.max_tokens, TARGET.end_tokens)
    timeline = Timeline(Deployment(link=Link(rtt_ms=1000 * rtt)))
    exchange = VirtualExchange(edge, cloud, CODEC, timeline, clock)
    exchange.start(prompt, lambda: drafter.begin(prompt, make_picker(mode, params, CODEC)))
    if isinstance(policy, Planning):
        run_controlled(exchange, policy, drafter, 8)
    else:
        run_synchronous(exchange, policy, 8)
    drafter.end()
    return exchange


@pytest.mark.parametrize("mode", ["greedy", "gumbel"])
@pytest.mark.parametrize("name", ["model", "model in branches", "lookup"])
def test_the_output_is_the_targets_own(mode: str, name: str) -> None:
    clock, policy = PacedClock(), MeasuredLength(probe=1)
    drafter: Drafter = PromptLookup() if name == "lookup" else drafter_of(0.4, clock)
    kind = BranchingEdge if name == "model in branches" else EdgeHalf
    streamed = blocks = 0
    for seed in range(90):
        params = SamplingParams(temperature=0.0 if mode == "greedy" else 1.0, seed=seed, max_tokens=1 + seed % 30)
        rtt = (0.0, 0.01, 0.3)[seed // 30]
        prompt = [1 + seed % 6, 3]
        exchange = decode(policy, drafter, clock, rtt, prompt, params, mode=mode, kind=kind)
        assert exchange.edge.tokens == alone(TARGET, mode, prompt, params)
        streamed += exchange.edge.tally.streamed
        blocks += exchange.edge.tally.blocks
    assert streamed
    assert blocks


def drafter_of(noise: float, clock: PacedClock, draft_s: float = 0.003) -> ModelDrafter:
    return ModelDrafter(PacedStepper(TARGET.blurred(noise), Costs.constant(draft_s), clock), 8)


def total(policy: LengthPolicy, noise: float, rtt: float, draft_s: float, kind: type[EdgeHalf] = EdgeHalf) -> float:
    """Seconds of 60 answers, after 20 to learn from."""
    clock, seconds = PacedClock(), 0.0
    drafter = drafter_of(noise, clock, draft_s)
    for number in range(80):
        prompt = [1 + number % 6, number % 5, 2 + number % 3]
        exchange = decode(policy, drafter, clock, rtt, prompt, SamplingParams(seed=0, max_tokens=24), kind=kind)
        seconds += exchange.timeline.now * (number >= 20)
    return seconds


@pytest.mark.parametrize("noise", [0.1, 1.0])
@pytest.mark.parametrize("rtt", [0.0, 0.05, 0.2])
def test_a_measured_length_keeps_up_with_the_best_fixed_one(noise: float, rtt: float) -> None:
    fixed = min(total(FixedLength(length), noise, rtt, 0.003) for length in (0, 1, 2, 4, 8, 16))
    waiting = total(MeasuredLength(), noise, rtt, 0.003)
    assert waiting <= 1.15 * fixed  # 80 answers of a toy are few to learn from
    # The time in which a verdict travels is used only where it does no harm.
    assert total(MeasuredLength(), noise, rtt, 0.003, BranchingEdge) <= 1.01 * waiting


def test_a_step_of_the_round_trip_is_followed() -> None:
    clock, policy = PacedClock(), MeasuredLength()
    drafter = drafter_of(1.0, clock)
    params = SamplingParams(seed=0, max_tokens=24)

    def streamed(rtt: float, answers: int) -> list[bool]:
        exchanges = [decode(policy, drafter, clock, rtt, [1 + n % 6, n % 5], params) for n in range(answers)]
        return [not exchange.edge.tally.blocks for exchange in exchanges]

    assert not any(streamed(0.0, 20)[10:])
    assert all(streamed(0.5, 8)[4:])
    assert not any(streamed(0.0, 12)[6:])
