"""The report's picture of accuracy over cloud share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.records import Record, RecordWriter
from ianvs_collab.statistics import wilson
from ianvs_collab.story import RankRow
from ianvs_collab.story.cost_quality import front, panels
from ianvs_collab.story.evidence import CaseSummary, collect
from ianvs_collab.story.report import write_report


def case(
    folder: Path, miner: str, right: int, edge_ratio: Any, deployment: str | None = "wifi", **others: Any
) -> CaseSummary:
    """A test case of ten queries, of which the first `right` are answered correctly."""
    home = folder / f"{miner}-{deployment}"
    with RecordWriter.open(home / "records.jsonl") as writer:
        for index in range(10):
            answer = {"completion": "x", "answer": "A" if index < right else "B", "where": "edge"}
            writer.append(Record(index, str(index), "edge", "ok", [False, answer, answer, None], "A", None, 0.1))
    metrics = {"Accuracy": 10.0 * right, "Edge Ratio": edge_ratio, **others}
    told = f"deployment={deployment}, share=1" if deployment else "share=1"
    row = RankRow(
        algorithm=miner,
        paradigm="jointinference",
        metrics={name: value for name, value in metrics.items() if value is not ...},
        modules={"hard_example_mining": miner},
        hyperparameters={"edgemodel-deployment": f"d/{deployment}.yaml"} if deployment else {},
        url=str(home),
    )
    return CaseSummary(f"{miner} ({told})", row, home / "records.jsonl")


def ladder(folder: Path, deployment: str | None = "wifi", middle: int = 7) -> list[CaseSummary]:
    return [
        case(folder, "EdgeOnly", 4, 100.0, deployment),
        case(folder, "Mine", middle, 60, deployment),
        case(folder, "CloudOnly", 9, 0, deployment),
        case(folder, "OracleRouter", 10, 50, deployment),
    ]


def test_cases_become_points_with_their_intervals(tmp_path: Path) -> None:
    (panel,) = panels([collect(one) for one in ladder(tmp_path)])
    assert [(p.label, p.share, p.quality, p.attainable) for p in panel.points] == [
        ("EdgeOnly (share=1)", 0.0, 0.4, True),
        ("Mine (share=1)", 0.4, 0.7, True),
        ("CloudOnly (share=1)", 1.0, 0.9, True),
        ("OracleRouter (share=1)", 0.5, 1.0, False),
    ]
    assert (panel.points[1].low, panel.points[1].high) == wilson(7, 10)
    assert (panel.edge, panel.cloud, panel.title) == (0.4, 0.9, "wifi")
    assert front(panel) == ["EdgeOnly (share=1)", "Mine (share=1)", "CloudOnly (share=1)"]


def test_deployments_that_change_nothing_are_one_panel(tmp_path: Path) -> None:
    cases = [*ladder(tmp_path), *ladder(tmp_path, "4g"), *ladder(tmp_path, "lan", middle=6)]
    assert [panel.title for panel in panels([collect(one) for one in cases])] == ["wifi, 4g", "lan"]


def test_without_a_deployment_labels_stay_whole(tmp_path: Path) -> None:
    (panel,) = panels([collect(one) for one in ladder(tmp_path, None)])
    assert panel.title == ""
    assert panel.points[0].label == "EdgeOnly (share=1)"


@pytest.mark.parametrize(
    ("label", "short"),
    [
        ("x (deployment=wifi)", "x"),
        ("x (a=1, deployment=wifi)", "x (a=1)"),
        ("x (a=1, deployment=wifi, b=2)", "x (a=1, b=2)"),
        ("x", "x"),
    ],
)
def test_labels_lose_the_deployment_that_the_title_names(tmp_path: Path, label: str, short: str) -> None:
    one, *others = ladder(tmp_path)
    named = [CaseSummary(label, one.row, one.records), *others]
    assert panels([collect(each) for each in named])[0].points[0].label == short


def test_ends_that_did_not_run_draw_no_line_of_chance(tmp_path: Path) -> None:
    (panel,) = panels([collect(one) for one in ladder(tmp_path)[1:]])
    assert panel.edge is None
    assert panel.cloud == 0.9


@pytest.mark.parametrize("edge_ratio", [None, ..., "n/a"])
def test_what_has_no_cloud_share_is_no_point(tmp_path: Path, edge_ratio: Any) -> None:
    cases = [case(tmp_path, "A", 5, edge_ratio), case(tmp_path, "B", 6, edge_ratio)]
    assert panels([collect(one) for one in cases]) == []


def test_a_single_point_is_no_picture(tmp_path: Path) -> None:
    assert panels([collect(case(tmp_path, "A", 5, 50.0))]) == []


def test_without_records_or_accuracy_there_is_no_point(tmp_path: Path) -> None:
    bare = [CaseSummary(one.label, one.row) for one in ladder(tmp_path)]
    silent = [case(tmp_path, name, 5, 50.0, Accuracy=...) for name in ("A", "B")]
    assert panels([collect(one) for one in [*bare, *silent]]) == []


def test_the_report_shows_it(tmp_path: Path) -> None:
    cases = [*ladder(tmp_path), *ladder(tmp_path, "4g")]
    write_report(tmp_path / "report.md", cases, {})
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "![Accuracy over the share of queries answered by the cloud](cost-quality.svg)" in text
    assert (
        "- wifi, 4g: no case is more accurate with as few queries to the cloud than "
        "EdgeOnly (share=1) or Mine (share=1) or CloudOnly (share=1).\n" in text
    )
    first = (tmp_path / "cost-quality.svg").read_bytes()
    write_report(tmp_path / "report.md", cases, {})
    assert (tmp_path / "cost-quality.svg").read_bytes() == first


def test_no_cloud_share_no_section(tmp_path: Path) -> None:
    write_report(tmp_path / "report.md", [case(tmp_path, "A", 5, ...), case(tmp_path, "B", 6, ...)], {})
    assert "cost-quality" not in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert not (tmp_path / "cost-quality.svg").exists()
