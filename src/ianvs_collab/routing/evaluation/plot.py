"""The cost-quality picture of cross-validated routers: one panel for each trace and split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ianvs_collab.charts.cost_quality import Line, Panel, draw
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation.measures import quality_at
from ianvs_collab.routing.evaluation.result import Result

GRID = np.linspace(0, 1, 101)


def grouped(results: Sequence[Result]) -> list[list[Result]]:
    """Results of the same queries in the same folds together, in order of first appearance."""
    groups: dict[tuple[str, str, tuple[str, ...], int], list[Result]] = {}
    for one in results:
        key = (one.trace, str(one.plan), tuple(one.left_out), len(one.edge))
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def heading(one: Result) -> str:
    """Which queries and folds a result is of, in words."""
    without = f" without {', '.join(one.left_out)}" if one.left_out else ""
    return f"{one.trace}{without}: {one.plan}"


def label_of(one: Result, beside: Sequence[Result]) -> str:
    """What a result is called among others: its label is named where that tells it apart."""
    return one.name if len({other.label for other in beside}) == 1 else f"{one.name}, {one.label}"


def panel(results: Sequence[Result], *, resamples: int = 1000, seed: int = 0) -> Panel:
    """Curves of results of the same queries in the same folds, averaged over the folds, with 95 % bands.

    Args:
        results: At least one.
        resamples: Of the bootstrap over queries.
        seed: Of the bootstrap.
    """
    first = results[0]
    lines = []
    for one in results:
        band = one.band(GRID, resamples=resamples, seed=seed)
        lines.append(Line(label_of(one, results), *(values.tolist() for values in band)))
    best = np.mean([quality_at(part.oracle.points(), GRID) for part in first.parts], axis=0)
    lines.append(Line("oracle", GRID.tolist(), best.tolist(), attainable=False))
    return Panel(heading(first), lines=lines, edge=float(best[0]), cloud=float(best[-1]))


def draw_results(
    results: Sequence[Result], kind: Literal["svg", "png"] = "svg", *, resamples: int = 1000, seed: int = 0
) -> bytes:
    """The picture of some results, as the content of a file; the same input gives the same bytes.

    Args:
        results: At least one; those of other queries or folds get a panel of their own.
        kind: Format.
        resamples: Of the bootstrap that the bands come from.
        seed: Of the bootstrap.

    Raises:
        RouterError: If there is no result.
    """
    if not results:
        raise RouterError("there is no result to draw")
    panels = [panel(group, resamples=resamples, seed=seed) for group in grouped(results)]
    return draw(panels, kind, quality="mean quality")
