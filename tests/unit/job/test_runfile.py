"""run.json: written in one step, read back, and the only thing a resumed run trusts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.job.fingerprint import differences
from ianvs_collab.job.runfile import ResumeError, Run, RunFileError, run_to_resume

RUN = Run(
    id="354fe2e0-e58e-11f1-bce5-02fc00000001",
    name="demo",
    started="2026-01-02 03:04:05",
    fingerprint={"file a": "1", "--seed": "None"},
    cases=[{"id": "c1", "algorithm": "x", "hyperparameters": {}}],
    provenance={"configuration": {"job.yaml": "long"}, "seed": None},
    earlier_columns=["algorithm", "url"],
)


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    RUN.save(str(tmp_path / "deep" / "er"))
    assert Run.load(str(tmp_path / "deep" / "er")) == RUN
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["run.json"]


def test_there_may_be_no_run(tmp_path: Path) -> None:
    assert Run.load(str(tmp_path)) is None
    with pytest.raises(ResumeError, match=r"there is no run to resume in .* \(no run.json\); run without --resume"):
        run_to_resume(str(tmp_path), {}, [])


@pytest.mark.parametrize("content", ["", "{", "[]", "5", '{"id": "x"}', "\xff"])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ResumeError, match="run.json is damaged"):
        Run.load(str(tmp_path))


def test_an_id_that_is_none_is_damage(tmp_path: Path) -> None:
    replace(RUN, id="../..").save(str(tmp_path))
    with pytest.raises(ResumeError, match="run.json is damaged"):
        Run.load(str(tmp_path))


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RUN.save(str(tmp_path))
    before = (tmp_path / "run.json").read_bytes()

    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RunFileError, match=r"run.json: cannot be written \(No space left on device\); make room"):
        RUN.save(str(tmp_path))
    assert (tmp_path / "run.json").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_the_same_things_can_be_resumed(tmp_path: Path) -> None:
    RUN.save(str(tmp_path))
    assert run_to_resume(str(tmp_path), dict(RUN.fingerprint), [1]).case_ids == ["c1"]


def test_other_things_cannot_be_resumed_and_are_named(tmp_path: Path) -> None:
    RUN.save(str(tmp_path))
    with pytest.raises(ResumeError) as caught:
        run_to_resume(str(tmp_path), {"file a": "2", "--seed": "7", "file b": "3"}, [1])
    assert str(caught.value) == (
        f"the run of 2026-01-02 03:04:05 in {tmp_path} cannot be resumed, for since then there changed: "
        "file a (changed), --seed (was None, is 7), file b (added); "
        "undo the change, or run without --resume to start afresh"
    )
    with pytest.raises(ResumeError, match="the number of test cases"):
        run_to_resume(str(tmp_path), RUN.fingerprint, [1, 2])


def test_the_summary_leaves_the_long_texts_out() -> None:
    assert "configuration" not in RUN.summary()
    assert RUN.summary()["run"] == RUN.id
    assert json.dumps(RUN.summary())


prints = st.dictionaries(st.sampled_from(["file a", "file b", "--seed", "algorithm 'x'"]), st.sampled_from(["1", "2"]))


@given(prints, prints)
def test_differences_are_found_exactly_where_there_are_any(before: dict[str, str], now: dict[str, str]) -> None:
    found = differences(before, now)
    expected = {key for key in {*before, *now} if before.get(key) != now.get(key)}
    assert {
        text.rpartition(" (")[0] if "(was" not in text else text.partition(" (was")[0] for text in found
    } == expected
    assert (found == []) == (before == now)
