"""Resampled sets of queries, and what a measure says of each: many at once, from one draw for all folds and routers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation.measures import Measure
from ianvs_collab.routing.evaluation.scored import Indices, Scored
from ianvs_collab.routing.traces.trace import Floats

CHUNK = 100_000  # draws held at once: 0.8 MB an array, which stays in the processor's cache


def resampled(
    sides: Sequence[Sequence[Scored]],
    wanted: Sequence[Measure],
    resamples: int,
    seed: int,
    clusters: ArrayLike | None,
) -> list[Floats]:
    """The measures of each router, averaged over its folds, in each resample: one (measures, resamples) a router."""
    drawn: list[list[Floats]] = [[] for _ in sides]
    for counts in draws(sides[0], resamples, seed, clusters):
        for side, found in zip(sides, drawn, strict=True):
            values = [values_of(fold, wanted, counts[:, fold.rows]) for fold in side]
            found.append(mean_over_folds(np.array(values)))
    return [np.concatenate(found, axis=-1) for found in drawn]


def values_of(fold: Scored, wanted: Sequence[Measure], counts: Floats | None = None) -> Floats:
    """Measures of a fold's curve, or of as many curves as `counts`, shape (resamples, n), has rows.

    Returns:
        Shape (measures,) or (measures, resamples).
    """
    points = fold.points(counts)
    best = fold.oracle.points(counts) if any(one.per_oracle for one in wanted) else points
    return np.array([one.of(points, best) for one in wanted])


def mean_over_folds(values: Floats) -> Floats:
    """Mean over the first axis of what has a value; not-a-number where nothing has."""
    known = ~np.isnan(values)
    total: Floats = np.where(known, values, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    return total


def draws(folds: Sequence[Scored], resamples: int, seed: int, clusters: ArrayLike | None) -> Iterator[Floats]:
    """How often each query of the trace is drawn, shape (some resamples, rows), until all resamples are made."""
    rows = 1 + max(int(fold.rows.max()) for fold in folds)
    present = np.zeros(rows, dtype=bool)
    for fold in folds:
        present[fold.rows] = True
    unit = _units(present, clusters)
    units = int(unit.max()) + 1
    step = max(1, CHUNK // rows)
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        picked = generator.integers(units, size=(count, units)) + units * np.arange(count)[:, None]
        times = np.bincount(picked.ravel(), minlength=count * units).reshape(count, units)
        yield times[:, unit] * present.astype(float)


def _units(present: NDArray[np.bool_], clusters: ArrayLike | None) -> Indices:
    """Which unit of resampling each row belongs to: itself, or its cluster. Absent rows share another's."""
    unit = np.zeros(len(present), dtype=np.intp)
    if clusters is None:
        unit[present] = np.arange(int(present.sum()))
        return unit
    names = np.asarray(clusters)
    if names.ndim != 1 or len(names) < len(present):
        raise RouterError(f"clusters must name one for each of the trace's {len(present)} queries, not {names.shape}")
    unit[present] = np.unique(names[: len(present)][present], return_inverse=True)[1]
    return unit
