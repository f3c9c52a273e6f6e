"""Self-consistency: ask the edge model again and again, and trust an answer that comes back.

The share of sampled answers that name the same option as the answer itself is its confidence (after Wang et al.,
"Self-Consistency Improves Chain of Thought Reasoning in Language Models", ICLR 2023, where the vote is the answer).
Asking again is not free: the samples run on the edge device, one after the other, before the user sees anything.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ianvs_collab.grading import extract
from ianvs_collab.inference import Answer, Query
from ianvs_collab.inference.participants import DEFAULT_EXTRACTOR, Participant, hold_back
from ianvs_collab.routing.base import Router, RouterError
from ianvs_collab.routing.cascade import edge_answer


class ConsistencyRouter(Router):
    """Sends a query to the cloud if too few samples of the edge model agree with the edge's answer.

    What the samples cost is in the record: `samples` has their number, tokens and seconds, `sample_answers` their
    options; the timeline has their computing time, and with it latency and energy.

    Args:
        agreement: Share of samples that must name the same option for an answer to stay at the edge, 0 to 1.
        samples: Number of samples.
        temperature: Of the sampler, above 0.
        top_p: Nucleus sampling.
        seed: Of the first sample; each further one has the next.

    Raises:
        RouterError: If an argument is out of range.
    """

    def __init__(
        self, agreement: float = 0.6, samples: int = 5, temperature: float = 1.0, top_p: float = 1.0, seed: int = 0
    ) -> None:
        for right, complaint in (
            (0 <= agreement <= 1, f"agreement must lie between 0 and 1, not {agreement!r}"),
            (samples >= 1, f"samples must be at least 1, not {samples!r}"),
            (temperature > 0, f"temperature must be above 0, not {temperature!r}: greedy samples always agree"),
        ):
            if not right:
                raise RouterError(f"ConsistencyRouter: {complaint}")
        super().__init__(threshold=math.nextafter(1 - agreement, math.inf))
        self.samples = samples
        self.temperature = temperature
        self.top_p = top_p
        self.seed = seed

    def __call__(self, data: Any) -> bool:
        """Sample, decide, and let the user wait for it."""
        answer = edge_answer(data, "ConsistencyRouter")
        if "sample_answers" not in answer:
            self._sample(answer)
        hard = super().__call__(answer)
        if not hard:
            hold_back(answer)
        return hard

    def score(self, data: Query | Answer) -> float:
        """Share of samples that disagree with the edge's answer; infinite if no option can be read from that.

        Raises:
            RouterError: If there is no answer to look at, or nothing was sampled.
        """
        answer = edge_answer(data, "ConsistencyRouter")
        votes = answer.get("sample_answers")
        if not votes:
            raise RouterError("ConsistencyRouter: the trace holds no sampled answers; record it with --samples 5")
        if answer.get("answer") is None:
            return math.inf
        return float(1 - sum(vote == answer["answer"] for vote in votes) / len(votes))

    def _sample(self, answer: Answer) -> None:
        """Ask the edge model for samples, and note them in the answer and in the record of the edge's answer."""
        query = answer.query
        participant, original = query.latest or (None, None)
        if participant is None or original is None or participant.where != "edge":
            raise RouterError("ConsistencyRouter can ask the edge model again only if that is this project's EdgeModel")
        letters, cost = self._ask(participant, query)
        for record in (original, answer):
            record["sample_answers"] = list(letters)
            record["samples"] = dict(cost)

    def _ask(self, participant: Participant, query: Query) -> tuple[list[str], dict[str, float]]:
        letters: list[str] = []
        cost: dict[str, float] = {"count": self.samples, "prompt_tokens": 0, "completion_tokens": 0, "seconds": 0.0}
        for seed in range(self.seed, self.seed + self.samples):
            params = replace(
                participant.params, temperature=self.temperature, top_p=self.top_p, seed=seed, logprobs=False
            )
            generation = participant.generate(query, params)
            seconds = generation.token_times[-1] if generation.token_times else 0.0
            query.timeline.compute("edge", seconds, "sample")
            extractor = query.get("extractor", DEFAULT_EXTRACTOR)
            letters.append(extract(extractor, generation.text, query.get("choices") or {}).letter or "")
            cost["prompt_tokens"] += generation.prompt_tokens
            cost["completion_tokens"] += generation.completion_tokens
            cost["seconds"] += seconds
        return letters, cost
