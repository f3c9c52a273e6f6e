"""Labels: what a router is taught, made of the qualities q of the edge's (S) and the cloud's (L) answers.

`det`, `prob` and `trans` are those of Hybrid LLM (Ding et al., ICLR 2024, section 3); y = 1 means that the edge
suffices, so that the worth of the cloud is 1 - y. `gain` and `delta` are about the worth of the cloud directly:

========  ===========================================================  ==========================
label     probability                                                  worth of the cloud
========  ===========================================================  ==========================
`det`     y = 1[q(S) >= q(L) - eps]                                    1 - y
`prob`    y = Pr[q(S) >= q(L)] over all pairs of repeated samples      1 - y
`trans`   y(t) = Pr[q(S) >= q(L) - t], t where the labels differ most  1 - y
`gain`    g = Pr[q(L) > q(S) + margin]                                 g
`delta`   g as above, l = Pr[q(S) > q(L) + margin]                     g - l
========  ===========================================================  ==========================
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats, Trace

__all__ = ["LABELS", "make_target", "spread", "target_of"]

Samples = Sequence[Sequence[float]] | Floats
"""Qualities of repeated samples: one row a query; rows may differ in length, none is empty."""

_BINARY = np.array([0.0, 1.0])
_SAMPLED = ("prob", "trans")


def make_target(
    name: str,
    edge: Sequence[float] | Floats,
    cloud: Sequence[float] | Floats,
    *,
    edge_samples: Samples | None = None,
    cloud_samples: Samples | None = None,
    **options: Any,
) -> Target:
    """Label queries by the qualities of both models' answers.

    Args:
        name: `det`, `prob`, `trans`, `gain` or `delta`.
        edge: Quality of the edge's answer to each query, shape (n,), higher is better.
        cloud: Quality of the cloud's answers, shape (n,).
        edge_samples: Qualities of repeated samples of the edge's answers. Where they are given, labels other than
            `det` are probabilities over all pairs of an edge and a cloud sample; a side without samples stands there
            with its one answer. `prob` needs samples of one side at least.
        cloud_samples: The same for the cloud.
        **options: `det`: eps (default 0). `trans`: grid, how many values of t are tried at most (default 200). `gain`
            and `delta`: margin by which one side must be better (default 0).

    Raises:
        RouterError: If there is no such label or option, lengths differ, a quality is not finite, samples are missing,
            or all labels come out equal, so that nothing can be learned from them.
    """
    if name not in LABELS:
        raise RouterError(f"there is no label {name!r}; labels are {', '.join(LABELS)}")
    _check_options(name, options)
    qualities = np.asarray(edge, dtype=float), np.asarray(cloud, dtype=float)
    _check_qualities(*qualities)
    samples = edge_samples, cloud_samples
    if name == "prob" and edge_samples is None and cloud_samples is None:
        raise RouterError(
            "label 'prob' needs repeated samples of the answers: record the trace with `--samples K`, or use 'det'"
        )
    sides = "edge", "cloud"
    tables = [
        _table(*given) for given in zip(sides, qualities, samples if name != "det" else (None, None), strict=True)
    ]
    target = LABELS[name](_gaps(*tables), **options)
    _check_labels(target)
    return target


def target_of(trace: Trace, name: str, *, sampled: bool | None = None, **options: Any) -> Target:
    """Label the queries of a trace.

    Args:
        trace: What both models answered.
        name: As in `make_target`.
        sampled: Whether labels are probabilities over the recorded samples; None for `prob` and `trans` alone, where
            there are any.
        **options: As in `make_target`.

    Raises:
        RouterError: As `make_target`; or if samples were recorded for some queries and not for others.
    """
    wanted = name in _SAMPLED if sampled is None else sampled
    edge_samples = _samples_of(trace, "edge") if wanted else None
    cloud_samples = _samples_of(trace, "cloud") if wanted else None
    if sampled and edge_samples is None and cloud_samples is None:
        raise RouterError(f"trace {trace.name!r} holds no repeated samples; record it with `--samples K`")
    qualities = trace.quality("edge"), trace.quality("cloud")
    return make_target(name, *qualities, edge_samples=edge_samples, cloud_samples=cloud_samples, **options)


def spread(labels: Floats) -> float:
    """Mean absolute difference of all pairs, (1/N^2) sum_ij |y_i - y_j|, in O(N log N).

    In ascending order the k-th of N labels (from 0) is the larger one of k pairs and the smaller one of N - 1 - k.
    """
    ordered, n = np.sort(labels), len(labels)
    return float(2 * np.dot(2 * np.arange(n) - n + 1, ordered) / n**2)


class _Gaps:
    """Differences q(L) - q(S) of all pairs of samples: one flat array, and whose they are.

    Args:
        values: Differences, shape (m,).
        owners: Query of each, shape (m,), in 0 ... n - 1; every query has at least one.
    """

    def __init__(self, values: Floats, owners: NDArray[np.intp]) -> None:
        self.values, self.owners = values, owners
        self.counts = np.bincount(owners)

    def share(self, holds: NDArray[np.bool_]) -> Floats:
        """Share of each query's pairs for which something holds, shape (n,)."""
        shares: Floats = np.bincount(self.owners, weights=holds) / self.counts
        return shares


def _det(gaps: _Gaps, eps: float = 0.0) -> Target:
    return _suffices("det", gaps.share(gaps.values <= eps))


def _prob(gaps: _Gaps) -> Target:
    return _suffices("prob", gaps.share(gaps.values <= 0))


def _trans(gaps: _Gaps, grid: int = 200) -> Target:
    """Hybrid LLM's equation 3: the t that pulls the labels of different queries furthest apart; the smallest if tied.

    y(t) changes only where t meets a gap, so the gaps themselves are tried, unless there are more than `grid` of them.
    """
    tried = np.unique(gaps.values[gaps.values > 0])
    if len(tried) > grid:
        tried = np.linspace(0, tried[-1], grid)
    labels = [gaps.share(gaps.values <= t) for t in (0.0, *tried)]
    best = int(np.argmax([spread(y) for y in labels]))
    return _suffices(f"trans(t={(0.0, *tried)[best]:.4g})", labels[best])


def _gain(gaps: _Gaps, margin: float = 0.0) -> Target:
    gain = gaps.share(gaps.values > margin)
    return Target("gain", np.column_stack([1 - gain, gain]), _BINARY)


def _delta(gaps: _Gaps, margin: float = 0.0) -> Target:
    loss, gain = gaps.share(gaps.values < -margin), gaps.share(gaps.values > margin)
    return Target("delta", np.column_stack([loss, 1 - loss - gain, gain]), np.array([-1.0, 0.0, 1.0]))


LABELS: dict[str, Callable[..., Target]] = {
    "det": _det,
    "prob": _prob,
    "trans": _trans,
    "gain": _gain,
    "delta": _delta,
}
"""How each label is made of the differences q(L) - q(S)."""


def _suffices(name: str, edge_suffices: Floats) -> Target:
    return Target(name, np.column_stack([edge_suffices, 1 - edge_suffices]), _BINARY)


def _gaps(edge: list[Floats], cloud: list[Floats]) -> _Gaps:
    values = [np.subtract.outer(there, here).ravel() for here, there in zip(edge, cloud, strict=True)]
    return _Gaps(np.concatenate(values), np.repeat(np.arange(len(values)), [len(value) for value in values]))


def _table(side: str, quality: Floats, samples: Samples | None) -> list[Floats]:
    """One array of qualities a query: its samples, or its one answer."""
    if samples is None:
        return list(quality[:, None])
    if len(samples) != len(quality):
        raise RouterError(f"{len(samples)} rows of {side} samples do not fit {len(quality)} queries")
    table = [np.asarray(row, dtype=float) for row in samples]
    for number, row in enumerate(table):
        if row.ndim != 1 or not len(row) or not np.isfinite(row).all():
            raise RouterError(f"query {number}: {side} samples must be one or more finite numbers, not {row.tolist()}")
    return table


def _samples_of(trace: Trace, side: Literal["edge", "cloud"]) -> list[tuple[float, ...]] | None:
    samples = [getattr(row, side).samples for row in trace]
    without = [row.query_id for row, given in zip(trace, samples, strict=True) if not given]
    if len(without) == len(samples):
        return None
    if without:
        raise RouterError(
            f"trace {trace.name!r}: {len(without)} queries, {without[0]!r} for one, have no {side} samples and others "
            "have; record them too, or drop them"
        )
    return samples


def _check_options(name: str, options: dict[str, Any]) -> None:
    known = list(inspect.signature(LABELS[name]).parameters)[1:]
    for option, value in options.items():
        if option not in known:
            raise RouterError(f"label {name!r} has no option {option!r}; it has {', '.join(known) or 'none'}")
        if option == "grid" and not (isinstance(value, int) and value >= 2):  # noqa: PLR2004 - a grid has two ends
            raise RouterError(f"label {name!r}: grid must be a whole number from 2 up, not {value!r}")
        if not isinstance(value, int | float) or not 0 <= value < np.inf:
            raise RouterError(f"label {name!r}: {option} must be a number from 0 up, not {value!r}")


def _check_qualities(edge: Floats, cloud: Floats) -> None:
    if edge.ndim != 1 or edge.shape != cloud.shape:
        raise RouterError(f"qualities must be two arrays of one length, not of shapes {edge.shape} and {cloud.shape}")
    if not len(edge):
        raise RouterError("there is no query to label")
    for side, quality in (("edge", edge), ("cloud", cloud)):
        wrong = np.flatnonzero(~np.isfinite(quality))
        if len(wrong):
            raise RouterError(
                f"query {wrong[0]}: the {side}'s quality must be a finite number, not {quality[wrong[0]]}"
            )


def _check_labels(target: Target) -> None:
    worth = target.expected
    if np.ptp(worth) < 1e-12:  # noqa: PLR2004 - equal but for rounding
        raise RouterError(
            f"label {target.name!r}: all {len(worth)} queries have the same label (the cloud is worth {worth[0]:g} for "
            "each), so there is nothing to learn; take more queries, another label or another pair of models"
        )
