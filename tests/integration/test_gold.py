"""No router is shown the right answers: with other right answers in the data set, every router decides as before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ianvs_collab.routing import ROUTERS
from ianvs_collab.routing.traces import read_trace, write_trace

QUERIES = 12
TRACE: dict[str, Any] = {"train_data": "trace"}
ANSWERED = "inference-then-mining"
CASES: dict[str, tuple[dict[str, Any], str | None]] = {
    "BoostingRouter": (TRACE | {"model": "encoder"}, None),
    "CausalLmRouter": (TRACE | {"model": "zoo:edge", "threshold": 0.1, "epochs": 1}, None),
    "CloudOnly": ({}, None),
    "ConfidenceRouter": ({"confidence": 0.9}, ANSWERED),
    "ConformalRouter": ({"calibration_data": "trace", "alpha": 0.3}, ANSWERED),
    "ConsistencyRouter": ({"samples": 2}, ANSWERED),
    "EdgeOnly": ({}, None),
    "EmbeddingRouter": (TRACE | {"model": "encoder"}, None),
    "EncoderRouter": (TRACE | {"threshold": 0.1, "epochs": 1}, None),
    "EnsembleRouter": (TRACE | {"members": ["subject-prior", "tfidf"]}, None),
    "FeatureRouter": (TRACE, None),
    "LearnedCascadeRouter": (TRACE, ANSWERED),
    "LengthRouter": (TRACE, None),
    "NeighbourRouter": (TRACE | {"model": "encoder", "neighbours": 5}, None),
    "PrivateRouter": ({"mode": "redact"}, ANSWERED),
    "RandomRouter": ({}, None),
    "RobertaRouter": ({"threshold": 0.2}, None),
    "SavedRouter": ({"folder": "saved"}, None),
    "SubjectPriorRouter": (TRACE, None),
    "TfidfRouter": (TRACE, None),
    "TfidfSubjectRouter": (TRACE, None),
    "TrainedRouter": (TRACE | {"scorer": "length"}, None),
    "UtilityRouter": (TRACE | {"per_second": 10.0}, None),
}
SHOWN = {
    "OracleRouter",
    "LifelongRouter",
}  # the one is given them; the other learns from feedback, which depends on them


def algorithm(folder: Path, name: str) -> dict[str, str]:
    """Write the algorithm file of a router; returns its place in the job."""
    settings, mode = CASES[name]
    plugins = "./testalgorithms/query_routing"
    modules: list[dict[str, Any]] = [
        {"type": "dataset_processor", "name": "QueryProcessor", "url": f"{plugins}/data_processor.py"},
        {"type": "edgemodel", "name": "EdgeModel", "url": f"{plugins}/edge_model.py"},
        {"type": "cloudmodel", "name": "CloudModel", "url": f"{plugins}/cloud_model.py"},
        {"type": "hard_example_mining", "name": name, "url": f"{plugins}/hard_sample_mining.py"},
    ]
    modules[1]["hyperparameters"] = [{"logprobs": {"values": [True]}}]
    modules[3]["hyperparameters"] = [{key: {"values": [value]}} for key, value in settings.items()]
    content: dict[str, Any] = {"paradigm_type": "jointinference", "modules": modules}
    if mode:
        content["hard_example_mining_mode"] = mode
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"algorithm": content}), encoding="utf-8")
    return {"name": name, "url": f"./{name}.yaml"}


def job(folder: Path, data: str) -> None:
    testenv = {
        "dataset": {"train_data_info": f"{data}/metadata.json", "test_data_info": f"{data}/metadata.json"},
        "metrics": [{"name": "Accuracy", "url": "./testenv/metrics/quality.py"}],
    }
    (folder / f"{data}.testenv.yaml").write_text(yaml.safe_dump({"testenv": testenv}), encoding="utf-8")
    content = {
        "name": data,
        "workspace": "./workspace",
        "testenv": f"./{data}.testenv.yaml",
        "test_object": {"type": "algorithms", "algorithms": [algorithm(folder, name) for name in CASES]},
        "rank": {"sort_by": [{"Accuracy": "descend"}], "visualization": {"mode": "none", "method": "print_table"}}
        | {"selected_dataitem": {key: ["all"] for key in ("paradigms", "modules", "hyperparameters", "metrics")}}
        | {"save_mode": "selected_and_all"},
    }
    (folder / f"{data}.yaml").write_text(yaml.safe_dump({"benchmarkingjob": content}), encoding="utf-8")


def with_other_answers(folder: Path) -> None:
    """Write two data sets of the same questions, `right` and `wrong`, that differ in the right answers alone."""
    source = folder / "testenv" / "nano" / "test_data"
    rows = [json.loads(line) for line in (source / "data.jsonl").read_text(encoding="utf-8").splitlines()[:QUERIES]]
    for name, shift in (("right", 0), ("wrong", 1)):
        (folder / name).mkdir()
        (folder / name / "metadata.json").write_bytes((source / "metadata.json").read_bytes())
        shifted = [row | {"response": "ABCD"[("ABCD".index(row["response"]) + shift) % 4]} for row in rows]
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in shifted)
        (folder / name / "data.jsonl").write_text("".join(lines), encoding="utf-8")


def decisions(folder: Path, data: str) -> dict[str, list[bool]]:
    found = {}
    for name in CASES:
        (records,) = (folder / "workspace" / data / name).glob("*/records.jsonl")
        rows = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
        found[name] = [row["result"][0] for row in sorted(rows, key=lambda row: row["index"])]
    return found


def test_every_router_is_put_to_the_test() -> None:
    assert {*CASES, *SHOWN} == set(ROUTERS)


@pytest.fixture
def encoder(checkout: Path) -> None:
    """A small sentence encoder: the body of the nano router."""
    from transformers import AutoModel, AutoTokenizer

    from ianvs_collab.modelserver.locate import resolve_model

    source = resolve_model("zoo:router")
    AutoModel.from_pretrained(source).float().save_pretrained(checkout / "encoder")
    AutoTokenizer.from_pretrained(source).save_pretrained(checkout / "encoder")


@pytest.mark.usefixtures("encoder")
def test_decisions_do_not_depend_on_the_right_answers(checkout: Path, shell: Any) -> None:
    trace = read_trace(checkout / "testenv" / "nano" / "train_data")
    write_trace(trace.subset(list(range(240))), checkout / "trace")
    with_other_answers(checkout)
    for data in ("right", "wrong"):
        job(checkout, data)
    prepare = "ianvs router train --trace trace --scorer tfidf --to saved"
    done = shell(f"{prepare} && ianvs router calibrate saved --trace trace --cloud-share 0.5", checkout)
    assert done.returncode == 0, done.stderr
    for data in ("right", "wrong"):
        done = shell(f"ianvs -f {data}.yaml --quiet --seed 1", checkout)
        assert done.returncode == 0, done.stderr
    right, wrong = (decisions(checkout, data) for data in ("right", "wrong"))
    assert right == wrong
    mixed = [name for name, hard in right.items() if len(set(hard)) > 1]
    assert len(mixed) > len(CASES) / 2, right  # most of them tell queries apart here, so that equality means something
