"""Metrics by name, their plug-in files, and the page that documents them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from ianvs_collab.metrics import metric, metrics, plugins, registry
from ianvs_collab.testcase.plugins import load_class

PROMISED = {
    "Accuracy",
    "Macro Accuracy",
    "Unparsed Rate",
    "Edge Ratio",
    "Time to First Token",
    "Time per Output Token",
    "Internal Token Latency",
    "End-to-End Latency",
    "End-to-End Latency p50",
    "End-to-End Latency p90",
    "End-to-End Latency p99",
    "Throughput",
    "Uplink Bytes",
    "Downlink Bytes",
    "Bytes per Output Token",
    "Edge Prompt Tokens",
    "Edge Completion Tokens",
    "Cloud Prompt Tokens",
    "Cloud Completion Tokens",
    "Cloud Cost",
    "Energy",
}


def test_every_promised_metric_exists() -> None:
    assert set(metrics()) >= PROMISED
    assert set(metrics()) - PROMISED == {
        "Failed Queries",
        "Measured Queries",
        "Energy Source",
        "PII Rate",
        "Leaked PII Rate",
    }


def documented(page: Path) -> dict[str, tuple[str, str, str]]:
    """Name to (family, unit, direction) from the tables of the reference page."""
    rows, family = {}, ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## .*`testenv/metrics/(\w+)\.py`", line):
            family = heading[1]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if family and line.startswith("|") and len(cells) == 5 and cells[0] not in {"metric", "---"}:
            assert cells[3], f"{cells[0]} has no formula"
            rows[cells[0]] = (family, cells[1], cells[2])
    return rows


def test_the_reference_page_documents_every_metric_and_no_other(repository: Path) -> None:
    rows = documented(repository / "docs" / "reference" / "metrics.md")
    assert set(rows) == set(metrics())
    for name, one in metrics().items():
        assert rows[name] == (one.family, one.unit or "–", one.better or "–"), name


@pytest.mark.parametrize("family", ["quality", "latency", "traffic", "cost", "privacy"])
def test_the_plug_in_files_register_their_family(repository: Path, make: SimpleNamespace, family: str) -> None:
    path = str(repository / "testenv" / "metrics" / f"{family}.py")
    assert metrics(family)
    for name in metrics(family):
        function = load_class(path, "general", name)
        assert function(["A"], [make.edge("A")]) == plugins(family)[name](["A"], [make.edge("A")])


@pytest.mark.parametrize("dataset", ["mmlu", "cmmlu"])
def test_the_test_environments_name_every_metric_with_its_file(repository: Path, dataset: str) -> None:
    text = (repository / "testenv" / dataset / "testenv.yaml").read_text(encoding="utf-8")
    testenv = yaml.safe_load(text)["testenv"]
    named = {one["name"]: one["url"] for one in testenv["metrics"]}
    assert named == {name: f"./testenv/metrics/{one.family}.py" for name, one in metrics().items()}
    assert testenv["dataset"] == {
        "train_data_info": f"./data/{dataset}/train/metadata.json",
        "test_data_info": f"./data/{dataset}/test/metadata.json",
    }


def test_plug_ins_round_and_functions_do_not(make: SimpleNamespace) -> None:
    y_pred = [make.edge("A"), make.edge("B"), make.edge("B")]
    assert metrics()["Accuracy"].function("AAA", y_pred) == 100 / 3
    assert plugins("quality")["Accuracy"]("AAA", y_pred) == 33.333
    assert plugins("quality")["Failed Queries"]("AAA", y_pred) == 0
    assert plugins("cost")["Energy Source"]("AAA", y_pred) == "unavailable"
    assert plugins("latency")["Throughput"]("", []) is None


def test_rounding_keeps_accuracies_of_the_largest_set_apart() -> None:
    assert len({round(100 * right / 14042, metrics()["Accuracy"].digits) for right in range(14043)}) == 14043


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))
    yield


@pytest.mark.usefixtures("restored")
def test_a_metric_of_ones_own() -> None:
    @metric("Answers", unit="queries", digits=0)
    def answers(_: object, y_pred: object) -> int:
        return len(y_pred)  # type: ignore[arg-type]

    one = metrics()["Answers"]
    assert (one.unit, one.family) == ("queries", __name__.rpartition(".")[2])
    with pytest.raises(ValueError, match="a metric 'Answers' exists already"):
        metric("Answers")(answers)
