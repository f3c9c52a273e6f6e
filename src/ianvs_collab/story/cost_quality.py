"""Test cases as points over the share of queries that the cloud answered, one panel for each deployment.

A network changes how long answers take, and only for routers that look at it which model gives them. Deployments under
which every case has the same share and accuracy are therefore one panel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ianvs_collab.charts.cost_quality import Panel, Point, pareto, proportion
from ianvs_collab.story.cells import metric_cell, number
from ianvs_collab.story.comparison import deployment, is_oracle, reference
from ianvs_collab.story.evidence import Evidence

ACCURACY, EDGE_RATIO = "Accuracy", "Edge Ratio"
WHOLE = 100  # what the metric Edge Ratio gives when the edge answers everything


def panels(cases: Sequence[Evidence]) -> list[Panel]:
    """One panel for each deployment with at least two cases that have both an accuracy and a cloud share.

    Args:
        cases: Those with both metrics on the leaderboard, and records that tell right from wrong, are drawn.
    """
    groups: dict[str, list[tuple[Evidence, Point]]] = {}
    for case in cases:
        point = _point(case)
        if point:
            groups.setdefault(deployment(case.case.row), []).append((case, point))
    made = [_panel(name, group) for name, group in groups.items() if len(group) > 1]
    return _merged(made)


def front(panel: Panel) -> list[str]:
    """Labels of the points that no other one beats with as few queries to the cloud, fewest first."""
    return [point.label for point in pareto(panel.points)]


def _point(case: Evidence) -> Point | None:
    metrics = case.case.row.metrics
    at_edge = number(metric_cell(metrics.get(EDGE_RATIO)))
    if at_edge is None or number(metric_cell(metrics.get(ACCURACY))) is None or not case.correct:
        return None
    right, total = sum(case.correct.values()), len(case.correct)
    label, share = _label(case), 1 - at_edge / WHOLE
    return proportion(label, right, total, share, attainable=not is_oracle(case.case.row))


def _label(case: Evidence) -> str:
    """The case's name without its deployment, which is the panel's."""
    if not deployment(case.case.row):
        return case.case.label
    label = re.sub(r"\bdeployment=[^,)]*(, )?", "", case.case.label)
    return label.replace(", )", ")").removesuffix(" ()")


def _panel(name: str, group: Sequence[tuple[Evidence, Point]]) -> Panel:
    ends = {reference(case.case.row): point.quality for case, point in group}
    return Panel(name, [point for _, point in group], edge=ends.get("edge only"), cloud=ends.get("cloud only"))


def _merged(made: Sequence[Panel]) -> list[Panel]:
    merged: dict[Panel, list[str]] = {}
    for panel in made:
        merged.setdefault(replace(panel, title="", points=tuple(panel.points)), []).append(panel.title)
    return [replace(panel, title=", ".join(filter(None, titles))) for panel, titles in merged.items()]
