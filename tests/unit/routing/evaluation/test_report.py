"""Picture and report of cross-validated routers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation import Result, compare, cross_validate, without_subjects
from ianvs_collab.routing.evaluation.plot import GRID, draw_results, grouped, heading, panel
from ianvs_collab.routing.evaluation.report import write_report
from ianvs_collab.routing.traces import Trace

from .conftest import MeanOfSubject, make_trace


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return compare(make_trace(), {"good": MeanOfSubject(), "bad": MeanOfSubject(sign=-1.0)}, ["delta", "gain"])


def report(results: Sequence[Result], folder: Path) -> str:
    path = write_report(results, folder, resamples=60)
    assert path == folder / "report.md"
    return path.read_text(encoding="utf-8")


def cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.strip("|").split("|")]


class TestPanel:
    def test_curves_are_means_over_folds_and_labels_tell_results_apart(self, results: list[Result]) -> None:
        drawn = panel(results, resamples=20)
        assert [line.label for line in drawn.lines] == [
            "good, delta",
            "good, gain",
            "bad, delta",
            "bad, gain",
            "oracle",
        ]
        assert drawn.lines[0].qualities[50] == pytest.approx(results[0].mean("quality50"))
        assert drawn.edge == pytest.approx(np.mean([part.edge.mean() for part in results[0].parts]))
        assert drawn.cloud == pytest.approx(drawn.lines[-1].qualities[-1])
        assert not drawn.lines[-1].attainable
        assert list(drawn.lines[-1].shares) == GRID.tolist()
        assert all(
            best >= q - 1e-9 for q, best in zip(drawn.lines[0].qualities, drawn.lines[-1].qualities, strict=True)
        )

    def test_one_label_needs_no_telling(self, results: list[Result]) -> None:
        assert panel([results[0]], resamples=5).lines[0].label == "good"

    def test_other_folds_get_a_panel_of_their_own(self, results: list[Result], trace: Trace) -> None:
        other = cross_validate(trace, MeanOfSubject(), split="leave-subjects-out", repeats=2, folds=4)
        fewer = cross_validate(without_subjects(trace, ["a"]), MeanOfSubject())
        assert grouped([results[0], other, results[1], fewer]) == [[results[0], results[1]], [other], [fewer]]
        assert heading(fewer) == "made-up without a: 5-fold, stratified by which model is better"

    def test_the_picture_is_the_same_each_time(self, results: list[Result]) -> None:
        assert draw_results(results, resamples=20) == draw_results(results, resamples=20)
        assert draw_results(results[:1], "png", resamples=5).startswith(b"\x89PNG")

    def test_no_result_no_picture(self) -> None:
        with pytest.raises(RouterError, match="no result to draw"):
            draw_results([])


class TestReport:
    def test_it_says_what_was_measured_on_what(self, results: list[Result], tmp_path: Path) -> None:
        text = report(results, tmp_path / "new" / "folder")
        edge, cloud = results[0].edge.mean(), results[0].cloud.mean()
        assert "## made-up: 5-fold, stratified by which model is better" in text
        assert "- queries: 160, 8 subjects" in text
        assert f"- mean quality: edge {edge:.4f}, cloud {cloud:.4f}" in text
        assert "- labels: delta, gain" in text
        assert "seed 0; figures are means over 5 folds, never pooled" in text
        assert "- bootstrap: 60 resamples, seed 0" in text
        assert "left out" not in text
        assert re.search(r"RouteLLM's published figures .* validation set.*not comparable", text)

    def test_figures_are_those_of_the_results_best_first(self, results: list[Result], tmp_path: Path) -> None:
        text = report(results, tmp_path)
        first = cells(text, "| good | delta")
        interval = results[0].interval("apgr", resamples=60)
        assert first[2] == f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})"
        assert first[4].startswith(f"{results[0].mean('cpt50'):.3f} (")
        order = re.findall(r"^\| (\w+) \| (?:delta|gain|–)", text, re.MULTILINE)
        assert order[-1] == "oracle"
        assert set(order[2:4]) == {"bad"}
        best, last = (cells(text, f"| {name} | gain") for name in ("good", "bad"))
        assert {first[-2], best[-2]} & {"best"}
        assert last[-1] == f"{2 / 61:.4f}"

    def test_the_oracle_is_the_measure_of_all(self, results: list[Result], tmp_path: Path) -> None:
        oracle = cells(report(results, tmp_path), "| oracle")
        assert oracle[3] == "1.000"
        assert float(oracle[2]) > float(cells(report(results, tmp_path), "| good | delta")[2].split()[0])

    def test_both_pictures_lie_beside_it(self, results: list[Result], tmp_path: Path) -> None:
        text = report(results[:1], tmp_path)
        assert "![Quality over cloud share](cost-quality.svg)" in text
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cost-quality.png", "cost-quality.svg", "report.md"]

    def test_the_same_results_make_the_same_report(self, results: list[Result], tmp_path: Path) -> None:
        assert report(results, tmp_path / "a") == report(results, tmp_path / "b")

    def test_repetitions_show_their_spread(self, trace: Trace, tmp_path: Path) -> None:
        result = cross_validate(trace, MeanOfSubject(), repeats=3)
        text = report([result], tmp_path)
        values = result.per_repeat("apgr")
        line = [line for line in text.splitlines() if line.startswith("| mean-of-subject")][1]
        assert f"| {values.mean():.3f} | {values.std(ddof=1):.3f} |" in line
        plain, corrected = re.findall(r"(-?[\d.]+) to (-?[\d.]+)", line)
        assert float(corrected[0]) < float(plain[0]) <= values.mean() <= float(plain[1]) < float(corrected[1])

    def test_what_was_left_out_is_named(self, trace: Trace, tmp_path: Path) -> None:
        text = report([cross_validate(without_subjects(trace, ["a", "c"]), MeanOfSubject())], tmp_path)
        assert "- left out of the trace: a, c" in text
        assert "## made-up without a, c: 5-fold" in text

    def test_folds_without_a_gap_are_confessed(self, trace: Trace, tmp_path: Path) -> None:
        turned = [replace(row, edge=row.cloud, cloud=row.edge) if row.subject == "h" else row for row in trace]
        mixed = Trace(turned, "mixed")
        result = cross_validate(mixed, MeanOfSubject(), split="leave-subjects-out", folds=4, repeats=2)
        text = report([result], tmp_path)
        count = result.undefined("apgr")
        assert count
        assert f"- **{count} of 8 folds have no APGR**, because the cloud is no better than the edge there" in text
        assert f"with areas and gaps averaged first it is: mean-of-subject {result.aggregate_apgr:.3f}" in text

    def test_no_gap_anywhere_leaves_dashes(self, trace: Trace, tmp_path: Path) -> None:
        turned = Trace([replace(row, edge=row.cloud, cloud=row.edge) for row in trace], "turned")
        up, down = compare(turned, {"up": MeanOfSubject(), "down": MeanOfSubject(sign=-1.0)}, repeats=2)
        text = report([up, down], tmp_path)
        assert cells(text, "| up | delta")[2] == "–"
        assert cells(text, "| up | delta")[4:6] == ["–", "–"]
        assert float(cells(text, "| up | delta")[3].split()[0]) > 0
        assert cells(text, "| down | delta")[-2:] == ["–", "–"]

    def test_a_name_cannot_break_the_table(self, results: list[Result], tmp_path: Path) -> None:
        text = report([replace(results[0], name="a | b\nc")], tmp_path)
        assert "| a \\| b c | delta |" in text

    def test_no_result_no_report(self, tmp_path: Path) -> None:
        with pytest.raises(RouterError, match="no result to report"):
            write_report([], tmp_path / "x")
        assert not (tmp_path / "x").exists()
