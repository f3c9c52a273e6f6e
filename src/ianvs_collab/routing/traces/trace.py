"""A trace in memory: rows, and the two arrays that nearly everything is computed from.

A row keeps the right answer apart from what a router may see: `query()` and `edge_answer()` are all that a router is
ever given, and neither holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ianvs_collab.inference import Answer, Query
from ianvs_collab.inference.dataset import choices_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Side:
    """What one of the two models made of a query.

    Attributes:
        quality: Score of the answer, higher is better: 1 or 0 for right or wrong, or any graded score.
        completion: Its text, or None where only the score was recorded.
        answer: Letter of the option it names, if any.
        outcome: `ok`, `unparsed`, `error` or `timeout`.
        prompt_tokens: Tokens read, or None where they were not recorded.
        completion_tokens: Tokens written, likewise.
        prefill_seconds: Measured compute time up to the first token, on the machine that recorded, or None.
        total_seconds: Measured compute time up to the last token, or None.
        logprobs: Natural log-probability of each token written, or None.
        samples: Qualities of further, sampled answers to the same query.
        sample_answers: Letters of the options these name, empty texts where they name none; as many as `samples`.
    """

    quality: float
    completion: str | None = None
    answer: str | None = None
    outcome: str = "ok"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prefill_seconds: float | None = None
    total_seconds: float | None = None
    logprobs: tuple[float, ...] | None = None
    samples: tuple[float, ...] = ()
    sample_answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TraceRow:
    """A query and what both models made of it.

    Attributes:
        query_id: Unique within the trace.
        text: The question with its options, without solved examples before it.
        edge: What the edge model made of it.
        cloud: What the cloud model made of it.
        subject: Its subject, or empty.
        language: Its language, or empty.
        gold: The right answer, or None; for grading alone.
        request_bytes: Size of the request that takes the whole prompt to the cloud, in bytes, or None.
    """

    query_id: str
    text: str
    edge: Side
    cloud: Side
    subject: str = ""
    language: str = ""
    gold: str | None = None
    request_bytes: int | None = None

    def query(self) -> Query:
        """The query as a router sees it before anything is answered."""
        return Query(
            query_id=self.query_id,
            query=self.text,
            messages=[{"role": "user", "content": self.text}],
            choices=choices_of(self.text),
            subject=self.subject,
            language=self.language,
            shots=0,
        )

    def edge_answer(self) -> Answer:
        """The edge's answer as a cascade sees it; it knows its query."""
        side = self.edge
        content: dict[str, Any] = {
            "completion": side.completion or "",
            "answer": side.answer,
            "outcome": side.outcome,
            "logprobs": list(side.logprobs) if side.logprobs is not None else None,
            "usage": {
                "prompt_tokens": side.prompt_tokens,
                "completion_tokens": side.completion_tokens,
            },
            "query_id": self.query_id,
            "subject": self.subject,
            "where": "edge",
        }
        if side.sample_answers:
            content["sample_answers"] = list(side.sample_answers)
        return Answer(content, self.query())


@dataclass(frozen=True)
class Trace:
    """Rows in a fixed order.

    Attributes:
        rows: At least one.
        name: For tables and messages.
        provenance: Models, data, prompts, extractor, machine and time of the recording, as far as they are known.
    """

    rows: Sequence[TraceRow]
    name: str = "trace"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.rows)

    def __iter__(self) -> Iterator[TraceRow]:
        """Rows in order."""
        return iter(self.rows)

    def quality(self, side: Literal["edge", "cloud"]) -> Floats:
        """Qualities of one model's answers, shape (n,)."""
        return np.array([getattr(row, side).quality for row in self.rows], dtype=float)

    @property
    def subjects(self) -> NDArray[np.str_]:
        """Subject of each row, shape (n,)."""
        return np.array([row.subject for row in self.rows])

    def queries(self) -> list[Query]:
        """What a router sees that decides before anything is answered."""
        return [row.query() for row in self.rows]

    def edge_answers(self) -> list[Answer]:
        """What a cascade sees."""
        return [row.edge_answer() for row in self.rows]

    def inputs(self, answered: bool) -> list[Query | Answer]:
        """What a router sees: the edge's answers if it looks at those, queries otherwise."""
        return [*(self.edge_answers() if answered else self.queries())]

    def subset(self, indices: Sequence[int] | NDArray[np.int_]) -> Trace:
        """The rows with these indices, in the order given."""
        return Trace([self.rows[int(index)] for index in indices], self.name, self.provenance)
