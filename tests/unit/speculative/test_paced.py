"""Paced models: the tokens of the model itself, and the times of the table."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Link, Timeline
from ianvs_collab.modelserver.stepping import StepError
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import ModelDrafter, SpeculativeDecoder, SpeculativeError
from ianvs_collab.speculative.paced import Costs, PacedClock, PacedStepper, WaitingClock, measure_costs

from .toys import ToyStepper, alone

TARGET = ToyStepper(ends=(7,))
COSTS = Costs((1, 3, 7), (0.1, 0.3, 0.3), (0.1, 0.2, 0.4))


@given(st.lists(st.one_of(st.lists(st.integers(0, 7), min_size=1, max_size=4), st.integers(0, 5)), max_size=12))
@settings(deadline=None)
def test_a_paced_session_is_the_session_itself(deeds: list[list[int] | int]) -> None:
    paced = PacedStepper(TARGET, COSTS, PacedClock())
    for _ in range(2):  # the second time all is remembered
        mine, real = paced.open(), TARGET.open()
        for index, deed in enumerate(deeds):
            if isinstance(deed, int):
                count = min(deed, real.length)
                mine.rollback(count)
                real.rollback(count)
            elif index % 3 == 0:
                assert torch.equal(mine.prefill(deed), real.prefill(deed))
            else:
                assert torch.equal(mine.step(deed), real.step(deed))
            if index % 4 == 3:
                fork, real = mine.fork(), real.fork()
                mine.close()
                mine = fork
            assert (mine.tokens, mine.length) == (real.tokens, real.length)
        mine.close()
        mine.close()


def test_a_text_is_computed_once() -> None:
    model = ToyStepper()
    paced = PacedStepper(model, COSTS, PacedClock())
    for _ in range(3):
        with paced.open() as session:
            session.prefill([1, 2, 3])
            session.step([4])
            session.rollback(1)
            session.step([4])
    assert [session.steps for session in model.opened] == [2]
    faster = paced.at_pace(COSTS.scaled(0.5))
    with faster.open() as session:
        session.prefill([1, 2, 3])
    assert len(model.opened) == 1


def test_what_a_fork_computes_does_not_disturb_the_first() -> None:
    paced = PacedStepper(TARGET, COSTS, PacedClock())
    session = paced.open()
    session.prefill([1, 2])
    fork = session.fork()
    fork.step([3, 4])
    assert session.tokens == (1, 2)
    with TARGET.open() as real:
        real.prefill([1, 2])
        assert torch.equal(session.step([5]), real.step([5]))
    fork.close()
    assert torch.equal(session.step([6])[0], TARGET.table[5, 6])


def test_steps_are_charged_by_the_table() -> None:
    clock = PacedClock()
    session = PacedStepper(TARGET, COSTS, clock).open()
    session.prefill([1] * 3)
    assert clock.now == pytest.approx(0.2)
    session.step([1])
    assert clock.now == pytest.approx(0.3)
    session.step([1] * 2)
    assert clock.now == pytest.approx(0.5)
    session.prefill([1] * 9)  # beyond the table its last slope goes on
    assert clock.now == pytest.approx(1.0)
    assert [COSTS.step(count) for count in (1, 2, 3, 5, 7, 8)] == pytest.approx([0.1, 0.2, 0.3, 0.3, 0.3, 0.3])
    assert COSTS.scaled(2).prefill(5) == pytest.approx(0.6)


def test_a_refused_step_costs_nothing() -> None:
    clock = PacedClock()
    session = PacedStepper(ToyStepper(context=3), COSTS, clock).open()
    for tokens in ([], [8], [1] * 4):
        with pytest.raises(StepError):
            session.step(tokens)
    assert (clock.now, session.length) == (0.0, 0)
    session.close()
    with pytest.raises(StepError, match="closed"):
        session.prefill([1])


def test_each_operation_has_its_overhead() -> None:
    clock = PacedClock(0.5)
    start = clock()
    with clock.charge(2):
        pass
    assert clock() - start == 2.5


def test_with_a_waiting_clock_a_step_takes_its_time_for_real() -> None:
    clock = WaitingClock()
    session = PacedStepper(TARGET, COSTS.scaled(0.2), clock).open()
    start = clock()
    session.prefill([1] * 3)
    assert clock() - start >= 0.04
    assert clock.late_s == 0.0
    hurried = PacedStepper(TARGET, Costs.constant(0.0), clock).open()
    hurried.step([1])
    assert clock.late_s > 0
    late = clock.late_s
    with pytest.raises(StepError):
        hurried.step([])
    assert clock.late_s == late


def test_two_strategies_see_the_same_times() -> None:
    params = SamplingParams(max_tokens=30)
    totals = []
    for _ in range(2):
        clock = PacedClock(1e-4)
        target = PacedStepper(TARGET, COSTS, clock)
        draft = PacedStepper(TARGET.blurred(0.3), COSTS.scaled(0.1), clock)
        decoder = SpeculativeDecoder(target, ModelDrafter(draft, 8), clock=clock)
        timeline = Timeline(Deployment(link=Link(rtt_ms=20)))
        assert decoder.decode_tokens([1, 2], params, timeline).tokens == alone(TARGET, "greedy", [1, 2], params)
        totals.append(timeline.now)
    assert totals[0] == totals[1] > 0


def test_a_paced_model_translates_as_the_model_does() -> None:
    paced = PacedStepper(TARGET, COSTS, PacedClock())
    assert (paced.vocabulary, paced.context, paced.layers, paced.end_tokens) == (8, None, 1, frozenset({7}))
    assert paced.decode(paced.encode("123")) == "123"
    with pytest.raises(StepError, match="not hidden states"):
        paced.open(hidden=True)
    with pytest.raises(StepError, match="not hidden states"):
        paced.open().hidden(0)


def test_costs_are_what_the_clock_shows_for_a_step_alone() -> None:
    model = ToyStepper(context=40)
    gaps = itertools.cycle([1.0, 0.0, 100.0, 0.0, 2.0, 0.0])
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += next(gaps)
        return now

    # Two readings time a step: 0 seconds lie between them, whatever lies between steps.
    costs = measure_costs(model, [1, 2, 3], counts=(1, 4, 40, 41), repeats=3, clock=clock)
    assert costs.counts == (1, 4, 40)
    assert set(costs.step_s) == {0.0}
    assert all(session.length <= 40 for session in model.opened)
    ticks = itertools.count()
    costs = measure_costs(ToyStepper(), [1, 2, 3], counts=(1, 4), repeats=3, clock=lambda: float(next(ticks)))
    assert costs.step_s == costs.prefill_s == (1.0, 1.0)


def test_costs_are_first_quartiles() -> None:
    """Steps of a token take 1 to 5 seconds, of four tokens twice that, prefills a hundred times as long."""
    times = (4.0, 1.0, 5.0, 2.0, 3.0)
    operations = itertools.chain.from_iterable((one, 100 * one, 2 * one, 200 * one) for one in times)
    gaps = itertools.chain.from_iterable((0.0, seconds) for seconds in operations)
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += next(gaps)
        return now

    costs = measure_costs(ToyStepper(), [1, 2, 3], counts=(1, 4), repeats=5, clock=clock)
    assert (costs.step_s, costs.prefill_s) == ((2.0, 4.0), (200.0, 400.0))
    with pytest.raises(SpeculativeError, match="at least 2 repeats"):
        measure_costs(ToyStepper(), [1], repeats=1)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (((2, 3), (1, 1), (1, 1)), "rise from 1"),
        (((1,), (1,), (1,)), "rise from 1"),
        (((1, 3, 3), (1, 1, 1), (1, 1, 1)), "rise from 1"),
        (((1, 3), (1, 1), (1,)), "for each count"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(columns: tuple[tuple[int, ...], ...], reason: str) -> None:
    with pytest.raises(SpeculativeError, match=reason):
        Costs(*columns)  # type: ignore[arg-type]
