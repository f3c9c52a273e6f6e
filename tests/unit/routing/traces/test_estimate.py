"""Estimates are compared with what the participants of a run report for the same compute times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.inference import Answer, Query
from ianvs_collab.inference.participants import CloudParticipant, EdgeParticipant
from ianvs_collab.link import Deployment, Device, Link, Price, current_deployment, use_deployment
from ianvs_collab.modelserver.types import GREEDY, Generation, ModelInfo, Prompt, SamplingParams
from ianvs_collab.routing.traces import Side, TraceRow
from ianvs_collab.routing.traces.estimate import Estimate, estimate, estimate_route, total
from ianvs_collab.routing.traces.recorder import Recorder

PROMPT = "Example?\nA. x\nB. y\nAnswer: A\n\nWhich 城市?\nA. Paris\nB. Rome\nAnswer:"
IDEAL = Deployment(name="ideal")
SLOW = Deployment(
    name="slow",
    edge=Device(slowdown=4, power_w=5, price_per_million_tokens=Price(prompt=1, completion=2)),
    cloud=Device(slowdown=0.25, power_w=300, price_per_million_tokens=Price(prompt=500_000, completion=1_500_000)),
    link=Link(rtt_ms=80, uplink_mbps=2, downlink_mbps=5, jitter_ms=9, loss=0.2),
    seed=5,
)
REAL = Deployment(name="real", tier="real", link=Link(rtt_ms=80))
NO_POWER = Deployment(name="no-power", edge=Device(power_w=5))


class Fixed:
    """A model that gives one answer, with these token times."""

    def __init__(self, text: str, times: tuple[float, ...], name: str) -> None:
        self.generation = Generation(text, 31, len(times), times, duration=times[-1])
        self.info = ModelInfo(name, "fixed")

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        return self.generation

    def generate_batch(self, prompts: Any, params: SamplingParams = GREEDY) -> list[Generation]:
        return [self.generation for _ in prompts]

    def close(self) -> None: ...


def even(first: float, last: float, count: int) -> tuple[float, ...]:
    return tuple(first + (last - first) * index / max(count - 1, 1) for index in range(count))


EDGE = EdgeParticipant(Fixed("The capital is 罗马 (B).", even(0.5, 1.5, 9), "small"), GREEDY)
CLOUD = CloudParticipant(Fixed("Paris, A.", even(0.25, 0.75, 5), "large"), SamplingParams(max_tokens=99, seed=3))


def asked() -> Query:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
    choices = {"A": "Paris", "B": "Rome"}
    return Query(query_id="q7", query=PROMPT, messages=messages, choices=choices, shots=1)


@pytest.fixture
def recorded() -> TraceRow:
    return Recorder(EDGE, CLOUD).row(asked(), "A")


def reported(*answers: Answer) -> Estimate:
    """What a run reports."""
    last = answers[-1]
    return Estimate(
        ttft=last["perf"]["time_to_first_token"],
        e2e=last["perf"]["end_to_end_latency"],
        uplink_bytes=sum(answer["link"]["uplink_bytes"] for answer in answers),
        downlink_bytes=sum(answer["link"]["downlink_bytes"] for answer in answers),
        cost=sum(answer["cost"] for answer in answers),
        energy=last["energy"]["joules"],
    )


def same(found: Estimate, expected: Estimate) -> None:
    for name in ("ttft", "e2e", "uplink_bytes", "downlink_bytes", "cost", "energy", "source"):
        value = getattr(expected, name)
        close = value if value is None or isinstance(value, str) else pytest.approx(value, rel=1e-9)
        assert getattr(found, name) == close, name


@pytest.mark.parametrize("deployment", [IDEAL, SLOW, REAL, NO_POWER], ids=lambda one: one.name)
@pytest.mark.parametrize("where", ["edge", "cloud"])
def test_an_estimate_is_what_a_run_reports(where: Any, deployment: Deployment, recorded: TraceRow) -> None:
    use_deployment(deployment)
    expected = reported((EDGE if where == "edge" else CLOUD).answer(asked()))
    use_deployment(IDEAL)
    same(estimate(recorded, where, deployment, model="large"), expected)
    assert current_deployment() is IDEAL  # estimating puts no deployment in force


@pytest.mark.parametrize("cascade", [False, True])
@pytest.mark.parametrize("to_cloud", [False, True])
def test_a_routed_query_is_what_a_run_reports(to_cloud: bool, cascade: bool, recorded: TraceRow) -> None:
    use_deployment(SLOW)
    query, answers = asked(), []
    if cascade:
        answers.append(EDGE.answer(query))
    query.timeline.compute("edge", 0.125, "route")
    if to_cloud or not cascade:
        answers.append((CLOUD if to_cloud else EDGE).answer(query))
    expected = reported(*answers)
    found = estimate_route(recorded, to_cloud, SLOW, cascade=cascade, decision_seconds=0.125, model="large")
    same(found, expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=8), st.sampled_from(["edge", "cloud"]))
def test_uneven_tokens_change_neither_the_first_nor_the_last(gaps: list[float], where: Any) -> None:
    times = tuple(sum(gaps[: index + 1]) for index in range(len(gaps)))
    ends = {
        "edge": EdgeParticipant(Fixed("It is A.", times, "small"), GREEDY),
        "cloud": CloudParticipant(Fixed("It is A.", times, "large"), GREEDY),
    }
    deployment = Deployment(link=Link(rtt_ms=40, downlink_mbps=100))
    row = Recorder(ends["edge"], ends["cloud"]).row(asked(), "A")
    use_deployment(deployment)
    perf = ends[where].answer(asked())["perf"]
    found = estimate(row, where, deployment, model="large")
    assert found.ttft == pytest.approx(perf["time_to_first_token"], abs=2e-6)  # microseconds are kept
    assert found.e2e == pytest.approx(perf["end_to_end_latency"], abs=2e-6)


def test_a_side_alone_is_estimated_with_the_prompts_text(recorded: TraceRow) -> None:
    alone = estimate(recorded.cloud, "cloud", SLOW, text="Which?", model="large")
    longer = estimate(recorded.cloud, "cloud", SLOW, text="Which?" + "x" * 50, model="large")
    assert alone.uplink_bytes is not None
    assert longer.uplink_bytes == alone.uplink_bytes + 50
    known = estimate(recorded.cloud, "cloud", SLOW, request_bytes=1234, model="large")
    assert known.uplink_bytes == 1234


def test_what_was_not_recorded_is_not_estimated() -> None:
    row = TraceRow("q", "Which?\nA. x\nB. y", Side(1), Side(1))
    edge, cloud = estimate(row, "edge", SLOW), estimate(row, "cloud", SLOW)
    assert (edge.ttft, edge.e2e, edge.cost, edge.energy) == (None, None, None, None)
    assert (edge.uplink_bytes, edge.downlink_bytes) == (0, 0)
    assert (cloud.ttft, cloud.downlink_bytes, cloud.cost, cloud.energy) == (None, None, None, None)
    assert cloud.uplink_bytes is not None and cloud.uplink_bytes > len("Which?")


@pytest.mark.parametrize("fields", [{"prompt_tokens": 3}, {"completion_tokens": 4}])
def test_half_of_the_tokens_make_no_price(fields: dict[str, int]) -> None:
    side = Side(1, total_seconds=1.0, prefill_seconds=0.5, **fields)  # type: ignore[arg-type]
    found = estimate(side, "cloud", SLOW, text="Which?")
    assert (found.cost, found.e2e) == (None, None)


def test_tokens_without_times_have_a_price_and_bytes() -> None:
    side = Side(1, completion="It is A.", prompt_tokens=1000, completion_tokens=4)
    found = estimate(side, "cloud", SLOW, text="Which?", model="large")
    assert found.cost == pytest.approx((1000 * 0.5e6 + 4 * 1.5e6) / 1e6)
    assert found.downlink_bytes is not None and found.downlink_bytes > 4 * 100
    assert (found.ttft, found.energy) == (None, None)


def test_without_its_text_nearly_all_of_an_answers_bytes_are_counted(recorded: TraceRow) -> None:
    whole = estimate(recorded, "cloud", SLOW, model="large").downlink_bytes
    bare = estimate(replace(recorded, cloud=replace(recorded.cloud, completion=None)), "cloud", SLOW, model="large")
    assert whole is not None and bare.downlink_bytes is not None
    assert 0 < whole - bare.downlink_bytes < 0.03 * whole


def test_estimates_are_summed_up(recorded: TraceRow) -> None:
    one, two = (estimate(recorded, where, SLOW, model="large") for where in ("edge", "cloud"))  # type: ignore[arg-type]
    summed = total([one, two])
    assert summed["ttft"] == pytest.approx((one.ttft + two.ttft) / 2)  # type: ignore[operator]
    assert summed["uplink_bytes"] == two.uplink_bytes
    assert total([one, replace(two, cost=None)])["cost"] is None
    with pytest.raises(ValueError, match="no estimate"):
        total([])


def test_an_estimate_says_that_it_is_one(recorded: TraceRow) -> None:
    assert estimate(recorded, "edge", IDEAL).source == "estimated"
