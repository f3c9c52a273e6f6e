"""The nano router learns from a trace which questions gain, and its command writes trace, checkpoint and card."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification

from ianvs_collab.routing.scorers.encoder import EncoderScorer
from ianvs_collab.routing.traces import Trace, read_trace
from ianvs_collab.zoo import router, tracing
from ianvs_collab.zoo import train as command
from ianvs_collab.zoo.checkpoint import WEIGHTS
from ianvs_collab.zoo.generate import balanced
from ianvs_collab.zoo.question import Question
from ianvs_collab.zoo.router import RouterSettings, fit, make_router, measure, router_tokenizer

QUICK = RouterSettings(per_cell=2, recorded=1, epochs=1, batch_size=16)


def trace_of(edge: Callable[[Question], bool], cloud: Callable[[Question], bool] = lambda q: True) -> Trace:
    """A trace of 272 questions that says by a rule who is right."""
    questions = balanced("train", 8, seed=3)
    return tracing.trace_of(questions, [edge(q) for q in questions], [cloud(q) for q in questions])


def test_the_measured_accuracies_lie_where_they_must() -> None:
    trace = trace_of(lambda q: q.subject != "addition")  # 16 of 272 wrong at the edge, all right in the cloud
    gain = trace.quality("cloud") - trace.quality("edge")
    best, worst = measure(trace, gain), measure(trace, -gain)
    assert (best["edge"], best["cloud"]) == (pytest.approx(256 / 272), 1.0)
    assert best["routed"] == best["oracle"] == 1.0
    assert best["normalised"] == pytest.approx(1.0)
    assert worst["routed"] == worst["edge"]
    assert (best["auc"], worst["auc"]) == (1.0, 0.0)
    assert best["random"] == pytest.approx(best["edge"] + 0.4 * 16 / 272)


@pytest.mark.parametrize("label", ["gain", "delta"])
def test_the_router_learns_which_questions_gain(label: str) -> None:
    trace = trace_of(lambda q: q.language == "en", lambda q: q.subject != "antonyms")
    scorer = fit(trace, label, RouterSettings(epochs=8, patience=8, batch_size=16))
    assert scorer.history_[-1].loss < 0.7 * scorer.history_[0].loss
    assert measure(trace, scorer.scores(trace.queries()))["auc"] > 0.9
    assert tuple(scorer.classifier_.model.config.id2label.values()) == router.CLASSES[label]


def test_router_tokens_start_with_the_classification_token_and_pad_on_the_right() -> None:
    tokenizer = router_tokenizer()
    inputs = tokenizer(["2", "2 + 2"], padding=True)["input_ids"]
    assert all(row[0] == tokenizer.cls_token_id for row in inputs)
    assert inputs[0][-1] == tokenizer.pad_token_id


def test_the_better_label_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = trace_of(lambda q: q.subject != "addition")
    apgr = {"gain": 0.6, "delta": 0.5}
    measured = iter([{**measure(trace, np.zeros(len(trace))), "apgr": value} for value in apgr.values()])
    monkeypatch.setattr(router, "measure", lambda *_: next(measured))
    told = make_router(tmp_path, trace, trace, QUICK)
    assert told.startswith("router: APGR gain 0.600, delta 0.500; accuracy ")
    evaluation = json.loads((tmp_path / "router" / "evaluation.json").read_text())
    assert evaluation["label"] == "gain"
    assert {label: values["apgr"] for label, values in evaluation["by_label"].items()} == apgr
    config = json.loads((tmp_path / "router" / "config.json").read_text())
    assert config["id2label"] == {"0": "same", "1": "gain"}
    assert config["worth"] == [0.0, 1.0]


def test_the_command_records_trains_and_writes(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(router, "test_questions", lambda: balanced("test", 1, seed=1))
    monkeypatch.setattr(router, "RouterSettings", lambda: QUICK)
    for name in ("edge", "cloud"):
        (tmp_path / name).symlink_to(WEIGHTS / name)
    command.main(["--model", "router", "--weights", str(tmp_path), "--train-data", str(tmp_path / "train_data")])
    assert capsys.readouterr().out.startswith("router: APGR gain 0.")

    trace = read_trace(tmp_path / "train_data")
    assert len(trace) == len((tmp_path / "train_data" / "data.jsonl").read_text(encoding="utf-8").splitlines()) == 34
    assert all(row.edge.logprobs for row in trace)
    scorer = EncoderScorer()
    scorer.restore(tmp_path / "router")
    scores = scorer.scores(trace.queries())
    assert len(scores) == 34
    assert np.all((scores >= -1) & (scores <= 1))
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "router").config.model_type == "roberta"
    evaluation = json.loads((tmp_path / "router" / "evaluation.json").read_text())
    assert evaluation["questions"] == 34
    card = (tmp_path / "router" / "README.md").read_text()
    assert "68 training questions" in card
    assert f"AUC of {evaluation['auc']:.3f}" in card
    with (tmp_path / "router" / "loss.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]
    assert (tmp_path / "router" / "loss.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_batch_grading_and_recording_agree_on_who_is_right() -> None:
    questions = tracing.train_questions(1)
    recorded, graded = tracing.record(questions), tracing.graded(questions)
    for side in ("edge", "cloud"):
        assert recorded.quality(side).tolist() == graded.quality(side).tolist()


def test_the_tracing_command_writes_questions_and_trace(tmp_path: Path, capsys) -> None:
    tracing.main(["--folder", str(tmp_path), "--per-cell", "1"])
    trace = read_trace(tmp_path)
    assert capsys.readouterr().out.startswith("34 questions: edge ")
    assert trace.provenance["edge"]["model"] == "zoo:edge"
    assert str(tmp_path) not in (tmp_path / "trace.json").read_text()


def test_a_model_that_fails_stops_the_recording() -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        tracing._fail("out of memory")
