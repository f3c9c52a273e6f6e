"""The two ends of a collaboration: a model at the edge, and a model in the cloud behind the link.

Each turns a query into an answer dict. The model's work is real and timed where it ran; the query's timeline puts it on
the deployment's devices and adds what the link costs, token by token, because a streamed answer pays the round trip
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ianvs_collab.answer import Energy, Perf
from ianvs_collab.grading import extract
from ianvs_collab.inference import crossing
from ianvs_collab.inference.query import Answer, Query
from ianvs_collab.link import Timeline, wire
from ianvs_collab.link.timeline import mean_gap
from ianvs_collab.modelserver.types import Generation, ModelServer, Prompt, SamplingParams, prompt_sha256

DEFAULT_EXTRACTOR = "option-text"


class Participant:
    """A model at one end; subclasses say how its tokens reach the user.

    Args:
        server: The model.
        params: How to decode.
        chat: Whether to send the query as a chat; False sends the bare prompt.
    """

    where: Literal["edge", "cloud"]

    def __init__(self, server: ModelServer, params: SamplingParams, *, chat: bool = True) -> None:
        self.server = server
        self.params = params
        self.chat = chat

    def answer(self, query: Query) -> Answer:
        """Answer a query.

        Raises:
            ModelServerError: If the model does not answer.
            ModelTimeoutError: If it does not answer in time.
        """
        timeline = query.timeline
        timeline.reset_commits()
        uplink, downlink = timeline.nbytes("uplink"), timeline.nbytes("downlink")
        generation = self._run(query)
        crossed = timeline.nbytes("uplink") - uplink, timeline.nbytes("downlink") - downlink
        answer = Answer(self._content(query, generation, crossed), query)
        query.latest = (self, answer)
        return answer

    def generate(self, query: Query, params: SamplingParams | None = None) -> Generation:
        """Complete a query and leave its timeline alone: for a recording, or for further samples.

        Args:
            query: What to ask.
            params: How to decode, if not as this end does otherwise.

        Raises:
            ModelServerError: If the model does not answer.
            ModelTimeoutError: If it does not answer in time.
        """
        return self.server.generate(self._prompt(query), params or self.params, query_id=query.get("query_id"))

    def request_bytes(self, query: Query) -> int:
        """Size of the request that would take a query to this model over the link, in bytes."""
        return len(wire.chat_request(_messages(query), self.params, self.server.info.model))

    def _run(self, query: Query) -> Generation:
        """Complete a query, on its timeline."""
        generation = self.generate(query)
        self._play(query.timeline, query, generation)
        return generation

    def _prompt(self, query: Query) -> Prompt:
        return _messages(query) if self.chat else str(query["query"])

    def _play(self, timeline: Timeline, query: Query, generation: Generation) -> None:
        """Put a generation on the timeline."""
        raise TypeError("a participant is at the edge or in the cloud")

    def _content(self, query: Query, generation: Generation, crossed: tuple[int, int]) -> dict[str, Any]:
        timeline, guard = query.timeline, query.guard
        text = generation.text if guard is None else guard.restore(generation.text)
        extractor = query.get("extractor", DEFAULT_EXTRACTOR)
        extraction = extract(extractor, text, query.get("choices") or {})
        prompt_tokens, completion_tokens = generation.prompt_tokens, generation.completion_tokens
        return {
            "completion": text,
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
            "perf": _perf(timeline, generation),
            "timeline": timeline.to_dict(),
            "link": {
                "uplink_bytes": crossed[0],
                "downlink_bytes": crossed[1],
                "round_trips": int(any(crossed)),
            },
            "outcome": "ok" if extraction.letter else "unparsed",
            "answer": extraction.letter,
            "extractor": extraction.extractor,
            "query_id": query.get("query_id", ""),
            "subject": query.get("subject", ""),
            "where": self.where,
            "shared": generation.shared,
            "energy": _energy(timeline, measured=bool(generation.token_times)),
            "cost": self._cost(timeline, generation),
            "tier": timeline.deployment.tier,
            "deployment": timeline.deployment.name,
            "logprobs": list(generation.logprobs) if generation.logprobs is not None else None,
            "prompt_sha256": prompt_sha256(str(query.get("query", ""))),
            "shots": query.get("shots", 0),
            **({} if guard is None else {"pii": guard.report(self._sent(query))}),
        }

    def _sent(self, query: Query) -> list[str]:
        """The texts of a query that leave the edge device."""
        return []

    def _cost(self, timeline: Timeline, generation: Generation) -> float:
        price = timeline.deployment.device(self.where).price_per_million_tokens
        return (generation.prompt_tokens * price.prompt + generation.completion_tokens * price.completion) / 1e6


class EdgeParticipant(Participant):
    """The small model, beside the user: a token is there when it is computed."""

    where = "edge"

    def _play(self, timeline: Timeline, query: Query, generation: Generation) -> None:
        for label, seconds in crossing.steps(generation):
            timeline.commit(timeline.compute("edge", seconds, label))


class CloudParticipant(Participant):
    """The large model, behind the link: the request travels up, every token travels down as soon as it is computed."""

    where = "cloud"

    def _sent(self, query: Query) -> list[str]:
        return [message["content"] for message in _messages(query)]

    def _play(self, timeline: Timeline, query: Query, generation: Generation) -> None:
        cross = crossing.emulate if timeline.deployment.tier == "virtual" else crossing.take_over
        cross(timeline, generation, self.request_bytes(query), self.server.info.model)


def hold_back(answer: Answer) -> None:
    """Let the user see an answer only now, as a whole, because it had to be judged first and that took the edge time.

    Latencies, timeline and energy of the answer are brought up to date; an answer without measured times has none.
    """
    perf = answer.get("perf") or {}
    if perf.get("end_to_end_latency") is None:
        return
    timeline = answer.query.timeline
    tokens = len(timeline.commits)
    timeline.reset_commits()
    for _ in range(tokens):
        timeline.commit(timeline.now)
    answer["perf"] = {
        "time_to_first_token": timeline.now,
        "internal_token_latency": 0.0,
        "time_per_output_token": None if perf.get("time_per_output_token") is None else 0.0,
        "end_to_end_latency": timeline.now,
        "throughput": answer["usage"]["completion_tokens"] / timeline.now if timeline.now else None,
    }
    answer["timeline"] = timeline.to_dict()
    answer["energy"] = _energy(timeline, measured=True)


def _messages(query: Query) -> Sequence[dict[str, str]]:
    return query.get("messages") or [{"role": "user", "content": str(query["query"])}]


def _perf(timeline: Timeline, generation: Generation) -> Perf:
    if not generation.token_times:  # a replayed answer has no latency to report
        return {
            "time_to_first_token": None,
            "internal_token_latency": None,
            "time_per_output_token": None,
            "end_to_end_latency": None,
            "throughput": None,
        }
    tokens = generation.completion_tokens
    first, last = timeline.commits[0], timeline.commits[-1]
    return {
        "time_to_first_token": first,
        "internal_token_latency": mean_gap(timeline.commits) or 0.0,
        "time_per_output_token": (last - first) / (tokens - 1) if tokens > 1 else None,
        "end_to_end_latency": last,
        "throughput": tokens / last if last else None,
    }


def _energy(timeline: Timeline, *, measured: bool) -> Energy:
    """Modelled energy of both devices: power × busy time. It says nothing about idle power or the radio."""
    joules = 0.0
    for where in ("edge", "cloud"):
        busy = timeline.busy_seconds(where)
        power = timeline.deployment.device(where).power_w
        if not measured or (busy and power is None):
            return {"joules": None, "source": "unavailable"}
        joules += busy * (power or 0.0)
    return {"joules": joules, "source": "modelled"}
