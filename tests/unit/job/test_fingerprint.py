"""Digests: the same for the same things, another one for anything that matters."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from ianvs_collab.job.fingerprint import data_digests, differences, file_digest, fingerprint
from ianvs_collab.testcase.spec import AlgorithmSpec, MetricSpec, ModuleSpec, RunOptions, TestEnvSpec
from ianvs_collab.testenv.schema import DatasetSpec

ALGORITHM = AlgorithmSpec("a", "jointinference", (ModuleSpec("edgemodel", "E", "e.py", {"x": 1}),), {"mode": ""})
TESTENV = TestEnvSpec(DatasetSpec(test_data="t.jsonl"), (MetricSpec("m", "m.py"),), {"round": 1})
BASE = fingerprint([ALGORITHM], TESTENV, {"t.jsonl": "d"}, RunOptions())


def test_a_file_s_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content" * 1000)
    assert file_digest(tmp_path / "x") == hashlib.sha256(b"content" * 1000).hexdigest()


def test_the_same_things_have_the_same_fingerprint() -> None:
    assert fingerprint([ALGORITHM], TESTENV, {"t.jsonl": "d"}, RunOptions()) == BASE


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(jobs=4),
        RunOptions(max_errors=3),
        RunOptions(resume=True),
        RunOptions(quiet=True),
        RunOptions(verbose=True),
    ],
)
def test_how_a_run_goes_about_it_does_not_matter(options: RunOptions) -> None:
    assert fingerprint([ALGORITHM], TESTENV, {"t.jsonl": "d"}, options) == BASE


FILES = {"t.jsonl": "d"}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (fingerprint([ALGORITHM], TESTENV, FILES, RunOptions(seed=1)), "--seed (was None, is 1)"),
        (fingerprint([ALGORITHM], TESTENV, FILES, RunOptions(limit=5)), "--limit (was None, is 5)"),
        (fingerprint([ALGORITHM], TESTENV, {"t.jsonl": "e"}, RunOptions()), "file t.jsonl (changed)"),
        (fingerprint([ALGORITHM], replace(TESTENV, options={}), FILES, RunOptions()), "test environment (changed)"),
        (fingerprint([replace(ALGORITHM, settings={})], TESTENV, FILES, RunOptions()), "algorithm 'a' (changed)"),
        (fingerprint([ALGORITHM, ALGORITHM], TESTENV, FILES, RunOptions()), "algorithm 'a' (changed)"),
    ],
)
def test_whatever_decides_a_result_is_named_when_it_changes(changed: dict[str, str], named: str) -> None:
    assert differences(BASE, changed) == [named]


def test_the_order_of_test_cases_matters() -> None:
    other = replace(ALGORITHM, modules=(ModuleSpec("edgemodel", "E", "e.py", {"x": 2}),))
    there = fingerprint([ALGORITHM, other], TESTENV, {}, RunOptions())
    assert there != fingerprint([other, ALGORITHM], TESTENV, {}, RunOptions())


def test_data_files_and_what_they_lead_to_are_digested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train.txt", "a.npy", "metadata.json", "data.jsonl", "index.csv"):
        Path(name).write_text(f"content of {name}")
    Path("train.txt").write_text(f"a.npy 0\n\n{tmp_path}/a.npy 1\nmissing.npy 2\n")
    found = data_digests(DatasetSpec(train_index="train.txt", test_data_info="metadata.json"))
    assert set(found) == {"train.txt", "metadata.json", "a.npy", f"{tmp_path}/a.npy", "data.jsonl"}
    assert found["a.npy"] == file_digest("a.npy")
    assert data_digests(DatasetSpec(train_data="none.jsonl")) == {}
