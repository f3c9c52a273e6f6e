from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import RobertaForSequenceClassification

from ianvs_collab.inference import Query
from ianvs_collab.routing import RobertaRouter, RouterError
from ianvs_collab.routing.traces import read_trace

from .checkpoints import POSITIONS, SPECIAL, write_roberta

WORDS = [*SPECIAL, "sum", "city", "A", "B"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_roberta(tmp_path_factory.mktemp("router"), WORDS, layers=1, initializer_range=1.0))


def ask(text: str) -> Query:
    return Query(query_id="q", query=text)


def test_the_score_is_the_last_classs_probability(checkpoint: str) -> None:
    router = RobertaRouter(checkpoint)
    model = RobertaForSequenceClassification.from_pretrained(checkpoint).eval()
    ids = torch.tensor([[0, 4, 6, 7, 2]])
    expected = model(ids).logits.softmax(-1)[0, 1].item()
    assert router.score(ask("sum A B")) == pytest.approx(expected, abs=1e-6)


def test_batches_give_the_scores_of_single_questions(checkpoint: str) -> None:
    router = RobertaRouter(checkpoint, batch_size=3)
    texts = ["sum", "city A", "sum sum B A", "city", "B"]
    queries = [ask(text) for text in texts]
    assert router.scores(queries) == pytest.approx([router.score(query) for query in queries], abs=1e-5)
    assert router.scores([]).shape == (0,)


def test_long_questions_are_cut_by_tokens_to_what_fits(checkpoint: str) -> None:
    router = RobertaRouter(checkpoint)
    fits = " ".join(["sum"] * (POSITIONS - 2 - 2))
    assert router.score(ask(fits + " city city city")) == pytest.approx(router.score(ask(fits)))
    assert router.score(ask(fits)) != router.score(ask("sum"))


def test_a_share_sets_the_threshold_by_calibration_queries(checkpoint: str, labelled: Path) -> None:
    router = RobertaRouter(checkpoint, cloud_share=0.6, calibration_data=str(labelled))
    assert np.mean(router.scores(read_trace(labelled).queries()) >= router.threshold) >= 0.59


def test_a_share_without_calibration_queries_is_refused(checkpoint: str) -> None:
    with pytest.raises(RouterError, match="calibration"):
        RobertaRouter(checkpoint, cloud_share=0.5)


def test_a_router_decides_by_its_threshold(checkpoint: str) -> None:
    score = RobertaRouter(checkpoint).score(ask("sum A"))
    assert RobertaRouter(checkpoint, threshold=score - 1e-4)(ask("sum A")) is True
    assert RobertaRouter(checkpoint, threshold=score + 1e-4)(ask("sum A")) is False


def test_the_worth_of_the_classes_can_be_given_or_stand_in_the_checkpoint(checkpoint: str, tmp_path: Path) -> None:
    plain = RobertaRouter(checkpoint).score(ask("sum A"))
    assert RobertaRouter(checkpoint, worth=[1, 0]).score(ask("sum A")) == pytest.approx(1 - plain)
    copied = shutil.copytree(checkpoint, tmp_path / "copy")
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"worth": [0, 3]}))
    assert RobertaRouter(str(copied)).score(ask("sum A")) == pytest.approx(3 * plain)


@pytest.mark.parametrize("worth", [[1], [1, 2, 3], ["a", "b"], [0, float("nan")], 7])
def test_a_worth_that_does_not_fit_the_classes_is_refused(checkpoint: str, worth: Any) -> None:
    with pytest.raises(RouterError, match="has 2 classes, and what each is worth must be as many numbers"):
        RobertaRouter(checkpoint, worth=worth)


def test_the_nano_router_knows_what_its_classes_are_worth() -> None:
    router = RobertaRouter("zoo:router")
    assert router.scorer.worth_.tolist() in ([0.0, 1.0], [-1.0, 0.0, 1.0])
    assert -1 <= router.score(ask("What is 1 + 1?")) <= 1
