"""`ianvs router`: from a trace to a router with a threshold, and what is told when that does not work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.command import main
from ianvs_collab.routing.heldout import split, unseen_part
from ianvs_collab.routing.store import load_router
from ianvs_collab.routing.traces import write_trace
from ianvs_collab.routing.trained import SavedRouter

from .toys import toy_trace

TRAIN = ["train", "--trace", "trace", "--scorer", "toy-word", "--to", "router"]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_trace(toy_trace(200), "trace")


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(words) == 1
    return capsys.readouterr().err


def test_train_calibrate_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--set", "place=1"]) == 0
    assert "trained toy-word on 120 queries of toy, label delta -> router" in capsys.readouterr().out
    assert main(["calibrate", "router", "--trace", "trace", "--cloud-share", "0.5"]) == 0
    told = capsys.readouterr().out
    assert "threshold 1 for at most 50% of queries to the cloud" in told and "on 40 held-out queries" in told
    stored = load_router("router")
    assert stored.training["queries"] == 120 and stored.calibration["measured_on_queries"] == 40
    router = SavedRouter("router")
    share = np.mean([router(query) for query in toy_trace(100, "new").queries()])
    assert share == pytest.approx(0.4)


def test_what_is_calibrated_on_was_neither_trained_on_nor_measured_on() -> None:
    main(TRAIN)
    trace, stored = toy_trace(200), load_router("router")
    trained, rest = split(trace, 0.6, 0)
    assert [row.query_id for row in unseen_part(stored, trace)] == [row.query_id for row in rest]
    first, second = split(rest, 0.5, 0)
    ids = [{row.query_id for row in part} for part in (trained, first, second)]
    assert [len(part) for part in ids] == [120, 40, 40] and len(set.union(*ids)) == 200


def test_of_another_trace_nothing_was_seen() -> None:
    main(TRAIN)
    assert len(unseen_part(load_router("router"), toy_trace(60, "other"))) == 60


def test_quality_and_latency_are_budgets_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.yaml").write_text("link: {rtt_ms: 50}\n")
    main(TRAIN)
    assert main(["calibrate", "router", "--trace", "trace", "--quality", "0.99"]) == 0
    assert "at least 99% of the cloud's quality" in capsys.readouterr().out
    words = ["calibrate", "router", "--trace", "trace", "--ttft-p95-ms"]
    assert main([*words, "100", "--deployment", "net.yaml"]) == 0
    assert "p95 time to first token at most 100 ms" in capsys.readouterr().out
    assert "no threshold keeps the budget" in fails(capsys, *words, "1", "--deployment", "net.yaml")
    assert "add --deployment FILE" in fails(capsys, *words, "100")
    assert "no such field" in _with_field(tmp_path, capsys, words)


def _with_field(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    (tmp_path / "wrong.yaml").write_text("link: {rtt: 50}\n")
    return fails(capsys, *words, "100", "--deployment", "wrong.yaml")


def test_drift_is_kept_with_the_router() -> None:
    main(TRAIN)
    write_trace(toy_trace(200, "other").subset(range(150)), "other")
    main(["calibrate", "router", "--trace", "other", "--cloud-share", "0.5"])
    about = json.loads(Path("router/router.json").read_text())["calibration"]
    assert about["drift"] == pytest.approx(about["realised_value"] - 0.5)
    assert about["realised_low"] <= about["realised_value"] <= about["realised_high"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--trace", "none", "--scorer", "toy-word", "--to", "r"], "trace.json"),
        (["train", "--trace", "trace", "--scorer", "toy-wort", "--to", "r"], "did you mean 'toy-word'"),
        ([*TRAIN, "--set", "plase=1"], "did you mean 'place'"),
        ([*TRAIN, "--set", "place"], "--set takes name=value, not 'place'"),
        ([*TRAIN, "--set", "place=[1"], "is not YAML"),
        ([*TRAIN, "--train-share", "1"], "cannot be cut at 1 into two parts"),
        (["calibrate", "nowhere", "--trace", "trace", "--quality", "1"], "`ianvs router train` makes routers"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    told = fails(capsys, *words)
    assert message in told and told.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["train"], [*TRAIN, "--train-share", "2"], ["calibrate", "r", "--trace", "t"]])
def test_a_wrong_command_line_ends_with_status_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2


def test_all_alike_is_nothing_to_learn(capsys: pytest.CaptureFixture[str]) -> None:
    write_trace(toy_trace(200).subset([i for i in range(200) if i % 10 < 4]), "sums")
    told = fails(capsys, "train", "--trace", "sums", "--scorer", "toy-word", "--to", "r")
    assert "same" in told or "alike" in told or "all" in told


def test_a_full_disk_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device", "router")

    monkeypatch.setattr(Path, "write_text", full)
    assert "router: cannot be written (No space left on device)" in fails(capsys, *TRAIN)


def test_too_short_a_trace_is_told() -> None:
    with pytest.raises(RouterError, match="1 queries of 'toy' cannot be cut at 0.6"):
        split(toy_trace(1), 0.6, 0)


EVALUATE = ["evaluate", "--trace", "trace", "--to", "report"]


def test_scorers_are_compared_fold_by_fold(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        *EVALUATE,
        "--scorers",
        "toy-word",
        "subject-prior",
        "--set",
        "toy-word.place=1",
        "--labels",
        "gain",
        "delta",
    ]
    assert main([*words, "--folds", "4"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told[:4]] == [
        "toy-word (gain)",
        "toy-word (delta)",
        "subject-prior (gain)",
        "subject-prior (delta)",
    ]
    assert "over 200 scored queries, 4-fold" in told[0]
    report = Path("report/report.md").read_text(encoding="utf-8")
    assert "| toy-word | delta |" in report and "RouteLLM" in report
    assert Path("report/cost-quality.svg").stat().st_size > 1000


def test_subjects_are_left_out_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--scorers", "toy-word", "--split", "leave-subjects-out", "--folds", "3", "--repeats", "1"]
    assert main([*EVALUATE, *words]) == 0
    assert "leave-subjects-out, 1 random partition of the subjects into 3 groups" in capsys.readouterr().out
    assert main([*EVALUATE, "--scorers", "toy-word", "--without", "riddle"]) == 0
    assert "without riddle" in Path("report/report.md").read_text(encoding="utf-8")


def test_a_learning_curve_has_a_row_for_each_size(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--scorers", "toy-word", "--set", "toy-word.place=1", "--train-sizes", "20", "100"]
    assert main([*EVALUATE, *words]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(" (")[0] for line in told[:2]] == ["toy-word, 20 queries", "toy-word, 100 queries"]
    assert "| toy-word, 100 queries | delta |" in Path("report/report.md").read_text(encoding="utf-8")
    assert "161" in fails(capsys, *EVALUATE, "--scorers", "toy-word", "--train-sizes", "161")


def test_a_stored_router_is_judged_on_what_it_has_not_seen(capsys: pytest.CaptureFixture[str]) -> None:
    main([*TRAIN, "--set", "place=1"])
    capsys.readouterr()
    assert main([*EVALUATE, "router"]) == 0
    told = capsys.readouterr().out
    assert "router (delta): APGR" in told and "80 held-out queries" in told
    (row,) = [
        x for x in Path("report/report.md").read_text(encoding="utf-8").splitlines() if x.startswith("| router |")
    ][1:]
    assert row.count("–") == 3  # no realised share and no time of fitting in a single split, and nothing better


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name routers to evaluate, or scorers with --scorers"),
        (["--scorers", "toy-wort"], "there is no scorer 'toy-wort'; did you mean 'toy-word'?"),
        (["--scorers", "toy-word", "--set", "place=1"], "write SCORER.NAME=VALUE with one of the scorers evaluated"),
        (["--scorers", "toy-word", "--set", "length.x=1"], "one of the scorers evaluated (toy-word)"),
        (["--scorers", "toy-word", "--folds", "1"], "folds"),
        (["--scorers", "toy-word", "--without", "art"], "art"),
        (["nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_evaluated_is_told(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert message in fails(capsys, *EVALUATE, *words)
    assert not Path("report").exists()


def test_a_router_is_not_lost_by_training_another_in_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    main(TRAIN)
    main(["calibrate", "router", "--trace", "trace", "--cloud-share", "0.5"])
    assert "router holds a router already; name another folder, or add --replace" in fails(capsys, *TRAIN)
    assert load_router("router").threshold is not None
    assert main([*TRAIN, "--replace"]) == 0
    assert load_router("router").threshold is None
