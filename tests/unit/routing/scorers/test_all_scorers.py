"""What holds for every trained scorer, whatever it looks at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import SHIPPED, Input, Scorer, make_scorer
from ianvs_collab.routing.target import Target

from .lessons import WORTH, answered, ask, lesson, soft, tiny_encoder

_TUNED = {"epochs": 4, "batch_size": 16, "rate": 5e-3, "validation": 0.0, "max_tokens": 48, "device": "cpu"}
_SPECS: dict[str, tuple[str, dict[str, Any]]] = {
    "prior": ("subject-prior", {}),
    "fixed prior": ("subject-prior", {"shrinkage": 3.0}),
    "length": ("length", {}),
    "linear length": ("length", {"shape": "linear", "unit": "characters"}),
    "tfidf": ("tfidf", {}),
    "tfidf-subject": ("tfidf-subject", {"penalty": 1.0}),
    "question-features": ("question-features", {}),
    "embedding-lr": ("embedding-lr", {"regularisation": 1.0}),
    "embedding-subject-lr": ("embedding-subject-lr", {}),
    "embedding-knn": ("embedding-knn", {"neighbours": 5}),
    "embedding-gb": ("embedding-gb", {"dimensions": 4, "trees": 6, "min_leaf": 5}),
    "text embedding-gb": ("embedding-gb", {"dimensions": 4, "trees": 6, "min_leaf": 5, "subject": False}),
    "rank-ensemble": ("rank-ensemble", {"members": ["tfidf", "subject-prior"], "folds": 3}),
    "mean-ensemble": ("mean-ensemble", {"members": ["length", {"scorer": "tfidf", "min_texts": 1}]}),
    "learned-cascade": ("learned-cascade", {"regularisation": 0.1}),
    "cascade with a question scorer": ("learned-cascade", {"knots": 0, "query_scorer": "subject-prior"}),
    "online-ridge": ("online-ridge", {"components": 4}),
    "encoder": ("encoder", _TUNED),
    "causal-lm": ("causal-lm", {**_TUNED, "rate": 1e-2}),
}
_CHEAP = [key for key, (name, _) in _SPECS.items() if name not in ("encoder", "causal-lm")]


@dataclass(repr=False)
class Case:
    """A scorer to be made, and what it is shown of queries."""

    name: str
    settings: dict[str, Any]

    def make(self) -> Scorer:
        return make_scorer(self.name, **self.settings)

    def shown(self, queries: Sequence[Any]) -> Sequence[Input]:
        return [answered(query) for query in queries] if self.make().reads_answer else queries

    def fit(self, queries: Sequence[Any], target: Target) -> Scorer:
        return self.make().fit(self.shown(queries), target)

    @cached_property
    def trained(self) -> Scorer:
        return self.fit(*lesson(60))

    def scores(self, queries: Sequence[Any], scorer: Scorer | None = None) -> np.ndarray:
        return (scorer or self.trained).scores(self.shown(queries))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def cases(encoder: Path) -> dict[str, Case]:
    def settings_of(name: str, given_settings: dict[str, Any]) -> dict[str, Any]:
        if name.startswith("embedding"):
            return {"model": str(encoder), "cache": False, **given_settings}
        return {"model": str(encoder), **given_settings} if name == "encoder" else given_settings

    return {key: Case(name, settings_of(name, given_settings)) for key, (name, given_settings) in _SPECS.items()}


def _label(key: str) -> str:
    return key.replace(" ", "-")


@pytest.fixture(params=_SPECS, ids=_label)
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    return cases[request.param]


def test_no_shipped_scorer_is_left_out() -> None:
    assert {name for name, _ in _SPECS.values()} == set(SHIPPED)


@pytest.mark.parametrize("key", _CHEAP, ids=_label)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), softness=st.sampled_from([0.0, 0.4]))
def test_a_restored_scorer_scores_exactly_alike(
    key: str, cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory, seed: int, softness: float
) -> None:
    queries, target = lesson(60, seed)
    trained = cases[key].fit(queries, soft(target, softness, seed))
    asked = [*queries[:10], *lesson(20, seed + 1)[0], ask("something else", "unheard of"), ask("")]
    restored = _restored(trained, tmp_path_factory.mktemp("saved"))
    assert cases[key].scores(asked, restored).tolist() == cases[key].scores(asked, trained).tolist()


@pytest.mark.parametrize("key", ["encoder", "causal-lm"])
def test_a_restored_model_scores_exactly_alike(key: str, cases: dict[str, Case], tmp_path: Path) -> None:
    asked = [*lesson(20, 1)[0], ask("something else", "unheard of"), ask("")]
    restored = _restored(cases[key].trained, tmp_path)
    assert cases[key].scores(asked, restored).tolist() == cases[key].scores(asked).tolist()


def _restored(trained: Scorer, folder: Path) -> Scorer:
    trained.save(folder)
    restored = make_scorer(trained.name, **json.loads(json.dumps(trained.settings())))
    restored.restore(folder)
    return restored


def test_what_is_saved_is_data_and_no_program(case: Case, tmp_path: Path) -> None:
    case.trained.save(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}


def test_a_query_is_scored_alike_alone_and_in_a_batch(case: Case) -> None:
    asked = [*lesson(9, 5)[0], ask("something else", "unheard of")]
    alone = [float(case.scores([query])[0]) for query in asked]
    np.testing.assert_allclose(case.scores(asked), alone, atol=1e-6)
    np.testing.assert_allclose(case.scores(asked[::-1])[::-1], alone, atol=1e-6)


def test_scores_are_float64_one_a_query_also_for_none(case: Case) -> None:
    for count in (0, 1, 7):
        scores = case.scores(lesson(7)[0][:count])
        assert (scores.shape, scores.dtype) == ((count,), np.float64)


def test_scores_are_finite_and_prefer_what_gained(case: Case) -> None:
    queries, target = lesson(60)
    scores = case.scores(queries)
    assert np.isfinite(scores).all()
    assert np.corrcoef(scores, target.expected)[0, 1] > 0.15


def test_the_right_answer_in_a_query_changes_nothing(case: Case) -> None:
    """A scorer that read the key would see another value in training, and another in use."""
    queries, target = lesson(60)
    told = [
        type(query)(query, gold="AB"[int(worth > 0)]) for query, worth in zip(queries, target.expected, strict=True)
    ]
    asked = lesson(9, 5)[0]
    keyed = [type(query)(query, gold="A") for query in asked]
    assert case.scores(keyed, case.fit(told, target)).tolist() == case.scores(asked).tolist()


def test_a_twin_learns_the_same_from_the_same_queries(case: Case) -> None:
    twin = case.trained.fresh().fit(case.shown(lesson(60)[0]), lesson(60)[1])
    asked = lesson(9, 5)[0]
    assert case.scores(asked, twin).tolist() == case.scores(asked).tolist()


def test_a_twin_has_the_settings_and_has_learned_nothing(case: Case) -> None:
    twin = case.trained.fresh()
    assert twin.settings() == case.trained.settings()
    with pytest.raises(RouterError, match="has not been trained"):
        case.scores([ask("x")], twin)
    with pytest.raises(RouterError, match="has not been trained"):
        twin.save(Path())


def test_labels_that_are_all_equal_are_refused_with_their_number(case: Case) -> None:
    same = Target("delta", np.tile([0.0, 1.0, 0.0], (60, 1)), WORTH)
    with pytest.raises(RouterError, match=r"all 60 queries have the same label 'delta' \(0 of worth -1, 60 of worth 0"):
        case.fit(lesson(60)[0], same)


def test_queries_and_labels_of_different_number_are_refused(case: Case) -> None:
    queries, target = lesson(60)
    with pytest.raises(RouterError, match="59 queries and 60 labels"):
        case.fit(queries[1:], target)


def test_no_queries_are_refused(case: Case) -> None:
    with pytest.raises(RouterError, match="no labelled queries"):
        case.fit([], Target("delta", np.empty((0, 3)), WORTH))


@pytest.mark.parametrize("damage", ["removed", "empty", "cut", "noise"])
def test_a_damaged_file_is_refused_by_its_name_or_folder(case: Case, tmp_path: Path, damage: str) -> None:
    case.trained.save(tmp_path)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes().strip() != b"{}")
    for file in files:
        content = file.read_bytes()
        if damage == "removed":
            file.unlink()
        else:
            file.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "noise": b"[1, 2]" * 20}[damage])
        with pytest.raises(RouterError, match="train the router again") as refused:
            case.make().restore(tmp_path)
        assert str(file.parent) in str(refused.value)
        file.write_bytes(content)
    case.make().restore(tmp_path)


def test_a_label_of_two_classes_is_learned_too(case: Case) -> None:
    queries, target = lesson(60)
    gained = target.expected > 0
    gain = Target("gain", np.stack([~gained, gained], axis=1).astype(float), np.array([0.0, 1.0]))
    scores = case.scores(queries, case.fit(queries, gain))
    assert np.corrcoef(scores, gain.expected)[0, 1] > 0.15
