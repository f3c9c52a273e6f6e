from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.link import wire
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.traces.cache import read_caches

EXAMPLES = "Which?\nA. x\nB. y\nAnswer: A\n\n"
QUESTIONS = [f"Capital {n}?\nA. Paris\nB. Rome\nAnswer:" for n in range(3)]
PERF = {"time_to_first_token": 0.5, "internal_token_latency": 0.1, "throughput": 10.0}


def model(name: str, answers: list[str], **config: Any) -> dict[str, Any]:
    """What Ianvs writes for one model; its `prediction` is wrong on purpose."""
    usage = {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45}
    results = [
        {
            "query": EXAMPLES + question,
            "response": {"completion": answer, "usage": usage, "perf": PERF, "prediction": "D"},
            "prediction": "D",
            "gold": None,
        }
        for question, answer in zip(QUESTIONS, answers, strict=False)
    ]
    return {"config": {"model": name, **config}, "result": results}


EDGE = model("small", ["The answer is A.", "B. because A is wrong", "no idea"], backend="huggingface")
CLOUD = model("large", ["A", "A", "B"])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "mmlu" / "data.jsonl"
    path.parent.mkdir()
    lines = [
        {"prompt": EXAMPLES, "query": question, "response": "A", "explanation": ""}
        | {"level_3_dim": "en", "level_4_dim": "geography"}
        for question in QUESTIONS
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Callable[..., Path]:
    def write(*models: Any, name: str = "cache.json") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(list(models), indent=4))
        return path

    return write


def test_one_cache_with_both_models_makes_a_trace(cache: Callable[..., Path], data: Path) -> None:
    trace = read_caches([cache(CLOUD, EDGE)], data, edge="small", cloud="large")
    assert trace.name == "mmlu"
    assert trace.quality("edge").tolist() == [1.0, 0.0, 0.0]  # graded anew, not by the recorded prediction
    assert trace.quality("cloud").tolist() == [1.0, 1.0, 0.0]
    first, _, last = trace
    assert (first.query_id, first.subject, first.language, first.gold) == ("row-00000", "geography", "en", "A")
    assert first.text == QUESTIONS[0]  # without the solved examples
    assert (first.edge.prompt_tokens, first.edge.completion_tokens) == (40, 5)
    assert (last.edge.outcome, last.edge.answer) == ("unparsed", None)


def test_two_caches_are_the_edges_and_the_clouds(cache: Callable[..., Path], data: Path) -> None:
    files = [cache(EDGE, name="edge.json"), cache(CLOUD, name="cloud.json")]
    trace = read_caches(files, data)
    assert trace.provenance["edge"] == {"model": "small", "backend": "huggingface"}
    assert trace.provenance["cloud"] == {"model": "large"}
    assert set(trace.provenance["data_sha256"]) == {str(path) for path in (*files, data)}


def test_times_count_only_where_no_network_is_in_them(cache: Callable[..., Path], data: Path) -> None:
    (row, *_) = read_caches([cache(EDGE, CLOUD)], data, edge="small", cloud="large")
    assert (row.edge.prefill_seconds, row.edge.total_seconds) == (0.5, pytest.approx(0.9))
    assert (row.cloud.prefill_seconds, row.cloud.total_seconds) == (None, None)
    remote = model("small", ["A"] * 3, backend="api")
    (row, *_) = read_caches([cache(remote, CLOUD)], data, edge="small", cloud="large")
    assert row.edge.total_seconds is None


def test_the_request_holds_the_whole_prompt(cache: Callable[..., Path], data: Path) -> None:
    (row, *_) = read_caches([cache(EDGE, CLOUD)], data, edge="small", cloud="large")
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": EXAMPLES + QUESTIONS[0]},
    ]
    params = SamplingParams(max_tokens=512, temperature=0.8, top_p=0.8)
    assert row.request_bytes == len(wire.chat_request(messages, params, "large"))


def test_questions_without_an_answer_are_told_or_left_out(cache: Callable[..., Path], data: Path) -> None:
    short = cache(EDGE, model("large", ["A", "A"]))
    with pytest.raises(RouterError, match=r"data.jsonl:3: no answer of the cloud model 'large'.*1 of 3 questions"):
        read_caches([short], data, edge="small", cloud="large")
    trace = read_caches([short], data, edge="small", cloud="large", partial=True)
    assert (len(trace), trace.provenance["left_out"]) == (2, 1)


def test_nothing_left_is_no_trace(cache: Callable[..., Path], data: Path) -> None:
    with pytest.raises(RouterError, match="3 of 3 questions lack one"):
        read_caches([cache(EDGE, model("large", []))], data, edge="small", cloud="large", partial=True)


@pytest.mark.parametrize(
    ("models", "names", "message"),
    [
        ((EDGE, CLOUD), {}, "name the edge model with --edge; the cache holds 'small', 'large'"),
        ((EDGE, CLOUD), {"edge": "small"}, "name the cloud model with --cloud"),
        ((EDGE, CLOUD), {"edge": "smal", "cloud": "large"}, "the edge model 'smal' 0 times, not once"),
        ((EDGE, CLOUD, CLOUD), {"edge": "small", "cloud": "large"}, "the cloud model 'large' 2 times, not once"),
        ((), {"edge": "small", "cloud": "large"}, "it holds none"),
        (({"config": {}},), {}, r"element 1: no cache of Ianvs"),
        ((3,), {}, r"element 1: expected a JSON object, found '3'"),
        (({"config": {}, "result": [1]},), {}, r"element 1, result 1: needs `query`"),
        (
            ({"config": {}, "result": [{"query": "x", "response": {}}]},),
            {},
            r"result 1: the response has no `completion`",
        ),
    ],
)
def test_a_cache_that_is_not_clear_is_refused(
    models: Any, names: dict[str, str], message: str, cache: Callable[..., Path], data: Path
) -> None:
    with pytest.raises(RouterError, match=message):
        read_caches([cache(*models)], data, **names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"query": "x"', r"data.jsonl:1: not JSON"),
        ('{"prompt": ""}', r"data.jsonl:1: 'query' must be a text, not None"),
        (
            json.dumps({"query": EXAMPLES + QUESTIONS[0], "response": "Paris"}),
            r"data.jsonl:1: .* 'Paris', no option's letter",
        ),
        ("", r"data.jsonl holds no row"),
    ],
)
def test_data_that_cannot_be_graded_are_refused(
    text: str, message: str, cache: Callable[..., Path], data: Path
) -> None:
    data.write_text(text)
    with pytest.raises(RouterError, match=message):
        read_caches([cache(EDGE, CLOUD)], data, edge="small", cloud="large")


def test_files_and_extractors_that_do_not_exist_are_told(cache: Callable[..., Path], data: Path) -> None:
    files = [cache(EDGE, CLOUD)]
    with pytest.raises(RouterError, match="none.json: No such file"):
        read_caches([data.with_name("none.json")], data)
    with pytest.raises(RouterError, match="none.jsonl: No such file"):
        read_caches(files, data.with_name("none.jsonl"), edge="small", cloud="large")
    with pytest.raises(RouterError, match="no answer extractor 'best-guess'"):
        read_caches(files, data, edge="small", cloud="large", extractor="best-guess")


def test_a_cache_that_is_no_list_is_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "cache.json").write_text('{"config": {}}')
    with pytest.raises(RouterError, match="expected a list"):
        read_caches([tmp_path / "cache.json"], data)
