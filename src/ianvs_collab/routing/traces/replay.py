"""Runs a router over a trace: who answers each query, how well, and with how many tokens; no model is asked.

A router that decides beforehand spends the tokens of the side it chooses. In a cascade the edge always answers first,
so its tokens are spent in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing.base import Router, RouterError
from ianvs_collab.routing.traces.trace import Floats, Trace

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Replay:
    """What became of each query.

    Attributes:
        to_cloud: Whether the cloud's answer was taken, shape (n,).
        quality: Quality of the answer taken, shape (n,).
        edge_tokens: Prompt and completion tokens of the edge model, shape (n, 2); NaN where they were not recorded.
        cloud_tokens: Those of the cloud model, likewise.
        cascade: Whether the edge answered every query first.
    """

    to_cloud: Bools
    quality: Floats
    edge_tokens: Floats
    cloud_tokens: Floats
    cascade: bool = False

    @property
    def cloud_share(self) -> float:
        """Share of queries that the cloud answered."""
        return float(self.to_cloud.mean())

    @property
    def mean_quality(self) -> float:
        """Mean quality of the answers taken."""
        return float(self.quality.mean())

    @property
    def tokens(self) -> dict[str, dict[str, int | None]]:
        """Tokens spent, by side and by `prompt` and `completion`; None where one of them was not recorded."""
        spent = {"edge": self.edge_tokens, "cloud": self.cloud_tokens}
        return {
            side: {kind: _total(column) for kind, column in zip(("prompt", "completion"), table.T, strict=True)}
            for side, table in spent.items()
        }


class Replayer:
    """A trace made ready for many replays: its columns are read once, and its queries and answers made once.

    Args:
        trace: The trace.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._edge, self._cloud = trace.quality("edge"), trace.quality("cloud")
        self._edge_tokens, self._cloud_tokens = _tokens(trace, "edge"), _tokens(trace, "cloud")

    @cached_property
    def _queries(self) -> list[Query]:
        return self.trace.queries()

    @cached_property
    def _answers(self) -> list[Answer]:
        return self.trace.edge_answers()

    def shown(self, *, cascade: bool = False) -> list[Query] | list[Answer]:
        """What a router is shown: queries asked anew each time, so that no router sees another one's marks on them.

        Args:
            cascade: Show the edge's answers instead.
        """
        if cascade:
            return [Answer(dict(answer), answer.query.fresh()) for answer in self._answers]
        return [query.fresh() for query in self._queries]

    def route(self, to_cloud: Sequence[bool] | Bools, *, cascade: bool = False) -> Replay:
        """Take the decisions as given.

        Args:
            to_cloud: A decision for each query, in the order of the trace.
            cascade: Whether they were taken when the edge had answered.

        Raises:
            RouterError: If there are more or fewer decisions than queries.
        """
        hard = np.asarray(to_cloud, dtype=bool)
        if hard.shape != self._edge.shape:
            raise RouterError(f"{len(hard)} decisions do not fit the {len(self.trace)} queries of {self.trace.name!r}")
        asked = np.ones_like(hard) if cascade else ~hard
        return Replay(
            to_cloud=hard,
            quality=np.where(hard, self._cloud, self._edge),
            edge_tokens=np.where(asked[:, None], self._edge_tokens, 0.0),
            cloud_tokens=np.where(hard[:, None], self._cloud_tokens, 0.0),
            cascade=cascade,
        )

    def threshold(self, scores: Sequence[float] | Floats, threshold: float, *, cascade: bool = False) -> Replay:
        """Send to the cloud what scores at least the threshold.

        Raises:
            RouterError: If a score is not a number, or there are more or fewer than queries.
        """
        values = np.asarray(scores, dtype=float)
        if np.isnan(values).any():
            raise RouterError(
                f"score {int(np.isnan(values).argmax())} is NaN; a score says how much a query wants the cloud"
            )
        return self.route(values >= threshold, cascade=cascade)

    def router(self, router: Router, *, cascade: bool = False) -> Replay:
        """Let a router score all queries as one batch and apply its threshold.

        Args:
            router: The router.
            cascade: Show it the edge's answers instead of the queries.
        """
        scores = router.scores(self.shown(cascade=cascade))
        return self.threshold(scores, router.threshold, cascade=cascade)


def replay(trace: Trace, router: Router, *, cascade: bool = False) -> Replay:
    """Run a router over a trace; for many runs over one trace make a `Replayer`.

    Args:
        trace: The trace.
        router: The router.
        cascade: Whether the router looks at the edge's answers.
    """
    return Replayer(trace).router(router, cascade=cascade)


def _tokens(trace: Trace, where: Literal["edge", "cloud"]) -> Floats:
    sides = [getattr(row, where) for row in trace]
    counts = [(side.prompt_tokens, side.completion_tokens) for side in sides]
    return np.array(counts, dtype=float)  # None becomes NaN


def _total(column: Floats) -> int | None:
    total = column.sum()
    return None if np.isnan(total) else int(total)
