"""A query beside a cloud that is really elsewhere: what the timeline tells is what happened."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import pytest

from ianvs_collab.link import Deployment, Device, Link, Timeline
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import CloudLostError, MeasuredLength, ModelDrafter, Round, SpeculativeError, make_codec
from ianvs_collab.speculative.loop import (
    Arrival,
    CloudHalf,
    EdgeHalf,
    FixedLength,
    LiveExchange,
    PipelinedEdge,
    run_pipelined,
    run_synchronous,
)
from ianvs_collab.speculative.modes import make_generator, make_picker, make_verifier

from .toys import ToyStepper, alone

PROMPT = [1, 2, 3]
TARGET = ToyStepper(ends=(7,))
PARAMS = SamplingParams(max_tokens=24, seed=1)
CODEC = make_codec("ids", 8)
VERIFY_S, PREFILL_S, EXTRA = 0.25, 0.5, 30


class Far:
    """The cloud's half, with a connection that is lost after some messages and times that it makes up."""

    def __init__(self, patience: int = 1000) -> None:
        verifier = make_verifier("greedy", PARAMS, CODEC)
        self._half = CloudHalf(TARGET, CODEC, verifier, TARGET.end_tokens)
        self._left, self._come = patience, deque[Arrival]()
        self._prefill_s = PREFILL_S

    def open(self, payload: bytes) -> int:
        self._pass()
        self._half.open(payload)
        return len(payload) + EXTRA

    def post(self, payload: bytes) -> int:
        self._pass()
        for verdict in self._half.answer(payload):
            arrival = Arrival(verdict, time.perf_counter(), VERIFY_S, self._prefill_s, len(verdict) + EXTRA)
            self._prefill_s = 0.0
            self._come.append(arrival)
        return len(payload) + EXTRA

    @property
    def arrived(self) -> bool:
        return bool(self._come)

    def take(self) -> Arrival:
        self._pass()
        return self._come.popleft()

    def _pass(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise TimeoutError("nothing came")


def deployment(slowdown: float = 1.0, **fields: Any) -> Deployment:
    return Deployment(name="lab", edge=Device(slowdown=slowdown), **{"tier": "real", **fields})


def query(far: Far, where: Deployment, kind: type[EdgeHalf] = EdgeHalf) -> LiveExchange:
    """A query that has not begun."""
    drafter = ModelDrafter(TARGET.blurred(0.3), 8, end_tokens=TARGET.end_tokens)
    edge = kind(drafter, CODEC, make_generator(PARAMS), PARAMS.max_tokens, TARGET.end_tokens)
    exchange = LiveExchange(edge, far, CODEC, Timeline(where))
    begin = make_picker("greedy", PARAMS, CODEC)
    exchange.start(PROMPT, lambda: drafter.begin(PROMPT, begin))
    return exchange


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("slowdown", [1.0, 4.0])
def test_the_timeline_is_this_machines_clock(slowdown: float, pipelined: bool) -> None:
    began = time.perf_counter()
    exchange = query(Far(), deployment(slowdown), PipelinedEdge if pipelined else EdgeHalf)
    if isinstance(exchange.edge, PipelinedEdge):
        run_pipelined(exchange, exchange.edge, 3, 4, 2)
    else:
        run_synchronous(exchange, FixedLength(3), 4)
    elapsed = time.perf_counter() - began
    timeline, meter = exchange.timeline, exchange.meter
    assert exchange.edge.tokens == alone(TARGET, "greedy", PROMPT, PARAMS)
    # A slower device has really been waited for: its time has passed here too.
    assert timeline.busy_seconds("edge") >= slowdown * (sum(meter.draft_s) + sum(meter.commit_s))
    assert timeline.busy_seconds("edge") <= timeline.now <= elapsed
    assert len(timeline.commits) == len(exchange.edge.tokens)
    assert timeline.commits == sorted(timeline.commits)
    edge = [event for event in timeline.events if event.resource == "edge"]
    assert all(one.end <= other.start for one, other in zip(edge, edge[1:], strict=False))


def test_the_clouds_times_and_the_bytes_are_those_that_it_tells() -> None:
    exchange = query(Far(), deployment())
    run_synchronous(exchange, FixedLength(3), 4)
    timeline, meter = exchange.timeline, exchange.meter
    verdicts = len(meter.verify_s)
    assert meter.verify_s == [VERIFY_S] * verdicts
    assert timeline.busy_seconds("cloud") == pytest.approx(PREFILL_S + verdicts * VERIFY_S)
    labels = [event.label for event in timeline.events if event.resource == "cloud"]
    assert labels == ["prefill", *["verify"] * verdicts]
    sent = len([event for event in timeline.events if event.resource == "uplink"])
    assert (
        timeline.nbytes("uplink") == meter.wire_uplink_bytes == meter.prompt_bytes + meter.uplink_bytes + sent * EXTRA
    )
    assert timeline.nbytes("downlink") == meter.wire_downlink_bytes == meter.downlink_bytes + verdicts * EXTRA


def test_the_cloud_was_ready_half_a_round_trip_before_its_verdict_came() -> None:
    class Late(Far):
        def take(self) -> Arrival:
            found = super().take()
            return Arrival(found.payload, found.at + 10.0, found.verify_s, found.prefill_s, found.nbytes)

    far = Late()
    exchange = query(far, deployment(link=Link(rtt_ms=4000), tier="relay"))
    exchange.post(exchange.draft(lambda: exchange.edge.block(3, 4)))
    came = far._come[0].at + 10.0 - exchange._origin
    exchange.take()
    prefill, verify = (event for event in exchange.timeline.events if event.resource == "cloud")
    assert verify.end == pytest.approx(came - 2.0)
    assert (verify.start, prefill.end) == pytest.approx((verify.end - VERIFY_S,) * 2)
    assert exchange.timeline.events[-2].start == pytest.approx(came)  # the verdict, on the downlink


def test_a_policy_hears_the_clouds_own_time() -> None:
    seen: list[Round] = []

    class Watching(MeasuredLength):
        def observe(self, round: Round) -> None:
            seen.append(round)
            super().observe(round)

    where = Deployment(tier="relay", cloud=Device(slowdown=5.0))
    exchange = query(Far(), where)
    run_synchronous(exchange, Watching(), 4)
    assert seen[0].verify_s == pytest.approx(VERIFY_S * seen[0].answers)  # it holds the slowdown already


@pytest.mark.parametrize("messages", [0, 1, 2, 4, 5])
def test_a_connection_that_breaks_is_an_error_with_the_tokens_so_far(messages: int) -> None:
    expected = alone(TARGET, "greedy", PROMPT, PARAMS)
    with pytest.raises(CloudLostError, match="nothing came") as lost:
        run_synchronous(query(Far(messages), deployment()), FixedLength(2), 4)
    assert lost.value.tokens == expected[: len(lost.value.tokens)]
    assert bool(lost.value.tokens) == (messages > 2)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (Deployment(name="home"), "'home' is of tier virtual, .* set tier: relay, namespaces or real"),
        (deployment(0.5), "'lab' has edge.slowdown 0.5: this machine cannot be faster than it is"),
    ],
)
def test_what_only_a_virtual_timeline_can_play_is_refused(where: Deployment, reason: str) -> None:
    with pytest.raises(SpeculativeError, match=reason):
        query(Far(), where)
