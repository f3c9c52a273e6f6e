from __future__ import annotations

import numpy as np
import pytest

from ianvs_collab.precision import (
    DeviceOnly,
    FixedVariant,
    JoinShortestQueue,
    Lyapunov,
    MinCost,
    Policy,
    PrecisionError,
    RoundRobin,
    SimplifiedScore,
    View,
)
from ianvs_collab.precision.tables import Tables

from .toys import toy_pair, toy_portfolio

Q4, Q8, F32 = range(3)
ROW = np.array([0])


def view(
    backlog: tuple[float, ...] = (0.0, 0.0),
    unfinished: tuple[int, ...] = (0, 0),
    allowed: tuple[bool, ...] = (True, True, True),
    size: float = 1.0,
) -> View:
    return View(np.array([allowed]), np.array([backlog]), np.array([unfinished]), np.array([size]))


def begun(policy: Policy) -> Policy:
    policy.begin(Tables.of(toy_portfolio()), 1)
    return policy


def choice(policy: Policy, seen: View) -> int:
    return int(policy.choose(ROW, seen)[0])


def test_one_device_and_its_most_accurate_variant() -> None:
    assert choice(begun(DeviceOnly("edge")), view(allowed=(True, True, False))) == Q8
    assert begun(DeviceOnly("edge")).eligible.tolist() == [True, True, False]
    assert begun(DeviceOnly()).eligible.tolist() == [False, False, True]
    assert choice(begun(DeviceOnly("edge")), view(allowed=(True, False, False))) == Q4


def test_one_variant_where_it_is_answered_soonest() -> None:
    both = toy_portfolio(toy_pair("q4", "edge", 1.0), toy_pair("q4", "cloud", 2.0), toy_pair("q8", "cloud", 0.1))
    policy = FixedVariant("q4")
    policy.begin(Tables.of(both), 1)
    assert policy.eligible.tolist() == [True, True, False]
    assert choice(policy, view((0.9, 0.0), allowed=(True, True, False))) == 0
    assert choice(policy, view((1.1, 0.0), allowed=(True, True, False))) == 1
    assert choice(policy, view((1.1, 0.0), allowed=(True, True, False), size=1.2)) == 0


def test_turns_skip_what_is_not_allowed() -> None:
    policy = begun(RoundRobin())
    assert [choice(policy, view()) for _ in range(4)] == [Q4, Q8, F32, Q4]
    assert choice(policy, view(allowed=(True, False, True))) == F32
    assert choice(policy, view()) == Q4
    assert choice(policy, view(allowed=(True, False, False))) == Q4


def test_the_shortest_queue_is_counted_in_requests() -> None:
    policy = begun(JoinShortestQueue())
    assert choice(policy, view(backlog=(9.0, 1.0), unfinished=(1, 2))) == Q8
    assert choice(policy, view(unfinished=(2, 2))) == F32
    assert choice(policy, view(unfinished=(2, 1), allowed=(True, True, False))) == Q8


def test_the_cheapest_whatever_the_queue() -> None:
    assert choice(begun(MinCost()), view(backlog=(1e9, 0.0))) == Q4
    assert choice(begun(MinCost("energy")), view(allowed=(False, True, True))) == Q8


def test_the_simplified_score() -> None:
    unit = (0.8 + 1.3 + 0.5) / 3
    policy = begun(SimplifiedScore(0.5))
    assert choice(policy, view(backlog=(0.89 * unit, 0.0))) == Q4  # costs are 0.1 and 1
    assert choice(policy, view(backlog=(0.91 * unit, 0.0))) == F32
    assert choice(begun(SimplifiedScore(1.0)), view(backlog=(1e9, 0.0))) == Q4
    assert choice(begun(SimplifiedScore(0.0)), view(backlog=(0.1, 0.0))) == F32


def test_lyapunov_by_hand() -> None:
    unit = (0.8 + 1.3 + 0.5) / 3
    policy = Lyapunov(2.0, average_accuracy=0.75, energy_budget=5.0)
    begun(policy)
    policy.accuracy_debt[:], policy.energy_debt[:] = 3.0, 0.5
    seen, (edge, cloud) = view(backlog=(2.0, 1.0), size=1.5), (2.0 / unit, 1.0 / unit)
    expected = [
        1.5 * (2 * 0.1 + edge * 0.8 / unit + 0.5 * 2 / 20) + 3 * (0.75 - 0.6),
        1.5 * (2 * 0.1 + edge * 1.3 / unit + 0.5 * 3.5 / 20) + 3 * (0.75 - 0.7),
        1.5 * (2 * 1.0 + cloud * 0.5 / unit + 0.5 * 20 / 20) + 3 * (0.75 - 0.9),
    ]
    assert policy.score(ROW, seen)[0] == pytest.approx(expected)
    assert choice(policy, seen) == int(np.argmin(expected)) == Q4
    assert policy.accuracy_debt[0] == pytest.approx(3 + 0.75 - 0.6)
    assert policy.energy_debt[0] == pytest.approx(0.5 + 1.5 * 2 / 20 - 5 / 20)


def test_the_exact_drift_sees_a_requests_own_work() -> None:
    unit, seen = (0.8 + 1.3 + 0.5) / 3, view(backlog=(2.0, 1.0), size=1.5)
    plain, exact = Lyapunov(2.0), Lyapunov(2.0, own_work=True)
    begun(plain), begun(exact)
    own = (1.5 * np.array([0.8, 1.3, 0.5]) / unit) ** 2 / 2
    assert exact.score(ROW, seen)[0] - plain.score(ROW, seen)[0] == pytest.approx(own)
    assert choice(begun(Lyapunov(0.0)), view()) == Q4  # idle devices look alike
    assert choice(begun(Lyapunov(0.0, own_work=True)), view()) == F32


def test_debts_never_fall_below_0() -> None:
    policy = Lyapunov(0.0, average_accuracy=0.5, energy_budget=100.0)
    begun(policy)
    choice(policy, view())
    assert policy.accuracy_debt.tolist() == [0.0]
    assert policy.energy_debt.tolist() == [0.0]


def test_replications_have_settings_and_debts_of_their_own() -> None:
    policy = Lyapunov([0.0, 1e6], average_accuracy=[0.6, 0.9])
    policy.begin(Tables.of(toy_portfolio()), 2)
    pair = view(backlog=(5.0, 0.0))
    seen = View(*(np.repeat(each, 2, axis=0) for each in (pair.allowed, pair.backlog, pair.unfinished)), np.ones(2))
    assert policy.choose(np.array([0, 1]), seen).tolist() == [F32, Q4]
    assert policy.accuracy_debt == pytest.approx([0.0, 0.3])
    assert policy.choose(np.array([1]), pair).tolist() == [Q4]
    assert policy.accuracy_debt == pytest.approx([0.0, 0.6])


def test_a_policy_begins_anew() -> None:
    policy = begun(Lyapunov(1.0, average_accuracy=0.9))
    choice(policy, view())
    assert begun(policy).accuracy_debt.tolist() == [0.0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (DeviceOnly("clout"), "no device 'clout'; did you mean 'cloud'"),
        (FixedVariant("bf16"), "no variant 'bf16'; there are q4, q8, f32"),
        (
            Lyapunov(1.0, average_accuracy=0.95),
            "no mix of pairs has an average accuracy of 0.95; the best",
        ),
    ],
)
def test_policies_that_do_not_fit_the_portfolio(policy: Policy, message: str) -> None:
    with pytest.raises(PrecisionError, match=message):
        begun(policy)


def test_impossible_settings() -> None:
    with pytest.raises(PrecisionError, match="v must be finite and at least 0"):
        Lyapunov(-1.0)
    with pytest.raises(PrecisionError, match="v must be finite"):
        Lyapunov([1.0, float("nan")])
    with pytest.raises(PrecisionError, match="energy_budget must be"):
        begun(Lyapunov(1.0, energy_budget=-1.0))
    with pytest.raises(PrecisionError, match="between 0 and 1"):
        SimplifiedScore(1.5)


def test_costs_have_to_be_there() -> None:
    unknown = toy_portfolio(toy_pair(energy_joules=None, energy_source="unavailable", price=0.0))
    with pytest.raises(PrecisionError, match="q4 on edge has no energy"):
        MinCost("energy").begin(Tables.of(unknown), 1)
    with pytest.raises(PrecisionError, match="every pair has price 0"):
        MinCost().begin(Tables.of(unknown), 1)
    with pytest.raises(PrecisionError, match="q4 on edge has no energy"):
        Lyapunov(1.0, energy_budget=1.0).begin(
            Tables.of(toy_portfolio(toy_pair(energy_joules=None, energy_source="unavailable"))), 1
        )
