from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.routing import RouterError
from ianvs_collab.routing.traces import read_trace, write_trace
from ianvs_collab.routing.traces.mixinstruct import read_mixinstruct


def candidate(model: str, text: str, method: str = "top_p_sampling", **scores: float) -> dict[str, Any]:
    return {"decoding_method": method, "model": model, "text": text, "scores": scores}


def item(name: str = "chip2/1", **fields: Any) -> dict[str, Any]:
    small = candidate("flan-t5-xxl", "short", bartscore=-4.5, bleurt=-1.2)
    large = candidate("vicuna-13b-1.1", "a longer answer", bartscore=-3.4, bleurt=-0.6)
    base = {"id": name, "instruction": "Explain.", "input": "Skeptic or denier?", "output": "A skeptic doubts."}
    return {**base, "candidates": [small, large], **fields}


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(*items: Any, name: str = "val.jsonl") -> Path:
        path = tmp_path / name
        text = "".join(json.dumps(one) + "\n" for one in items) if path.suffix == ".jsonl" else json.dumps(items)
        path.write_text(text)
        return path

    return write


PAIR = {"edge": "flan-t5-xxl", "cloud": "vicuna-13b-1.1"}


@pytest.mark.parametrize("name", ["val.jsonl", "test.json"])
def test_a_recorded_score_is_the_quality(name: str, file: Callable[..., Path], tmp_path: Path) -> None:
    trace = read_mixinstruct(file(item(), item("lima/7", instruction=""), name=name), **PAIR, score="bartscore")
    first, second = trace
    assert (first.query_id, first.subject, first.gold) == ("chip2/1", "chip2", "A skeptic doubts.")
    assert (first.text, second.text) == ("Explain.\nSkeptic or denier?", "Skeptic or denier?")
    assert (first.edge.quality, first.cloud.quality, first.cloud.completion) == (-4.5, -3.4, "a longer answer")
    assert trace.provenance["quality"] == "bartscore"
    write_trace(trace, tmp_path / "trace")
    assert list(read_trace(tmp_path / "trace")) == list(trace)


def test_a_function_may_grade_instead(file: Callable[..., Path]) -> None:
    def overlap(completions: Sequence[str], references: Sequence[str]) -> list[float]:
        assert set(references) == {"A skeptic doubts."}
        return [float(len(text)) for text in completions]

    trace = read_mixinstruct(file(item(output=["A skeptic doubts.", "other"])), **PAIR, grade=overlap)
    assert (trace.quality("edge")[0], trace.quality("cloud")[0]) == (5.0, 15.0)
    assert trace.provenance["quality"] == "overlap"


@pytest.mark.parametrize("grades", [[1.0, 2.0], [float("nan")]])
def test_a_function_must_grade_every_answer(grades: list[float], file: Callable[..., Path]) -> None:
    with pytest.raises(RouterError, match="a finite number for each of the 1 answers"):
        read_mixinstruct(file(item()), **PAIR, grade=lambda *_: grades)


@pytest.mark.parametrize("output", [None, []])
def test_without_a_reference_nothing_can_be_graded(output: Any, file: Callable[..., Path]) -> None:
    with pytest.raises(RouterError, match="query 'chip2/1' has no reference"):
        read_mixinstruct(file(item(output=output)), **PAIR, grade=lambda *_: [1.0])


def test_a_model_that_answered_twice_is_named_with_its_decoding(file: Callable[..., Path]) -> None:
    twice = item()
    twice["candidates"].append(candidate("flan-t5-xxl", "greedy", "greedy", bartscore=-1.0))
    path = file(twice)
    with pytest.raises(
        RouterError, match="answered 2 times; choose one of flan-t5-xxl@top_p_sampling, flan-t5-xxl@greedy"
    ):
        read_mixinstruct(path, **PAIR, score="bartscore")
    trace = read_mixinstruct(path, edge="flan-t5-xxl@greedy", cloud="vicuna-13b-1.1", score="bartscore")
    assert trace.quality("edge").tolist() == [-1.0]


def test_queries_without_an_answer_are_told_or_left_out(file: Callable[..., Path]) -> None:
    path = file(item(), item("x/2", candidates=[candidate("mpt-7b", "hi")]), item("x/3"))
    with pytest.raises(RouterError, match=r"jsonl:2: no answer of 'flan-t5-xxl'; there are mpt-7b. 1 of 3 queries"):
        read_mixinstruct(path, **PAIR, score="bartscore")
    trace = read_mixinstruct(path, **PAIR, score="bartscore", partial=True)
    assert ([row.query_id for row in trace], trace.provenance["left_out"]) == (["chip2/1", "x/3"], 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": None}, "`candidates` must be a list of objects"),
        ({"candidates": [1]}, "`candidates` must be a list of objects"),
        ({"instruction": 3}, "'instruction' must be a text, not 3"),
    ],
)
def test_a_malformed_object_is_refused(changes: dict[str, Any], message: str, file: Callable[..., Path]) -> None:
    with pytest.raises(RouterError, match=f"val.jsonl:1: {message}"):
        read_mixinstruct(file(item(**changes)), **PAIR, score="bartscore")


@pytest.mark.parametrize(
    ("scores", "known"), [({"bleu": 1.0}, "bleu"), (None, "none"), ({"bartscore": True}, "bartscore")]
)
def test_a_score_that_is_not_there_is_told(scores: Any, known: str, file: Callable[..., Path]) -> None:
    wrong = item()
    wrong["candidates"][1]["scores"] = scores
    with pytest.raises(RouterError, match=f"'vicuna-13b-1.1' has no score 'bartscore'; its scores are {known}"):
        read_mixinstruct(file(wrong), **PAIR, score="bartscore")


@pytest.mark.parametrize("given", [{}, {"score": "bleu", "grade": lambda *_: []}])
def test_the_quality_has_one_source(given: Any, file: Callable[..., Path]) -> None:
    with pytest.raises(RouterError, match="give one of the two"):
        read_mixinstruct(file(item()), **PAIR, **given)


def test_one_id_for_two_queries_is_refused(file: Callable[..., Path]) -> None:
    with pytest.raises(RouterError, match="the id 'chip2/1' occurs twice"):
        read_mixinstruct(file(item(), item()), **PAIR, score="bleurt")
