"""The lockstep simulation beside a plain one that was written apart from it, and beside queueing theory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.precision import (
    Bursty,
    JoinShortestQueue,
    Lyapunov,
    MinCost,
    Mix,
    Outcome,
    Poisson,
    Policy,
    Portfolio,
    PrecisionError,
    Requirements,
    RoundRobin,
    Workload,
    capacity,
    draw_workload,
    simulate,
)
from ianvs_collab.precision.requirements import BUSY, DEADLINE, NOT_REACHED, REASONS
from ianvs_collab.precision.tables import Tables
from ianvs_collab.precision.theory import exponential_samples, mm1_response, pollaczek_khinchine

from .reference import Chooser, Plain, PlainLyapunov, plain_simulation
from .toys import random_portfolio, toy_pair, toy_portfolio

SIZES = Mix((0.4, 1.0, 2.2), (0.4, 0.4, 0.2))


def plain(portfolio: Portfolio, work: Workload, row: int, choose: Chooser) -> Plain:
    return plain_simulation(
        portfolio,
        choose,
        work.arrivals[row].tolist(),
        work.luck[row].tolist(),
        work.sizes[row].tolist(),
        wanted=[work.requirements[index] for index in work.classes[row]],
        parallel=work.parallel,
        tails=Tables.of(portfolio).tail.tolist(),
    )


def same(outcome: Outcome, row: int, expected: Plain) -> None:
    for (request, step), pair in expected.choice.items():
        found = int(outcome.choice[row, request, step])
        assert found == pair or (pair < 0 and NOT_REACHED < found < 0)
    reached = (outcome.choice[row] != NOT_REACHED).sum()
    assert reached == len(expected.choice)
    for (request, step), finish in expected.finish.items():
        assert outcome.finish[row, request, step] == pytest.approx(finish, rel=1e-12)
    assert np.isfinite(outcome.finish[row]).sum() == len(expected.finish)
    assert outcome.presence[row] == pytest.approx(expected.presence, rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    load=st.floats(0.3, 1.3),
    steps=st.integers(1, 3),
    parallel=st.booleans(),
    bursty=st.booleans(),
    v=st.floats(0.01, 50),  # at 0 equally accurate pairs on idle devices are equals, and rounding decides
)
def test_lyapunov_decides_as_the_formula_says(
    *, seed: int, load: float, steps: int, parallel: bool, bursty: bool, v: float
) -> None:
    portfolio = random_portfolio(seed)
    rate = load * capacity(portfolio, sizes=SIZES) / steps
    classes = [(Requirements(), 0.6), (Requirements(min_accuracy=0.5), 0.2), (Requirements(deadline_s=2.5), 0.2)]
    work = draw_workload(
        Bursty() if bursty else Poisson(),
        [rate, 0.7 * rate, rate],
        [seed, seed + 1, seed + 2],
        60,
        steps=steps,
        parallel=parallel,
        sizes=SIZES,
        classes=classes,
    )
    best = max(pair.accuracy for pair in portfolio.pairs)
    outcome = simulate(portfolio, Lyapunov(v, average_accuracy=0.9 * best, energy_budget=5.0), work)
    for row in range(3):
        same(outcome, row, plain(portfolio, work, row, PlainLyapunov(portfolio, v, 0.9 * best, 5.0)))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.integers(1, 2))
def test_counting_and_turns_agree_with_the_plain_simulation(seed: int, steps: int) -> None:
    portfolio = random_portfolio(seed)
    work = draw_workload(Poisson(), [capacity(portfolio) / steps] * 2, [seed, seed + 1], 80, steps=steps)
    where = Tables.of(portfolio).device.tolist()
    turn = [-1]

    def shortest(pairs: list[int], backlog: list[float], unfinished: list[int], size: float) -> int:
        return min(pairs, key=lambda index: unfinished[where[index]] - 0.5 * portfolio.pairs[index].accuracy)

    def in_turn(pairs: list[int], backlog: list[float], unfinished: list[int], size: float) -> int:
        turn[0] = (turn[0] + 1) % len(where)
        return turn[0]

    same(simulate(portfolio, JoinShortestQueue(), work), 1, plain(portfolio, work, 1, shortest))
    same(simulate(portfolio, RoundRobin(), work), 0, plain(portfolio, work, 0, in_turn))


def alone(samples: tuple[float, ...]) -> Portfolio:
    return toy_portfolio(toy_pair(service_seconds=samples))


@pytest.mark.parametrize("load", [0.4, 0.7])
def test_one_device_is_as_slow_as_queueing_theory_says(load: float) -> None:
    """Two hundred replications: means within 3 standard errors, and those below 2 %."""
    for samples in (exponential_samples(1.0, 10_000), (1.0,), (0.2, 0.2, 2.6)):
        portfolio = alone(samples)
        outcome = simulate(portfolio, MinCost(), draw_workload(Poisson(), [load] * 200, range(200), 1_500))
        means, expected = outcome.mean_latency(150), pollaczek_khinchine(load, samples)
        error = means.std(ddof=1) / np.sqrt(len(means))
        assert error < 0.02 * expected
        assert abs(means.mean() - expected) < 3 * error


def test_the_policy_goes_by_what_it_expects_and_the_work_takes_what_it_takes() -> None:
    portfolio = toy_portfolio()
    work = draw_workload(Poisson(), [1e-6], [0], 500)  # nothing ever waits
    slower = portfolio.model_copy(
        update={
            "pairs": tuple(
                pair.model_copy(update={"service_seconds": tuple(3 * each for each in pair.service_seconds)})
                for pair in portfolio.pairs
            )
        }
    )
    policy = Lyapunov(2.0, average_accuracy=0.7)
    expected, found = simulate(portfolio, policy, work), simulate(portfolio, policy, work, actual=slower)
    assert (found.choice == expected.choice).all()
    assert found.latency == pytest.approx(3 * expected.latency, rel=1e-3)  # arrivals are large numbers of seconds
    assert found.cost("energy") == pytest.approx(expected.cost("energy"))
    paced = simulate(portfolio, policy, replace(work, pace=np.full_like(work.luck, 3.0)))
    assert (paced.choice == expected.choice).all()
    assert paced.finish == pytest.approx(found.finish)
    with pytest.raises(PrecisionError, match=r"shape \(1, 500, 1\), not \(1,\)"):
        replace(work, pace=np.ones(1))
    with pytest.raises(PrecisionError, match="belong to different pairs"):
        simulate(portfolio, policy, work, actual=alone((1.0,)))


def test_littles_law_holds_to_the_last_digit() -> None:
    """Presence is integrated event by event, latency taken request by request; over a whole run they must agree."""
    portfolio = toy_portfolio()
    work = draw_workload(Bursty(), [0.8 * capacity(portfolio)] * 3, range(3), 3_000, sizes=SIZES)
    outcome = simulate(portfolio, Lyapunov(2.0, average_accuracy=0.7), work)
    assert outcome.presence == pytest.approx(outcome.latency.sum(axis=1), rel=1e-9)


def test_long_lines_grow_and_keep_their_order() -> None:
    work = draw_workload(Poisson(), [20.0], [3], 2_000)
    outcome = simulate(alone((1.0,)), MinCost(), work)
    assert np.diff(outcome.finish[0, :, 0]) == pytest.approx(1.0)
    assert outcome.backlog_growth()[0] == pytest.approx(19, rel=0.05)


def test_averages_are_kept() -> None:
    portfolio = toy_portfolio()
    work = draw_workload(Poisson(), [0.5] * 8, range(8), 3_000, sizes=SIZES)
    outcome = simulate(portfolio, Lyapunov(2.0, average_accuracy=0.8), work)
    assert outcome.accuracy(1_000) == pytest.approx(0.8, abs=0.005)
    assert simulate(portfolio, Lyapunov(20.0), work).accuracy().max() < 0.7
    energy = simulate(portfolio, Lyapunov(0.0, energy_budget=4.0), work).cost("energy", 1_000)
    assert energy.max() < 4.0 * 1.02
    assert simulate(portfolio, Lyapunov(0.0), work).cost("energy").min() > 5.0


def by_hand(choice_of: Policy, arrivals: list[float], steps: int, parallel: bool, **wanted: float) -> Outcome:
    ones = np.ones((1, len(arrivals)))
    work = Workload(
        np.array([arrivals]),
        np.full((1, len(arrivals), steps), 0.5),
        ones,
        np.zeros_like(ones, dtype=np.int64),
        (Requirements(**wanted),),  # type: ignore[arg-type]
        parallel,
    )
    return simulate(toy_portfolio(), choice_of, work)


def test_sequential_steps_wait_for_one_another() -> None:
    outcome = by_hand(RoundRobin(), [0.0, 0.1], 3, parallel=False)
    assert outcome.choice[0].tolist() == [[0, 2, 0], [1, 1, 2]]
    # edge: 0 to 0.8 (first request), to 2.1 (second), to 2.9 (first), to 4.2 (second); cloud: 0.8 to 1.3, 4.2 to 4.7
    assert outcome.finish[0, 0].tolist() == pytest.approx([0.8, 1.3, 2.9])
    assert outcome.finish[0, 1].tolist() == pytest.approx([2.1, 4.2, 4.7])
    assert outcome.latency[0].tolist() == pytest.approx([2.9, 4.6])


def test_parallel_steps_start_together() -> None:
    outcome = by_hand(RoundRobin(), [1.0], 3, parallel=True)
    assert outcome.choice[0].tolist() == [[0, 1, 2]]
    assert outcome.finish[0, 0].tolist() == pytest.approx([1.8, 3.1, 1.5])
    assert outcome.latency[0].tolist() == pytest.approx([2.1])
    assert outcome.cost("price")[0] == pytest.approx(0.4)


def test_refusals_are_counted_with_their_reasons_and_end_a_workflow() -> None:
    outcome = by_hand(RoundRobin(), [0.0, 0.0, 0.0], 1, parallel=False, deadline_s=1.2)
    assert outcome.choice[0].tolist() == [[0], [2], [BUSY]]
    assert outcome.refusals() == {REASONS[BUSY]: 1}
    assert outcome.served.tolist() == [[True, True, False]]
    never = by_hand(RoundRobin(), [0.0, 5.0], 2, parallel=False, deadline_s=0.1)
    assert never.choice[0].tolist() == [[DEADLINE, NOT_REACHED]] * 2
    assert never.refusals() == {REASONS[DEADLINE]: 2}
    assert np.isnan(never.mean_latency()).all()
    assert np.isnan(never.latency_quantile(0.99)).all()
    assert np.isnan(never.accuracy()).all()


def test_quantiles_and_warm_up() -> None:
    outcome = by_hand(MinCost(), [0.0, 10.0, 20.0, 20.0], 1, parallel=False)
    assert outcome.latency[0].tolist() == pytest.approx([0.8, 0.8, 0.8, 1.6])
    assert outcome.mean_latency()[0] == pytest.approx(1.0)
    assert outcome.mean_latency(2)[0] == pytest.approx(1.2)
    assert outcome.latency_quantile(1.0)[0] == pytest.approx(1.6)
    assert outcome.refusals() == {}


def test_theory_refuses_what_is_not_stable() -> None:
    assert mm1_response(0.5, 1.0) == pytest.approx(2.0)
    assert pollaczek_khinchine(0.5, [1.0]) == pytest.approx(1.5)  # M/D/1: half the waiting of M/M/1
    assert pollaczek_khinchine(0.8, exponential_samples(1.0, 100_000)) == pytest.approx(5.0, rel=1e-3)
    with pytest.raises(PrecisionError, match="load above 0 and below 1, not 1"):
        mm1_response(1.0, 1.0)
    with pytest.raises(PrecisionError, match="at least one sample"):
        exponential_samples(1.0, 0)
