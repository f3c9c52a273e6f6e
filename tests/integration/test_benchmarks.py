"""The scripts whose figures the documents print run to their end and print what they promise, on a few questions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

FEW = {
    "extraction": ("--questions 8 --repeat 1", [r"32 answers", r"option-text/1 +\d+ +75\.0%"]),
    "fused_decoding": ("--questions 3", [r"edge +fused", r"cloud +transformers", r"ratio .* 3 of 3 answers equal"]),
    "nano_models": (
        "--questions 34 --timed 2",
        [r"34 held-out questions", r"cloud, 4 layers +\d", r"cloud, 8 layers +\d", r"router, 40%", r"all weights: \d"],
    ),
    "routing_nano": (
        "--train {repository}/testenv/nano/train_data --questions 68 --resamples 20 --repeats 1 "
        "--routers subject-prior 'confidence, min' learned-cascade",
        [r"oracle", r"learned-cascade"],
    ),
    "routing_mmlu": ("--quick --parts groups", [r"options"]),
    "routing_online": ("--quick --data {data_root}", [r"lin-ucb|LinUCB"]),
    "routing_speed": (
        "--trace {repository}/testenv/nano/train_data --queries 12 --train 90 --scorers subject-prior,tfidf",
        [r"subject-prior .*\d", r"tfidf .*\d"],
    ),
    "overhead": (
        "--queries 50 --repeat 1",
        [r"ianvs -v: wall time \[s\] +0\.\d", r"query, full answer, with its durable record \[us\] +\d"],
    ),
}


@pytest.mark.parametrize("name", FEW)
def test_a_benchmark_prints_its_figures(
    name: str, shell: Callable[..., object], repository: Path, data_root: Path, tmp_path: Path
) -> None:
    options, wanted = FEW[name]
    options = options.format(repository=repository, data_root=data_root)
    done = shell(f"python {repository}/benchmarks/{name}.py {options}", tmp_path, IANVS_COLLAB_DATA=str(data_root))
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    missing = [pattern for pattern in wanted if not re.search(pattern, done.stdout)]  # type: ignore[attr-defined]
    assert missing == [], done.stdout  # type: ignore[attr-defined]


def test_every_benchmark_that_a_document_names_is_there(repository: Path) -> None:
    documents = "".join(file.read_text(encoding="utf-8") for file in (repository / "docs" / "benchmarks").glob("*.md"))
    named = set(re.findall(r"benchmarks/(\w+\.py)", documents))
    assert named <= {file.name for file in (repository / "benchmarks").glob("*.py")}
    assert {f"{name}.py" for name in FEW} <= named
