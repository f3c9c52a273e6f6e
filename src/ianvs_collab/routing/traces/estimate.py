"""What a recorded answer would have cost under a deployment: latency, bytes, money and energy.

Recorded compute seconds and tokens are played on a timeline by the very participants of a run, so that an estimate
equals what the run would have shown with the same compute times. One thing is not in a trace: the time of each single
token. They are spread evenly from the first to the last, which changes neither. An estimate is not a measurement, and
says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ianvs_collab.answer import Energy
from ianvs_collab.inference import Answer, Query
from ianvs_collab.inference.participants import CloudParticipant, EdgeParticipant
from ianvs_collab.link import Deployment, current_deployment, use_deployment
from ianvs_collab.modelserver.types import GREEDY, Generation, ModelInfo, Prompt, SamplingParams
from ianvs_collab.routing.traces.trace import Side, TraceRow

Where = Literal["edge", "cloud"]


@dataclass(frozen=True)
class Estimate:
    """What answering one query takes; None where the trace does not hold what it would follow from.

    Attributes:
        ttft: Seconds from the start to the first token at the user.
        e2e: Seconds from the start to the last token.
        uplink_bytes: Bytes from edge to cloud.
        downlink_bytes: Bytes from cloud to edge. Where the completion itself was not recorded its characters are not
            counted, only what surrounds them, which is nearly all.
        cost: Price of the tokens, in currency units of the deployment.
        energy: Joules of both devices while busy.
        source: `estimated`, always: nothing here was measured in this deployment.
    """

    ttft: float | None
    e2e: float | None
    uplink_bytes: int | None
    downlink_bytes: int | None
    cost: float | None
    energy: float | None
    source: str = "estimated"


def estimate(
    recorded: TraceRow | Side,
    where: Where,
    deployment: Deployment,
    *,
    text: str = "",
    model: str = "",
    request_bytes: int | None = None,
) -> Estimate:
    """Estimate one side's answer.

    Args:
        recorded: A row, or what one model made of a query (also a typical one, with mean tokens and seconds).
        where: Which side answers.
        deployment: Devices, link and prices.
        text: The prompt, if only a side is given; its length decides what goes up the link.
        model: Name of the cloud model, which stands in every message.
        request_bytes: Size of the request, if it is known; a row knows its own.
    """
    row = recorded if isinstance(recorded, TraceRow) else TraceRow("", text, recorded, recorded)
    size = request_bytes if request_bytes is not None else row.request_bytes
    return _Play(row, deployment, model, size).run([where])


def estimate_route(
    row: TraceRow,
    to_cloud: bool,
    deployment: Deployment,
    *,
    cascade: bool = False,
    decision_seconds: float = 0.0,
    model: str = "",
) -> Estimate:
    """Estimate a routed query, with the time of the decision and, in a cascade, the edge's answer before the cloud's.

    Args:
        row: The query.
        to_cloud: Whether the cloud's answer is taken.
        deployment: Devices, link and prices.
        cascade: Whether the edge answers first in any case.
        decision_seconds: What the router takes for its decision, on the machine that recorded.
        model: Name of the cloud model.
    """
    play = _Play(row, deployment, model, row.request_bytes)
    asked: list[Where] = ["edge", "cloud"] if cascade and to_cloud else ["cloud" if to_cloud else "edge"]
    return play.run(asked, decision_seconds, decide_after_edge=cascade)


def total(estimates: Sequence[Estimate]) -> dict[str, float | None]:
    """Means of `ttft`, `e2e` and `energy`, sums of bytes and cost; None where one of the estimates lacks it.

    Raises:
        ValueError: If there are none.
    """
    if not estimates:
        raise ValueError("there is no estimate to sum up")
    found: dict[str, float | None] = {}
    for name in ("ttft", "e2e", "energy", "uplink_bytes", "downlink_bytes", "cost"):
        values = [getattr(one, name) for one in estimates]
        reduce = np.mean if name in ("ttft", "e2e", "energy") else np.sum
        found[name] = None if None in values else float(reduce(values))
    return found


class _Play:
    """A row of a trace answered again, by participants whose models give what was recorded."""

    def __init__(self, row: TraceRow, deployment: Deployment, model: str, request_bytes: int | None) -> None:
        self._row = row
        self._ends = {
            "edge": EdgeParticipant(_Recorded(row.edge, model), GREEDY),
            "cloud": _Cloud(_Recorded(row.cloud, model), GREEDY, request_bytes),
        }
        message = {"role": "user", "content": row.text}
        # neither options nor their extractor: nothing is graded here
        self._query = Query(query_id=row.query_id, query=row.text, messages=[message], extractor="strict-letter")
        with _in_force(deployment):
            self._timeline = self._query.timeline

    def run(self, asked: Sequence[Where], decision: float = 0.0, *, decide_after_edge: bool = False) -> Estimate:
        answers: list[Answer] = []
        if decision and not decide_after_edge:
            self._timeline.compute("edge", decision, "route")
        for where in asked:
            answers.append(self._ends[where].answer(self._query))
            if decision and decide_after_edge and where == "edge":
                self._timeline.compute("edge", decision, "route")
        sides = [self._row.edge if where == "edge" else self._row.cloud for where in asked]
        return _sum_up(answers, sides)


def _sum_up(answers: Sequence[Answer], sides: Sequence[Side]) -> Estimate:
    last = answers[-1]
    counted = all(side.prompt_tokens is not None and side.completion_tokens is not None for side in sides)
    timed = all(side.total_seconds is not None for side in sides) and counted
    written = sides[-1].completion_tokens is not None or last["where"] == "edge"
    energy: Energy = last["energy"]
    return Estimate(
        ttft=last["perf"]["time_to_first_token"] if timed else None,
        e2e=last["perf"]["end_to_end_latency"] if timed else None,
        uplink_bytes=sum(answer["link"]["uplink_bytes"] for answer in answers),
        downlink_bytes=sum(answer["link"]["downlink_bytes"] for answer in answers) if written else None,
        cost=sum(answer["cost"] for answer in answers) if counted else None,
        energy=energy["joules"] if timed else None,
    )


class _Recorded:
    """A model server that gives one recorded answer."""

    def __init__(self, side: Side, model: str) -> None:
        self.info = ModelInfo(model=model, backend="recorded")
        self._generation = Generation(
            text=side.completion or "",
            prompt_tokens=side.prompt_tokens or 0,
            completion_tokens=side.completion_tokens or 0,
            token_times=_token_times(side),
        )

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        return self._generation

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        return [self._generation for _ in prompts]

    def close(self) -> None:
        """Nothing is held open."""


class _Cloud(CloudParticipant):
    """A cloud end that knows how large the request was when the trace was recorded."""

    def __init__(self, server: _Recorded, params: SamplingParams, request_bytes: int | None) -> None:
        super().__init__(server, params)
        self._request_bytes = request_bytes

    def request_bytes(self, query: Query) -> int:
        return super().request_bytes(query) if self._request_bytes is None else self._request_bytes


def _token_times(side: Side) -> tuple[float, ...]:
    if side.prefill_seconds is None or side.total_seconds is None or not side.completion_tokens:
        return ()
    return tuple(np.linspace(side.prefill_seconds, side.total_seconds, side.completion_tokens).tolist())


@contextmanager
def _in_force(deployment: Deployment) -> Iterator[None]:
    before = current_deployment()
    use_deployment(deployment)
    try:
        yield
    finally:
        use_deployment(before)
