"""The committed checkpoints: they load as any other, are small, and are as good as their cards say."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from ianvs_collab.routing.scorers.encoder import EncoderScorer
from ianvs_collab.zoo.checkpoint import WEIGHTS
from ianvs_collab.zoo.evaluate import answer_at_exits
from ianvs_collab.zoo.export import test_questions as held_out_questions
from ianvs_collab.zoo.router import measure
from ianvs_collab.zoo.subjects import SUBJECTS
from ianvs_collab.zoo.tracing import graded

SUBSET = 204  # six of each subject and language


@pytest.fixture(scope="module")
def trace():
    torch.set_num_threads(1)
    return graded(held_out_questions()[:SUBSET], WEIGHTS)


def evaluation(name: str) -> dict:
    return json.loads((WEIGHTS / name / "evaluation.json").read_text())


@pytest.mark.parametrize("name", ["edge", "cloud"])
def test_a_checkpoint_loads_without_a_warning(name, caplog, capfd) -> None:
    with caplog.at_level(logging.WARNING):
        model = AutoModelForCausalLM.from_pretrained(WEIGHTS / name)
        tokenizer = AutoTokenizer.from_pretrained(WEIGHTS / name)
    assert not caplog.records
    assert "warning" not in capfd.readouterr().err.lower()
    assert model.generation_config.eos_token_id == model.config.eos_token_id == tokenizer.eos_token_id
    assert model.config.max_position_embeddings >= 512
    assert model.dtype == torch.float16


def test_the_router_loads_without_a_warning(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        model = AutoModelForSequenceClassification.from_pretrained(WEIGHTS / "router")
    assert not caplog.records
    assert model.config.model_type == "roberta"


def test_weights_are_float16_safetensors_of_at_most_16_mb() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 16e6
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".md", ".csv", ".svg", ".jinja"}
    for path in WEIGHTS.rglob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118


def test_models_are_as_accurate_as_their_cards_say(trace) -> None:
    for name in ("edge", "cloud"):
        measured = trace.quality(name).mean()
        stated = evaluation(name)["all"]
        assert stated["total"] >= 1000
        assert measured == pytest.approx(stated["right"] / stated["total"], abs=0.08)
    assert 0.45 <= evaluation("edge")["all"]["right"] / evaluation("edge")["all"]["total"] <= 0.70
    assert evaluation("cloud")["all"]["right"] / evaluation("cloud")["all"]["total"] >= 0.85


def test_the_gap_differs_by_subject() -> None:
    edge, cloud = evaluation("edge"), evaluation("cloud")
    gaps = [(cloud[subject]["right"] - edge[subject]["right"]) / edge[subject]["total"] for subject in SUBJECTS]
    assert min(gaps) < 0.05
    assert max(gaps) > 0.40


def test_the_router_beats_chance_on_held_out_questions(trace) -> None:
    scorer = EncoderScorer()
    scorer.restore(WEIGHTS / "router")
    measured = measure(trace, scorer.scores(trace.queries()))
    assert measured["auc"] > 0.7
    assert measured["edge"] < measured["random"] < measured["routed"] <= measured["oracle"]


def test_every_exit_is_as_accurate_as_the_card_says() -> None:
    questions = held_out_questions()[:SUBSET]
    exits = answer_at_exits(WEIGHTS / "cloud", questions)
    layers = AutoConfig.from_pretrained(WEIGHTS / "cloud").num_hidden_layers
    assert len(exits) >= 2
    assert max(exits) < layers
    for layer, right in exits.items():
        stated = evaluation("cloud")[f"exit after layer {layer}"]
        assert sum(right) / SUBSET == pytest.approx(stated["right"] / stated["total"], abs=0.08)


def test_a_model_without_exits_has_no_answers_at_exits() -> None:
    assert answer_at_exits(WEIGHTS / "edge", held_out_questions()[:2]) == {}
