"""Live runs on worker processes with made-up models: same decisions as in simulation, and no fault ends in silence."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from ianvs_collab.precision import (
    DeviceOnly,
    JoinShortestQueue,
    Mix,
    Orchestrator,
    Pair,
    Poisson,
    Portfolio,
    PrecisionError,
    Refusal,
    Requirements,
    RoundRobin,
    Workload,
    draw_workload,
)
from ianvs_collab.precision.live import (
    Berth,
    Death,
    Fleet,
    LiveOutcome,
    Rules,
    Served,
    WorkerError,
    by_hardness,
    calibrate,
    recalibrated,
    serve,
)
from ianvs_collab.precision.live import fleet as fleet_module
from ianvs_collab.precision.profile import Item

from .conftest import MakeVariant
from .toys import toy_pair, toy_portfolio

ITEMS = [
    Item(f"q{place}", f"question {place} Paris", {"A": "Paris", "B": "Rome"}, "AB"[place % 2]) for place in range(4)
]


@contextmanager
def two_devices(fakes: MakeVariant, edge: dict[str, Any] | None = None, **cloud: Any) -> Iterator[Fleet]:
    berths = [Berth("edge", [fakes("q4", **(edge or {}))], slowdown=2.0), Berth("cloud", [fakes("f32", **cloud)])]
    with Fleet(berths, patience_s=60.0) as fleet:
        yield fleet


def pair_of(fleet: Fleet) -> Portfolio:
    assert set(fleet.loaded) == {"edge", "cloud"}
    return toy_portfolio(toy_pair("q4", "edge", 0.01, correct=60), toy_pair("f32", "cloud", 0.01, correct=90))


def work(requests: int = 30, rate: float = 200.0, **changes: Any) -> Workload:
    return draw_workload(Poisson(), [rate], [5], requests, **changes)


def test_every_request_is_answered_where_the_policy_sends_it(fakes: MakeVariant) -> None:
    with two_devices(fakes, {"seconds": 0.004}, seconds=0.002) as fleet:
        outcome = serve(fleet, pair_of(fleet), RoundRobin(), work(), items=ITEMS)
    assert [str(one.pair) for one in outcome.requests] == ["q4 on edge", "f32 on cloud"] * 15
    assert not outcome.failures()
    assert not outcome.deaths
    arrivals = work().arrivals[0]
    for place, one in enumerate(outcome.requests):
        assert one.arrival_s == arrivals[place]
        assert one.pair is not None and one.finished_s is not None and one.busy_s is not None
        assert one.worked_s is not None
        assert one.decided_s >= one.arrival_s
        least = 0.008 if one.pair.device == "edge" else 0.002
        assert one.finished_s - one.arrival_s >= one.busy_s >= least
        assert one.busy_s >= one.worked_s * (2 if one.pair.device == "edge" else 1)
        luck = work().luck[0, place, 0]
        assert one.right == (int(luck * 4) % 2 == 0)
    for device in ("edge", "cloud"):  # first come, first served
        ends = [one.finished_s for one in outcome.requests if one.pair is not None and one.pair.device == device]
        assert ends == sorted(ends)  # type: ignore[type-var]
    assert {key: len(times) for key, times in outcome.busy_seconds().items()} == {
        ("q4", "edge"): 15,
        ("f32", "cloud"): 15,
    }


def test_a_line_longer_than_what_is_handed_over(fakes: MakeVariant) -> None:
    with two_devices(fakes) as fleet:
        outcome = serve(fleet, pair_of(fleet), DeviceOnly("cloud"), work(60, rate=1e6), items=ITEMS)
        assert outcome.accuracy() == np.mean([one.right for one in outcome.requests])
        assert len(outcome.requests) == 60
        assert not outcome.failures()


def test_a_worker_that_dies_in_a_run_is_replaced_by_the_others(fakes: MakeVariant) -> None:
    with two_devices(fakes, {"die_at": 4}) as fleet:
        outcome = serve(fleet, pair_of(fleet), RoundRobin(), work(), items=ITEMS)
        assert fleet.alive == ["cloud"]
    assert not outcome.failures()
    assert list(outcome.deaths) == ["edge"]
    assert "the worker of 'edge' is gone: the worker 'edge' ended with status 7" in outcome.deaths["edge"]
    again = [one for one in outcome.requests if one.reroutes]
    assert again
    assert all(str(one.pair) == "f32 on cloud" for one in again)
    assert sum(one.pair is not None and one.pair.device == "edge" for one in outcome.requests) == 3


def test_requests_fail_loudly_where_they_are_not_to_be_sent_anew(fakes: MakeVariant) -> None:
    with two_devices(fakes, {"die_at": 2}) as fleet:
        outcome = serve(fleet, pair_of(fleet), DeviceOnly("edge"), work(8), items=ITEMS, rules=Rules(reroutes=0))
    failures = outcome.failures()
    assert sum(failures.values()) == 7
    told = " / ".join(failures)
    assert "ended with status 7" in told
    assert np.isnan(outcome.latency).sum() == 7
    assert outcome.accuracy() <= 1 / 8
    assert outcome.mean_latency() == outcome.latency_quantile(0.5) > 0


def test_when_all_workers_are_gone_what_comes_is_refused(fakes: MakeVariant) -> None:
    with two_devices(fakes, {"die_at": 2}, die_at=2) as fleet:
        outcome = serve(fleet, pair_of(fleet), RoundRobin(), work(12, rate=50.0), items=ITEMS)
    assert set(outcome.deaths) == {"edge", "cloud"}
    assert outcome.failures()["every device of the policy is lost"] >= 1
    assert sum(outcome.failures().values()) == 10


def test_a_worker_that_hangs_is_ended_and_its_work_goes_elsewhere(fakes: MakeVariant) -> None:
    berths = [Berth("edge", [fakes("q4", hang_at=2)]), Berth("cloud", [fakes("f32")])]
    with Fleet(berths, patience_s=0.3) as fleet:
        outcome = serve(fleet, pair_of(fleet), RoundRobin(), work(10), items=ITEMS)
    assert "no answer in 0.3 s" in outcome.deaths["edge"]
    assert not outcome.failures()


def test_a_worker_that_is_killed_while_it_has_nothing_to_do_is_noticed(fakes: MakeVariant) -> None:
    with two_devices(fakes) as fleet:
        portfolio = pair_of(fleet)
        os.kill(fleet.pid("edge"), signal.SIGKILL)
        (death,) = fleet.poll(10.0)
        assert isinstance(death, Death)
        assert (death.device, death.tags) == ("edge", ())
        again = fleet.submit("edge", "q4", "?", 3)
        assert again is not None
        assert again.tags == (3,)
        outcome = serve(fleet, portfolio, RoundRobin(), work(6), items=ITEMS)
        assert not outcome.failures()


def test_a_worker_that_dies_between_requests_is_noticed_when_it_is_given_work(fakes: MakeVariant) -> None:
    with two_devices(fakes) as fleet:
        os.kill(fleet.pid("edge"), signal.SIGKILL)
        fleet._lanes["edge"].worker._process.wait(10)
        assert fleet.submit("edge", "q4", "?", 8) is None
        (death,) = fleet.poll(10.0)
        assert isinstance(death, Death)
        assert death.tags == (8,)


def test_answers_of_a_worker_that_has_died_since_are_taken(fakes: MakeVariant) -> None:
    with two_devices(fakes, {"die_at": 3}) as fleet:
        for tag in range(3):
            fleet.submit("edge", "q4", "?", tag)
        fleet._lanes["edge"].worker._process.wait(30)
        fleet.submit("edge", "q4", "?", 3)  # cannot be sent any more
        events = [event for _ in range(3) for event in fleet.poll(10.0)]
    assert [getattr(event, "tag", None) for event in events] == [0, 1, None]
    assert isinstance(events[2], Death)
    assert sorted(events[2].tags) == [2, 3]


def test_a_kill_in_the_middle_of_a_run(fakes: MakeVariant) -> None:
    with two_devices(fakes, {"seconds": 0.01}, seconds=0.001) as fleet:
        killer = threading.Timer(0.15, os.kill, (fleet.pid("edge"), signal.SIGKILL))
        killer.start()
        outcome = serve(fleet, pair_of(fleet), JoinShortestQueue(), work(80), items=ITEMS)
        killer.join()
    assert len(outcome.requests) == 80
    assert not outcome.failures()


def test_what_a_model_complains_of_fails_one_request_only(fakes: MakeVariant) -> None:
    with two_devices(fakes, {"fail_at": 2}) as fleet:
        outcome = serve(fleet, pair_of(fleet), RoundRobin(), work(8), items=ITEMS)
    assert outcome.failures() == {"the prompt is too long": 1}
    assert [one.reason is not None for one in outcome.requests] == [False, False, True] + [False] * 5


def test_refusals_have_their_reason(fakes: MakeVariant) -> None:
    classes = [(Requirements(min_accuracy=0.95), 0.5), (Requirements(), 0.5)]
    with two_devices(fakes) as fleet:
        outcome = serve(fleet, pair_of(fleet), RoundRobin(), work(20, classes=classes), items=ITEMS)
    (reason,) = outcome.failures()
    assert "min_accuracy=0.95" in reason
    assert {one.pair is None for one in outcome.requests if one.reason} == {True}


def test_what_does_not_go_together_is_refused(fakes: MakeVariant) -> None:
    with two_devices(fakes) as fleet:
        portfolio = pair_of(fleet)
        with pytest.raises(PrecisionError, match="there is none"):
            serve(fleet, portfolio, RoundRobin(), work(), items=[])
        with pytest.raises(PrecisionError, match="one step and size 1"):
            serve(fleet, portfolio, RoundRobin(), work(steps=2), items=ITEMS)
        with pytest.raises(PrecisionError, match="one step and size 1"):
            serve(fleet, portfolio, RoundRobin(), work(sizes=Mix((2.0,), (1.0,))), items=ITEMS)
        with pytest.raises(PrecisionError, match="q8 on edge is in the portfolio, but the fleet has not loaded it"):
            serve(fleet, toy_portfolio(), RoundRobin(), work(), items=ITEMS)
    with pytest.raises(PrecisionError, match="at least one"):
        Fleet([])
    with pytest.raises(PrecisionError, match="different names"):
        Fleet([Berth("a", []), Berth("a", [])])


def test_no_worker_is_left_when_one_cannot_load(fakes: MakeVariant, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[list[Any]] = []
    real = fleet_module.close_all

    def noting(workers: Any) -> None:
        closed.append(list(workers))
        real(workers)

    monkeypatch.setattr(fleet_module, "close_all", noting)
    with pytest.raises(WorkerError, match="no such model"):
        Fleet([Berth("edge", [fakes("a")]), Berth("cloud", [fakes("b", backend="broken")])])
    assert len(closed[0]) == 2
    assert all(worker._process.returncode is not None for worker in closed[0])


def test_service_times_of_the_fleet_as_it_is(fakes: MakeVariant) -> None:
    with two_devices(fakes, {"seconds": 0.003}, seconds=0.001) as fleet:
        samples = calibrate(fleet, ITEMS)
        assert {key: len(times) for key, times in samples.items()} == {("q4", "edge"): 4, ("f32", "cloud"): 4}
        assert min(samples["q4", "edge"]) >= 0.006
        assert min(samples["f32", "cloud"]) >= 0.001
        portfolio = recalibrated(pair_of(fleet), samples)
    assert portfolio.pairs[0].service_seconds == tuple(samples["q4", "edge"])
    assert portfolio.pairs[0].energy_joules == pytest.approx(2.0 * np.mean(samples["q4", "edge"]) / 0.01)


def test_a_calibration_ends_with_the_first_fault(fakes: MakeVariant) -> None:
    with two_devices(fakes, fail_at=2) as fleet, pytest.raises(PrecisionError, match="f32 on cloud: the prompt is too"):
        calibrate(fleet, ITEMS)
    with two_devices(fakes, {"die_at": 3}) as fleet, pytest.raises(PrecisionError, match="'edge' is gone"):
        calibrate(fleet, ITEMS)


def test_pairs_without_samples_keep_their_times() -> None:
    portfolio = toy_portfolio(
        toy_pair("q4", "edge"), toy_pair("f32", "cloud", energy_joules=None, energy_source="unavailable")
    )
    renewed = recalibrated(portfolio, {("f32", "cloud"): [3.0, 5.0], ("q4", "edge"): []})
    assert renewed.pairs[0] == portfolio.pairs[0]
    assert renewed.pairs[1].mean_seconds == 4.0
    assert renewed.pairs[1].energy_joules is None


def test_questions_are_ordered_by_how_long_they_take_everywhere() -> None:
    samples = {("a", "x"): [3.0, 1.0, 2.0, 9.0], ("b", "x"): [0.3, 0.2, 0.1, 0.4]}
    assert [item.id for item in by_hardness(ITEMS, samples)] == ["q1", "q2", "q0", "q3"]


def test_an_orchestrator_forgets_a_lost_device() -> None:
    orchestrator = Orchestrator(toy_portfolio(), JoinShortestQueue())
    orchestrator.lost("cloud")
    for _ in range(3):
        found = orchestrator.decide()
        assert not isinstance(found, Refusal)
        assert found.pair.device == "edge"
    orchestrator.lost("edge")
    refused = orchestrator.decide(Requirements(deadline_s=1.0))
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.reason) == (-6, "every device of the policy is lost")
    with pytest.raises(PrecisionError, match="no device 'egde'; there are edge, cloud"):
        orchestrator.lost("egde")


def test_figures_of_nothing() -> None:
    pair: Pair = toy_pair()
    outcome = LiveOutcome([Served(0.0, 0.0, pair, reason="no")], {})
    assert np.isnan(outcome.mean_latency())
    assert np.isnan(outcome.latency_quantile(0.99))
    assert outcome.busy_seconds() == {}


def test_a_fleet_that_is_closed_has_nothing_more_to_tell(fakes: MakeVariant) -> None:
    with two_devices(fakes) as fleet:
        fleet.close()
        start = time.monotonic()
        assert fleet.poll(0.05) == []
        assert time.monotonic() - start >= 0.04
