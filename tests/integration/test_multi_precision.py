"""The multi-precision job as a user runs it, on a few questions and few variants."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ianvs_collab.precision import read_portfolio

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
EVERY = "float32,bfloat16,int8,q8_0,q5_0,q4_0,pruned-8,pruned-9"
FEW = "q4_0,q8_0"


def shrink(checkout: Path) -> None:
    """Two variants of the edge model, on few calibration questions: the same job in seconds."""
    listed = "[" + ", ".join(f'"{name}"' for name in EVERY.split(",")) + "]"
    for file in (checkout / "testalgorithms" / "multi_precision").glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert EVERY in text
        small = text.replace(EVERY, FEW).replace(listed, '["q4_0", "q8_0"]').replace("zoo:cloud", "zoo:edge")
        small = small.replace("average_accuracy: {values: [0.85]}", "average_accuracy: {values: [0.3]}")
        assert "calibration: {values: [68]}" in small
        file.write_text(small.replace("[68]", "[17]"), encoding="utf-8")


def test_the_job_compares_precisions_and_orchestrators(checkout: Path, shell: Shell, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    shrink(checkout)
    command = "ianvs -f examples/multi_precision/job.yaml --limit 36 --quiet"
    done = shell(command, checkout, IANVS_COLLAB_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    with (checkout / "workspace" / "multi-precision" / "rank" / "all_rank.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 4 + 5 + 2
    assert all(float(row["Accuracy"]) > 0 for row in rows)
    alone = {
        (row["basemodel-variant"], row["basemodel-device"]): row for row in rows if row["algorithm"] == "precisions"
    }
    assert float(alone["q4_0", "edge"]["Memory"]) < float(alone["q8_0", "edge"]["Memory"])
    for variant in ("q4_0", "q8_0"):
        edge, cloud = alone[variant, "edge"], alone[variant, "cloud"]
        assert edge["Accuracy"] == cloud["Accuracy"]  # the same answers, on another device
        assert float(edge["Energy"]) < float(cloud["Energy"])
        assert (edge["Edge Ratio"], cloud["Edge Ratio"]) == ("100.0", "0.0")
        assert edge["Energy Source"] == "modelled"
    chosen = {row["basemodel-orchestrator"]: row for row in rows if row["algorithm"] == "orchestrators"}
    assert float(chosen["round-robin"]["Edge Ratio"]) == 50
    assert float(chosen["device-only"]["Edge Ratio"]) == 0
    assert float(chosen["min-cost"]["Edge Ratio"]) == 100
    whole = sum(float(alone[key]["Memory"]) for key in alone)
    assert float(chosen["lyapunov"]["Memory"]) == pytest.approx(whole, abs=0.01)
    saved = list((checkout / "workspace" / "multi-precision").rglob("output/train/portfolio.json"))
    assert len(saved) == len(rows)
    portfolio = read_portfolio(saved[0])
    assert portfolio.origin == "measured"
    assert {pair.answered for pair in portfolio.pairs} == {17}
    records = next((checkout / "workspace" / "multi-precision" / "orchestrators").rglob("records.jsonl"))
    answers = [json.loads(line)["result"] for line in records.read_text(encoding="utf-8").splitlines()]
    assert len(answers) == 36
    arrivals = [one["orchestration"]["arrival_s"] for one in answers]
    assert arrivals == sorted(arrivals)
    assert all(one["orchestration"]["waited_s"] >= 0 for one in answers)
