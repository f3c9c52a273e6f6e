"""What a trace holds, and what is odd about it: to be looked at before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.trace import Trace

LEAST_QUALITY = 0.1
"""A subject with four options on which the cloud scores less than this was probably not graded rightly."""

LEAST_ROWS = 10
"""Subjects with fewer queries say too little to warn about."""


@dataclass(frozen=True)
class Group:
    """A part of a trace.

    Attributes:
        name: The subject, or `all`.
        queries: Number of queries.
        edge: Mean quality of the edge's answers.
        cloud: Mean quality of the cloud's answers.
        gain: Share of queries on which the cloud is better.
        loss: Share on which it is worse.
        same: Share on which neither is.
    """

    name: str
    queries: int
    edge: float
    cloud: float
    gain: float
    loss: float
    same: float


@dataclass(frozen=True)
class Description:
    """What `describe` finds.

    Attributes:
        name: Name of the trace.
        whole: All queries.
        subjects: The same by subject, in order of the alphabet; empty if no query has one.
        warnings: What is odd.
    """

    name: str
    whole: Group
    subjects: tuple[Group, ...]
    warnings: tuple[str, ...]

    def summary(self) -> str:
        """The whole in one line, and the warnings."""
        one = self.whole
        head = (
            f"{self.name}: {one.queries} queries, quality edge {one.edge:.3f}, cloud {one.cloud:.3f}; the cloud is "
            f"better on {one.gain:.1%}, worse on {one.loss:.1%}, alike on {one.same:.1%}"
        )
        return "\n".join([head, *(f"warning: {text}" for text in self.warnings)])

    def table(self) -> str:
        """The summary, and a line for each subject."""
        width = max(len(group.name) for group in (*self.subjects, self.whole)) + 2
        head = f"{'subject':{width}}{'n':>7}{'edge':>8}{'cloud':>8}{'gain':>8}{'loss':>8}{'same':>8}"
        lines = [
            f"{group.name:{width}}{group.queries:>7}{group.edge:>8.3f}{group.cloud:>8.3f}"
            f"{group.gain:>8.3f}{group.loss:>8.3f}{group.same:>8.3f}"
            for group in (*self.subjects, self.whole)
        ]
        return "\n".join([self.summary(), "", head, *lines])


def describe(trace: Trace) -> Description:
    """Sum a trace up."""
    edge, cloud, subjects = trace.quality("edge"), trace.quality("cloud"), trace.subjects
    names = [str(name) for name in np.unique(subjects)]
    groups = tuple(_group(name, edge[subjects == name], cloud[subjects == name]) for name in names if names != [""])
    whole = _group("all", edge, cloud)
    return Description(trace.name, whole, groups, tuple(_warnings(trace, whole, groups)))


def require_logprobs(trace: Trace, reader: str) -> None:
    """See that the edge's answers come with log-probabilities.

    Args:
        trace: The trace.
        reader: What needs them, for the message.

    Raises:
        RouterError: If an answered query lacks them.
    """
    lacking = [row.query_id for row in trace if not row.edge.logprobs and row.edge.outcome in ("ok", "unparsed")]
    if lacking:
        raise RouterError(
            f"{reader} needs the edge's token log-probabilities, and {len(lacking)} of {len(trace)} queries of trace "
            f"{trace.name!r} lack them, e.g. {lacking[0]!r}; record a trace with `ianvs trace record`"
        )


def _group(name: str, edge: NDArray[np.float64], cloud: NDArray[np.float64]) -> Group:
    gain, loss = float(np.mean(cloud > edge)), float(np.mean(cloud < edge))
    return Group(name, len(edge), float(edge.mean()), float(cloud.mean()), gain, loss, float(np.mean(cloud == edge)))


def _warnings(trace: Trace, whole: Group, subjects: tuple[Group, ...]) -> Iterator[str]:
    if whole.same == 1:
        yield "both models have the same quality on every query, so no router can be trained or judged"
    for where in ("edge", "cloud"):
        qualities = trace.quality(where)
        if len(trace) > 1 and np.ptp(qualities) == 0:
            yield f"the {where} has quality {qualities[0]:g} on every query; was it graded rightly?"
        failed = sum(getattr(row, where).outcome in ("error", "timeout") for row in trace)
        if failed:
            yield f"{failed} queries got no answer from the {where} (error or timeout); they count as wrong"
    if whole.gain <= whole.loss < 1 and whole.same < 1:
        yield "the cloud is not better than the edge overall; are the two sides the right way round?"
    if set(np.unique([trace.quality("edge"), trace.quality("cloud")])) <= {0.0, 1.0}:
        for group in subjects:
            if group.queries >= LEAST_ROWS and group.cloud < LEAST_QUALITY:
                yield (
                    f"{group.name}: the cloud answers {group.cloud:.1%} of {group.queries} rightly, less than "
                    "guessing: a broken recording? Report results with and without this subject"
                )
    texts = [row.text for row in trace]
    if len(set(texts)) < len(texts):
        yield f"{len(texts) - len(set(texts))} queries repeat the text of another one; a split may part them"
