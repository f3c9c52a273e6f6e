"""A small trace in which sums need the cloud, and a scorer that can learn just that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ianvs_collab.inference import Query
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import Input, Scorer, scorer
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.text import question_text
from ianvs_collab.routing.traces import Side, Trace, TraceRow


def toy_trace(count: int = 100, name: str = "toy", seed: int = 0) -> Trace:
    """Of each ten queries four are sums, which only the cloud gets right, and five capitals, which both get right.

    One in ten is a riddle, which only the edge gets right.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        kind = ("sum", "sum", "sum", "sum", "riddle", *["capital"] * 5)[index % 10]
        first = float(rng.uniform(0.01, 0.02))
        timing = {"prompt_tokens": 20, "completion_tokens": 8, "prefill_seconds": first, "total_seconds": 3 * first}
        edge = Side(float(kind != "sum"), "x", "A", logprobs=(-0.1, -2.0 if kind == "sum" else -0.2), **timing)
        cloud = Side(float(kind != "riddle"), "y", "A", **timing)
        text = f"{name} {kind} number {index}\nA. {index}\nB. {index + 1}\nAnswer:"
        rows.append(TraceRow(f"{name}-{index}", text, edge, cloud, subject=kind, language="en", gold="A"))
    return Trace(rows, name)


@scorer("toy-word")
@dataclass
class WordScorer(Scorer):
    """Mean worth of the queries with the same word at a place.

    Attributes:
        place: Which word of the question counts.
    """

    place: int = 1

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        words = np.array([self._word(one) for one in inputs])
        self.means_ = {str(w): float(target.expected[words == w].mean()) for w in np.unique(words)}
        return self

    def scores(self, inputs: Sequence[Input]) -> np.ndarray:
        return np.array([self.means_.get(self._word(one), 0.0) for one in inputs], dtype=float)

    def save(self, folder: Path) -> None:
        (folder / "means.json").write_text(json.dumps(self.means_))

    def restore(self, folder: Path) -> None:
        try:
            self.means_ = json.loads((folder / "means.json").read_text())
        except OSError as error:
            raise RouterError(f"{error.filename}: {error.strerror}") from error

    def _word(self, one: Input) -> str:
        return question_text(Query.of(one)).split()[self.place]


@scorer("toy-answer")
@dataclass
class LeastProbable(WordScorer):
    """Looks at the edge's answer: how improbable its least probable token is."""

    reads_answer = True

    def scores(self, inputs: Sequence[Input]) -> np.ndarray:
        return np.array([-min(one["logprobs"]) for one in inputs], dtype=float)


@scorer("toy-memory")
@dataclass
class Memory(WordScorer):
    """Knows by heart what it was trained on and nothing else."""

    def _word(self, one: Input) -> str:
        return str(Query.of(one)["query_id"])
