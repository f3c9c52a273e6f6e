from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import Scorer
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces import Side, Trace, TraceRow


@dataclass
class MeanOfSubject(Scorer):
    """What the cloud was worth on average in a query's subject; the global mean for one it has not seen."""

    name = "mean-of-subject"
    sign: float = 1.0

    def fit(self, inputs: Sequence[Any], target: Target) -> Self:
        worth = target.expected
        subjects = np.array([query["subject"] for query in inputs])
        self.overall_ = float(worth.mean())
        self.means_ = {name: float(worth[subjects == name].mean()) for name in set(subjects)}
        self.saw_ = {query["query_id"] for query in inputs}
        return self

    def scores(self, inputs: Sequence[Any]) -> np.ndarray:
        if self.saw_ & {query["query_id"] for query in inputs}:
            raise RouterError("it was trained on these")
        return self.sign * np.array([self.means_.get(query["subject"], self.overall_) for query in inputs])

    def save(self, folder: Path) -> None:
        raise OSError(folder)

    def restore(self, folder: Path) -> None:
        raise OSError(folder)


def make_trace(per_subject: int = 20, subjects: Sequence[str] = "abcdefgh", seed: int = 0) -> Trace:
    """In each subject the cloud is worth more than in the one before."""
    rng = np.random.default_rng(seed)
    rows = []
    for place, subject in enumerate(subjects):
        edge = rng.random(per_subject) < 0.9 - 0.8 * place / max(1, len(subjects) - 1)
        cloud = rng.random(per_subject) < 0.9
        rows += [
            TraceRow(f"{subject}{i}", f"{subject}?", Side(float(e), logprobs=(-1.0,)), Side(float(c)), subject)
            for i, (e, c) in enumerate(zip(edge, cloud, strict=True))
        ]
    return Trace(rows, "made-up")


@pytest.fixture
def trace() -> Trace:
    return make_trace()


@pytest.fixture
def scorer() -> MeanOfSubject:
    return MeanOfSubject()
