from __future__ import annotations

import heapq
import threading

import numpy as np
import pytest

from ianvs_collab import precision
from ianvs_collab.precision import (
    Decision,
    JoinShortestQueue,
    Lyapunov,
    MinCost,
    Orchestrator,
    Poisson,
    Policy,
    PrecisionError,
    Refusal,
    Requirements,
    draw_workload,
    simulate,
)
from ianvs_collab.precision.requirements import ACCURACY, BUSY

from .toys import toy_pair, toy_portfolio


def decided(found: Decision | Refusal) -> Decision:
    assert isinstance(found, Decision)
    return found


def test_the_backlog_follows_decisions_and_finishes() -> None:
    live = Orchestrator(toy_portfolio(), MinCost())
    first, second = decided(live.decide()), decided(live.decide(size=2.0))
    assert str(first.pair) == "q4 on edge"
    assert (first.expected_seconds, second.expected_seconds) == pytest.approx((0.8, 1.6))
    assert live.backlog == pytest.approx({"edge": 2.4, "cloud": 0.0})
    live.finished(first)
    assert live.backlog == pytest.approx({"edge": 1.6, "cloud": 0.0})
    with pytest.raises(PrecisionError, match="decision 0 is finished already"):
        live.finished(first)


def test_refusals_say_what_was_asked_for() -> None:
    live = Orchestrator(toy_portfolio(), MinCost())
    refusal = live.decide(Requirements(min_accuracy=0.95))
    assert refusal == Refusal(ACCURACY, "no pair that fits is accurate enough (the request asks for min_accuracy=0.95)")
    rush = Requirements(deadline_s=1.2)
    assert [str(decided(live.decide(rush)).pair) for _ in range(2)] == ["q4 on edge", "f32 on cloud"]
    busy = live.decide(rush)
    assert isinstance(busy, Refusal)
    assert busy.code == BUSY
    assert "deadline_s=1.2" in busy.reason
    assert live.backlog["edge"] == pytest.approx(0.8)


def test_sizes_are_above_0() -> None:
    with pytest.raises(PrecisionError, match="above 0, not 0"):
        Orchestrator(toy_portfolio(), MinCost()).decide(size=0)


@pytest.mark.parametrize("make", [lambda: Lyapunov(3.0, average_accuracy=0.75), JoinShortestQueue])
def test_live_and_simulated_decisions_are_the_same(make: type[Policy]) -> None:
    portfolio = toy_portfolio()
    work = draw_workload(Poisson(), [2.5], [8], 400)
    outcome, live = simulate(portfolio, make(), work), Orchestrator(portfolio, make())
    running: list[tuple[float, int, Decision]] = []
    for request, now in enumerate(work.arrivals[0]):
        while running and running[0][0] <= now:
            live.finished(heapq.heappop(running)[2])
        decision = decided(live.decide())
        assert decision.pair == portfolio.pairs[outcome.choice[0, request, 0]]
        heapq.heappush(running, (outcome.finish[0, request, 0], request, decision))
    assert len(np.unique(outcome.choice)) > 1


def test_threads_share_an_orchestrator() -> None:
    live = Orchestrator(toy_portfolio(toy_pair(mean=1.0)), MinCost())

    def work() -> None:
        for _ in range(200):
            live.finished(decided(live.decide()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert live.backlog == {"edge": 0.0}
    assert decided(live.decide()).number == 800


def test_public_names() -> None:
    assert sorted(precision.__all__) == precision.__all__
    assert all(hasattr(precision, name) for name in precision.__all__)
