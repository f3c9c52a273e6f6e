"""Lines before virtual devices: the same latencies as in the simulation, and timelines that tell of the waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ianvs_collab.inference import CloudParticipant, EdgeParticipant, Query
from ianvs_collab.link import Deployment, use_deployment
from ianvs_collab.link.deployment import Device, Link
from ianvs_collab.modelserver import SamplingParams
from ianvs_collab.precision import (
    JoinShortestQueue,
    Lyapunov,
    Orchestrator,
    Poisson,
    Policy,
    PrecisionError,
    Requirements,
    RoundRobin,
    draw_workload,
    simulate,
)
from ianvs_collab.precision.ianvs.queueing import Queues
from ianvs_collab.precision.policies import POLICIES, make_policy

from .toys import toy_pair, toy_portfolio

SECONDS = {"q4": 0.08, "q8": 0.14, "f32": 0.05}
SLOW = 3.0


@pytest.fixture
def house() -> Any:
    yield use_deployment(Deployment(edge=Device(slowdown=SLOW, power_w=10.0), cloud=Device(power_w=100.0)))
    use_deployment(Deployment(name="this-machine"))


def participants(scripted: Callable[..., Any]) -> Any:
    ends = {("q4", "edge"): EdgeParticipant, ("q8", "edge"): EdgeParticipant, ("f32", "cloud"): CloudParticipant}
    return {
        key: end(scripted("It is Paris.", (SECONDS[key[0]] / 2, SECONDS[key[0]])), SamplingParams())
        for key, end in ends.items()
    }


def portfolio() -> Any:
    exact = {"q4": SLOW * SECONDS["q4"], "q8": SLOW * SECONDS["q8"], "f32": SECONDS["f32"]}
    return toy_portfolio(
        toy_pair("q4", "edge", service_seconds=(exact["q4"],), correct=60, price=0.1),
        toy_pair("q8", "edge", service_seconds=(exact["q8"],), correct=70, price=0.2),
        toy_pair("f32", "cloud", service_seconds=(exact["f32"],), correct=90, price=1.0),
    )


def ask(place: int) -> Query:
    return Query(query_id=f"q{place}", query="Where?", choices={"A": "Paris", "B": "Rome"})


@pytest.mark.parametrize("make", [RoundRobin, JoinShortestQueue, lambda: Lyapunov(2.0, 0.75)])
def test_waiting_is_that_of_the_simulation(
    house: Any, scripted: Callable[..., Any], make: Callable[[], Policy]
) -> None:
    work = draw_workload(Poisson(), [12.0], [3], 300)
    expected = simulate(portfolio(), make(), work)
    queues = Queues(Orchestrator(portfolio(), make()), participants(scripted))
    answers = queues.serve([ask(place) for place in range(300)], [float(time) for time in work.arrivals[0]])
    names = [str(pair) for pair in portfolio().pairs]
    chosen = [names.index(f"{one['orchestration']['variant']} on {one['orchestration']['device']}") for one in answers]
    assert chosen == expected.choice[0, :, 0].tolist()
    latencies = [one["orchestration"]["waited_s"] + one["orchestration"]["busy_s"] for one in answers]
    assert latencies == pytest.approx(expected.latency[0].tolist(), abs=2e-3)
    assert max(one["orchestration"]["waited_s"] for one in answers) > 0.2  # or nothing was tested


def test_an_answer_tells_how_long_it_waited(house: Any, scripted: Callable[..., Any]) -> None:
    queues = Queues(Orchestrator(portfolio(), make_policy("device-only", only="edge")), participants(scripted))
    first, second = queues.serve([ask(0), ask(1)], [1.0, 1.1])
    busy = SLOW * SECONDS["q8"]
    assert first["perf"]["end_to_end_latency"] == pytest.approx(busy)
    assert second["perf"]["end_to_end_latency"] == pytest.approx(2 * busy - 0.1)
    assert second["perf"]["time_to_first_token"] == pytest.approx(1.5 * busy - 0.1)
    assert second["perf"]["time_per_output_token"] == pytest.approx(busy / 2)
    assert second["perf"]["throughput"] == pytest.approx(2 / (2 * busy - 0.1))
    assert second["timeline"]["commits"][-1] == pytest.approx(2 * busy - 0.1)
    assert [span["label"] for span in first["timeline"]["spans"]] == ["prefill", "decode"]
    spans = {span["label"]: (span["start"], span["end"]) for span in second["timeline"]["spans"]}
    assert spans["queue"] == (0.0, pytest.approx(busy - 0.1))
    assert spans["prefill"][0] == pytest.approx(busy - 0.1)
    assert second["energy"] == first["energy"]  # waiting costs none
    assert second["orchestration"] == {
        "variant": "q8",
        "device": "edge",
        "arrival_s": 1.1,
        "waited_s": pytest.approx(busy - 0.1),
        "busy_s": pytest.approx(busy),
        "expected_busy_s": pytest.approx(busy),
    }


def test_a_request_travels_while_others_are_served(scripted: Callable[..., Any]) -> None:
    use_deployment(Deployment(link=Link(rtt_ms=40.0)))
    try:
        queues = Queues(Orchestrator(portfolio(), make_policy("device-only")), participants(scripted))
        first, second = queues.serve([ask(0), ask(1)], [0.0, 0.03])
    finally:
        use_deployment(Deployment(name="this-machine"))
    assert first["perf"]["end_to_end_latency"] == pytest.approx(0.09, abs=1e-3)
    assert second["orchestration"]["waited_s"] == pytest.approx(0.02, abs=1e-3)
    assert second["perf"]["end_to_end_latency"] == pytest.approx(0.11, abs=1e-3)
    starts = {span["label"]: span["start"] for span in second["timeline"]["spans"]}
    assert starts["request"] == 0.0
    assert starts["queue"] == pytest.approx(0.02, abs=1e-3)
    assert starts["prefill"] == pytest.approx(0.04, abs=1e-3)


def test_one_at_a_time_nobody_waits(house: Any, scripted: Callable[..., Any]) -> None:
    queues = Queues(Orchestrator(portfolio(), RoundRobin()), participants(scripted))
    answers = queues.serve_in_turn([ask(place) for place in range(6)])
    assert {one["orchestration"]["waited_s"] for one in answers} == {0.0}
    arrivals = [one["orchestration"]["arrival_s"] for one in answers]
    assert np.diff(arrivals).min() >= min(SECONDS.values())


def test_a_refusal_is_a_failed_query(house: Any, scripted: Callable[..., Any]) -> None:
    orchestrator = Orchestrator(portfolio(), RoundRobin())
    queues = Queues(orchestrator, participants(scripted), Requirements(min_accuracy=0.99))
    (answer,) = queues.serve_in_turn([ask(0)])
    assert answer["outcome"] == "error"
    assert answer["query_id"] == "q0"
    assert answer["error"].startswith("refused: no pair that fits is accurate enough")


def test_answers_without_times_do_not_wait(house: Any, scripted: Callable[..., Any]) -> None:
    mute = {("q8", "edge"): EdgeParticipant(scripted("It is Paris.", (), completion_tokens=3), SamplingParams())}
    queues = Queues(Orchestrator(portfolio(), make_policy("fixed-variant", only="q8")), mute)
    answers = queues.serve([ask(0), ask(1)], [0.0, 0.0])
    assert all(one["perf"]["end_to_end_latency"] is None for one in answers)


@pytest.mark.parametrize("name", POLICIES)
def test_policies_by_name(name: str) -> None:
    only = {"device-only": "cloud", "fixed-variant": "q4"}.get(name, "")
    found = Orchestrator(portfolio(), make_policy(name, v=0.5, average_accuracy=0.7, only=only)).decide()
    assert found.pair.variant in SECONDS  # type: ignore[union-attr]


def test_a_policy_of_no_name() -> None:
    with pytest.raises(PrecisionError, match="no orchestrator 'lyapunow'; did you mean 'lyapunov'"):
        make_policy("lyapunow")
    with pytest.raises(PrecisionError, match="no orchestrator 'x'. Known are lyapunov, round-robin"):
        make_policy("x")
