"""Serves queries that arrive at given times, on the virtual tier's devices, each with a line before it.

Compute is real: every answer is made by the chosen variant and timed where it ran. Arrivals, waiting and finishing
happen on a virtual clock, because one machine cannot run two devices side by side honestly. A device serves one query
at a time, in the order in which they were sent to it. The orchestrator hears of a finish at the moment it happens.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

from ianvs_collab.answer import failed_answer
from ianvs_collab.inference import Answer, Participant, Query
from ianvs_collab.precision.orchestrator import Decision, Orchestrator
from ianvs_collab.precision.portfolio import Pair
from ianvs_collab.precision.requirements import Requirements

Key = tuple[str, str]
"""Variant and device."""


class Queues:
    """The devices' lines.

    Args:
        orchestrator: What decides.
        participants: What answers, by variant and device.
        wanted: What every query insists on.
    """

    def __init__(
        self, orchestrator: Orchestrator, participants: Mapping[Key, Participant], wanted: Requirements | None = None
    ) -> None:
        self._orchestrator, self._participants, self._wanted = orchestrator, participants, wanted or Requirements()
        self._free_at: dict[str, float] = {}
        self._running: list[tuple[float, int, Decision]] = []

    def serve(self, queries: Sequence[Query], arrivals: Sequence[float]) -> list[Any]:
        """Serve queries that arrive at given times, ascending, in seconds.

        Returns:
            An answer dict for each, with the key `orchestration` beside the usual ones.
        """
        return [self._at(query, time) for query, time in zip(queries, arrivals, strict=True)]

    def serve_in_turn(self, queries: Sequence[Query]) -> list[Any]:
        """Serve queries of which each comes when the one before has been answered."""
        answers, now = [], 0.0
        for query in queries:
            answers.append(self._at(query, now))
            now = max(now, *self._free_at.values()) if self._free_at else now
        return answers

    def _at(self, query: Query, now: float) -> Any:
        while self._running and self._running[0][0] <= now:
            self._orchestrator.finished(heapq.heappop(self._running)[2])
        found = self._orchestrator.decide(self._wanted)
        if not isinstance(found, Decision):
            return failed_answer("error", f"refused: {found.reason}") | {"query_id": query.get("query_id", "")}
        return self._run(query, now, found)

    def _run(self, query: Query, now: float, decision: Decision) -> Answer:
        pair = decision.pair
        answer = self._participants[pair.variant, pair.device].answer(query)
        ready, busy = _use_of(query, pair.device)
        start = max(now + ready, self._free_at.get(pair.device, 0.0))
        self._free_at[pair.device] = start + busy
        heapq.heappush(self._running, (start + busy, decision.number, decision))
        delay(answer, pair.device, ready, start - now - ready)
        answer["orchestration"] = _account(pair, now, start - now - ready, busy)
        return answer


def delay(answer: Answer, device: str, ready: float, wait: float) -> None:
    """Let an answer's work begin later, because its device was busy; latencies and timeline follow.

    Args:
        answer: The answer, which is changed.
        device: What kept it waiting.
        ready: When its work could have begun, seconds from the start of the query.
        wait: How much later it began, seconds.
    """
    perf, timeline = answer["perf"], answer["timeline"]
    if wait <= 0 or perf["end_to_end_latency"] is None:
        return
    total = perf["end_to_end_latency"] + wait
    perf |= {"time_to_first_token": perf["time_to_first_token"] + wait, "end_to_end_latency": total}
    perf["throughput"] = answer["usage"]["completion_tokens"] / total
    timeline["commits"] = [round(commit + wait, 6) for commit in timeline["commits"]]
    for span in timeline["spans"]:
        if span["start"] >= round(ready, 6):
            span |= {"start": round(span["start"] + wait, 6), "end": round(span["end"] + wait, 6)}
    line = {"resource": device, "label": "queue", "start": round(ready, 6), "end": round(ready + wait, 6), "count": 1}
    timeline["spans"].append(line)


def _use_of(query: Query, device: str) -> tuple[float, float]:
    """When a query's work on a device could begin and how long it takes, seconds from the start of the query."""
    spans = [event for event in query.timeline.events if event.resource == device]
    return (spans[0].start, spans[-1].end - spans[0].start) if spans else (0.0, 0.0)


def _account(pair: Pair, now: float, wait: float, busy: float) -> dict[str, Any]:
    return {
        "variant": pair.variant,
        "device": pair.device,
        "arrival_s": round(now, 6),
        "waited_s": round(wait, 6),
        "busy_s": round(busy, 6),
        "expected_busy_s": round(pair.mean_seconds, 6),
    }
