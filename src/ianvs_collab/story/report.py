"""`report.md`: what was compared on what, who won, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ianvs_collab.charts.cost_quality import Panel, draw
from ianvs_collab.story import cost_quality, markdown
from ianvs_collab.story.comparison import (
    Comparison,
    Contest,
    Key,
    choose_key,
    contests,
    deployment,
    interval,
    is_oracle,
    reference,
    trade_off,
    undominated,
)
from ianvs_collab.story.error import StoryError
from ianvs_collab.story.evidence import CaseSummary, Evidence, collect
from ianvs_collab.story.files import replace_file
from ianvs_collab.story.notes import notes
from ianvs_collab.story.pictures import draw_trade_off
from ianvs_collab.story.verdict import verdict

__all__ = ["CaseSummary", "write_report"]

PICTURE = "trade_off.png"
COST_QUALITY = "cost-quality.svg"


def write_report(
    path: str | Path,
    cases: Sequence[CaseSummary],
    provenance: Mapping[str, Any],
    sort_by: Sequence[tuple[str, str]] = (),
) -> None:
    """Writes the report, and beside it pictures of accuracy over latency and over cloud share, where they are known.

    Args:
        path: The report, normally `<workspace>/<job name>/report.md`.
        cases: The finished test cases in order of execution.
        provenance: What the run was made of (data digests, machine, versions, seed, ...): nested maps and lists of
            short values; longer texts are left to run.json.
        sort_by: The job's sort keys, (metric, direction); the first that a case has a number for decides. Without one
            the metric `Accuracy` does.

    Raises:
        StoryError: There is nothing to report, or the report cannot be written.
        RecordError: Records cannot be read.
    """
    if not cases:
        raise StoryError(f"{path}: no test case has finished, so there is nothing to report")
    key = choose_key([case.row for case in cases], sort_by)
    evidence = [collect(case, key.metric if key else None) for case in cases]
    points = trade_off(evidence)
    if points:
        draw_trade_off(Path(path).with_name(PICTURE), points)
    panels = cost_quality.panels(evidence)
    if panels:
        replace_file(Path(path).with_name(COST_QUALITY), draw(panels))
    replace_file(Path(path), _render(evidence, provenance, key, sort_by, points=points, panels=panels))


def _render(
    evidence: Sequence[Evidence],
    provenance: Mapping[str, Any],
    key: Key | None,
    sort_by: Sequence[tuple[str, str]],
    *,
    points: Mapping[str, list[tuple[str, float, float]]],
    panels: Sequence[Panel],
) -> str:
    environment = Environment(  # noqa: S701 - Markdown for people, not HTML for a browser
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    attainable = [one for one in evidence if not is_oracle(one.case.row)]
    found = contests(evidence, key, sort_by) if key else []
    return environment.get_template("report.md.j2").render(
        headlines=[(contest.deployment, verdict(contest, key)) for contest in found if key],
        facts=_facts(evidence),
        provenance=list(markdown.entries(provenance)),
        key=key,
        comparisons=[(contest.deployment, _comparison_table(contest, key)) for contest in found if key],
        metrics=_metric_table(evidence),
        outcomes=_outcome_table(evidence),
        picture=PICTURE if points else None,
        front={name: map(markdown.cell, undominated(series)) for name, series in trade_off(attainable).items()},
        cost_quality=COST_QUALITY if panels else None,
        cheapest=[(panel.title, map(markdown.cell, cost_quality.front(panel))) for panel in panels],
        notes=notes(evidence, key),
    )


def _facts(evidence: Sequence[Evidence]) -> list[str]:
    deployments = list(dict.fromkeys(filter(None, (deployment(one.case.row) for one in evidence))))
    tiers = sorted({tier for one in evidence for tier in one.tiers})
    queries = sorted({one.answers for one in evidence if one.answers})
    facts = [f"test cases: {len(evidence)}", f"queries in each: {', '.join(map(str, queries)) or 'not recorded'}"]
    if deployments:
        facts.append(f"deployments: {', '.join(deployments)}")
    return facts + ([f"tier: {', '.join(tiers)}"] if tiers else [])


def _comparison_table(contest: Contest, key: Key) -> str:
    compared = {id(one.evidence): one for one in contest.comparisons}
    header = ["", "case", key.metric, "95 % interval", "winner minus case", "test", "p", "reference"]
    rows = [
        _comparison_row(place, one, compared.get(id(one)), key) for place, one in enumerate(contest.ordered, start=1)
    ]
    return markdown.table([markdown.cell(name) for name in header], rows)


def _comparison_row(place: int, one: Evidence, comparison: Comparison | None, key: Key) -> list[str]:
    label, row = markdown.cell(one.case.label), one.case.row
    around = interval(one, key)
    shown = f"{markdown.number(around.low)} to {markdown.number(around.high)}" if around else markdown.NOTHING
    if comparison is None:
        tested = [markdown.NOTHING] * 3
        label = f"**{label}** (winner)"
    else:
        mark = " \\*" if comparison.significant else ""
        tested = [
            markdown.number(comparison.difference),
            comparison.test,
            f"{markdown.p_value(comparison.p_value)}{mark}",
        ]
    return [str(place), label, markdown.number(row.metrics.get(key.metric)), shown, *tested, reference(row) or ""]


def _metric_table(evidence: Sequence[Evidence]) -> str:
    names = list(dict.fromkeys(name for one in evidence for name in one.case.row.metrics))
    rows = [
        [markdown.cell(one.case.label), *(markdown.number(one.case.row.metrics.get(name)) for name in names)]
        for one in evidence
    ]
    return markdown.table(["case", *map(markdown.cell, names)], rows)


def _outcome_table(evidence: Sequence[Evidence]) -> str:
    kinds = ("ok", "unparsed", "error", "timeout")
    rows = [
        [
            markdown.cell(one.case.label),
            *map(str, [one.answers, *(one.outcomes.get(kind, 0) for kind in kinds), one.shared]),
        ]
        for one in evidence
    ]
    return markdown.table(["case", "queries", *kinds, "shared"], rows)
