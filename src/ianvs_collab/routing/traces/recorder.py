"""Asks both models one query and makes a row of a trace of what they answer.

Times are the models' own compute; what the link adds is known once a deployment is named (see `estimate`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ianvs_collab.grading import Extraction, extract
from ianvs_collab.inference import Query
from ianvs_collab.inference.participants import DEFAULT_EXTRACTOR, Participant
from ianvs_collab.modelserver.types import Generation
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.text import question_text
from ianvs_collab.routing.traces.trace import Side, TraceRow

LOGPROB_DIGITS, SECOND_DIGITS = 4, 6
"""Digits kept: an option's probability to 0.01 %, a microsecond."""

Problem = Callable[[str], None]


@dataclass(frozen=True)
class Sampling:
    """Further answers to each query, drawn at random.

    Attributes:
        count: How many from each model.
        temperature: Above 0.
        seed: Each draw's own seed is made of this, the model's place, the query and the draw's number.

    Raises:
        RouterError: If answers are to be drawn greedily, or there are fewer than none.
    """

    count: int = 0
    temperature: float = 0.7
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what would give the same answer again and again."""
        if self.count < 0:
            raise RouterError(f"samples must be a whole number from 0 up, not {self.count!r}")
        if self.count and not self.temperature > 0:
            raise RouterError(f"sampled answers need a temperature above 0, not {self.temperature!r}")

    def seed_of(self, where: str, query_id: str, number: int) -> int:
        """The seed of one draw, in 0 ... 2^31 - 1, as every back-end takes it."""
        digest = hashlib.sha256(f"{self.seed}:{where}:{query_id}:{number}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:4], "big") >> 1


class Recorder:
    """Makes rows of a trace.

    Args:
        edge: The edge model.
        cloud: The cloud model.
        sampling: Further answers to each query.
    """

    def __init__(self, edge: Participant, cloud: Participant, sampling: Sampling | None = None) -> None:
        self._ends = {"edge": edge, "cloud": cloud}
        self._sampling = sampling or Sampling()

    def row(self, query: Query, gold: str, problem: Problem = lambda _: None) -> TraceRow:
        """Ask both models and grade what they answer.

        Args:
            query: What to ask; it has no timeline afterwards that it had not before.
            gold: Letter of the right option.
            problem: Called with a message for each model that fails; its answer counts as wrong.
        """
        sides: dict[str, Any] = {}
        for where, end in self._ends.items():
            try:
                sides[where] = self._side(end, query, gold)
            except Exception as error:  # noqa: BLE001 - whatever a model raises is this query's outcome
                problem(f"{where} model: {type(error).__name__}: {error}")
                sides[where] = self._failed("timeout" if isinstance(error, TimeoutError) else "error")
        return TraceRow(
            query_id=str(query["query_id"]),
            text=question_text(query),
            subject=str(query.get("subject", "")),
            language=str(query.get("language", "")),
            gold=gold,
            request_bytes=self._ends["cloud"].request_bytes(query),
            **sides,
        )

    def _side(self, end: Participant, query: Query, gold: str) -> Side:
        generation = end.generate(query, replace(end.params, logprobs=True))
        letter = _read(query, generation).letter
        drawn = [_read(query, sample).letter or "" for sample in self._samples(end, query)]
        times = generation.token_times
        return Side(
            quality=float(letter == gold),
            completion=generation.text,
            answer=letter,
            outcome="ok" if letter else "unparsed",
            prompt_tokens=generation.prompt_tokens,
            completion_tokens=generation.completion_tokens,
            prefill_seconds=round(times[0], SECOND_DIGITS) if times else None,
            total_seconds=round(times[-1], SECOND_DIGITS) if times else None,
            logprobs=_rounded(generation.logprobs),
            samples=tuple(float(letter == gold) for letter in drawn),
            sample_answers=tuple(drawn),
        )

    def _samples(self, end: Participant, query: Query) -> list[Generation]:
        drawing, name = self._sampling, str(query["query_id"])
        params = [
            replace(
                end.params,
                temperature=drawing.temperature,
                seed=drawing.seed_of(end.where, name, number),
                logprobs=False,
            )
            for number in range(drawing.count)
        ]
        return [end.generate(query, each) for each in params]

    def _failed(self, outcome: str) -> Side:
        """A side that got no answer, none of its samples either: wrong, all of them."""
        count = self._sampling.count
        return Side(quality=0.0, outcome=outcome, samples=(0.0,) * count, sample_answers=("",) * count)


def _read(query: Query, generation: Generation) -> Extraction:
    return extract(query.get("extractor") or DEFAULT_EXTRACTOR, generation.text, query.get("choices") or {})


def _rounded(logprobs: tuple[float, ...] | None) -> tuple[float, ...] | None:
    # adding 0.0 turns -0.0 into 0.0
    return None if logprobs is None else tuple(round(value, LOGPROB_DIGITS) + 0.0 for value in logprobs)
