"""The router on question features: learns, carries over to unseen subjects, survives its folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import Ridge

from ianvs_collab.inference import Answer, Query
from ianvs_collab.modelserver import embedding
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation import cross_validate, without_subjects
from ianvs_collab.routing.features import feature_names, question_features
from ianvs_collab.routing.labels import make_target
from ianvs_collab.routing.scorer import make_scorer
from ianvs_collab.routing.scorers.features import QuestionFeatures, principal_directions
from ianvs_collab.routing.scorers.storage import ARRAYS, FACTS
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.correctness import read_correctness


class WordCounts:
    """Stands in for a sentence encoder: three numbers that a text determines."""

    def __init__(self, model: str) -> None:
        assert model == "minilm"

    def embed(self, texts: list[str]) -> np.ndarray:
        return np.array([[len(text), text.count("a"), text.count("is")] for text in texts], dtype=np.float32) / 100


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "Embedder", WordCounts)


def questions() -> list[Query]:
    """Sums, which the cloud wins, and capitals, where both do as well."""
    sums = [f"Calculate {i} + {7 * i}.\nA. {i}\nB. {8 * i}\nC. 3\nD. 4" for i in range(40)]
    capitals = [f"What is the capital of country {'x' * (i % 7)}?\nA. Ada\nB. Bob\nC. Cod\nD. Dot" for i in range(60)]
    return [Query(query=text, choices={}) for text in sums + capitals]


def lesson(label: str = "delta") -> Target:
    edge, cloud = np.ones(100), np.ones(100)
    edge[:38] = 0
    cloud[38:40] = 0
    return make_target(label, edge, cloud)


def test_it_learns_which_kind_of_question_wants_the_cloud() -> None:
    scores = make_scorer("question-features").fit(questions(), lesson()).scores(questions())
    assert scores[:40].min() > scores[40:].max()


@pytest.mark.parametrize("label", ["delta", "gain"])
def test_it_is_ridge_regression_on_the_expected_worth(label: str) -> None:
    queries, target = questions(), lesson(label)
    table = question_features(queries)
    deviation = table.std(axis=0)
    columns = (table - table.mean(axis=0)) / np.where(deviation > 1e-9, deviation, 1.0)
    reference = Ridge(alpha=0.3 * len(queries)).fit(columns, target.expected)
    scorer = QuestionFeatures(penalty=0.3, clip=100.0).fit(queries, target)
    assert scorer.scores(queries) == pytest.approx(reference.predict(columns), abs=1e-9)
    assert scorer.effects() == pytest.approx(dict(zip(feature_names(), reference.coef_, strict=True)), abs=1e-9)


def test_effects_name_the_features_largest_first() -> None:
    effects = QuestionFeatures(groups=["numbers"]).fit(questions(), lesson()).effects()
    sizes = [abs(value) for value in effects.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sorted(effects) == sorted(feature_names(["numbers"]))


def test_tails_are_cut_off() -> None:
    scorer = QuestionFeatures(groups=["size"], clip=2.0).fit(questions(), lesson())
    long, longer = (Query(query="why " * count, choices={}) for count in (10_000, 20_000))
    assert scorer.scores([long]) == scorer.scores([longer])


@pytest.mark.parametrize("encoded", ["", "minilm"])
def test_a_query_has_the_same_score_alone_in_a_batch_and_by_its_answer(encoder: None, encoded: str) -> None:
    queries = questions()
    scorer = QuestionFeatures(embedding=encoded).fit(queries, lesson())
    alone = np.concatenate([scorer.scores([query]) for query in queries])
    answers = [Answer({"completion": "A"}, query) for query in queries]
    assert np.array_equal(scorer.scores(queries), alone)
    assert np.array_equal(scorer.scores(answers), alone)


@pytest.mark.parametrize("encoded", ["", "minilm"])
def test_a_restored_router_gives_identical_scores(encoder: None, tmp_path: Path, encoded: str) -> None:
    scorer = QuestionFeatures(embedding=encoded, directions=2).fit(questions(), lesson())
    scorer.save(tmp_path)
    twin = make_scorer("question-features", **json.loads(json.dumps(scorer.settings())))
    twin.restore(tmp_path)
    assert np.array_equal(twin.scores(questions()), scorer.scores(questions()))
    assert twin.scores([]).shape == (0,)


def test_an_embedding_adds_what_the_features_do_not_see(encoder: None) -> None:
    queries = [Query(query=f"Who is b{'a' * (i % 5)}{'e' * (4 - i % 5)}?", choices={}) for i in range(100)]
    wins = np.arange(100) % 5 > 1
    target = make_target("delta", np.where(wins, 0.0, 1.0), np.ones(100))
    blind = QuestionFeatures().fit(queries, target).scores(queries)
    seeing = QuestionFeatures(embedding="minilm").fit(queries, target).scores(queries)
    assert np.ptp(blind) < 1e-9
    assert seeing[wins].min() > seeing[~wins].max()


def test_directions_are_those_of_the_singular_value_decomposition_with_fixed_signs() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 6)) * np.arange(1, 7)
    found = principal_directions(rows, 3)
    reference = np.linalg.svd(rows - rows.mean(axis=0))[2][:3]
    assert np.abs(found.T @ reference.T) == pytest.approx(np.eye(3), abs=1e-8)
    assert (found[np.abs(found).argmax(axis=0), range(3)] > 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"penalty": 0}, "penalty must be above 0, not 0"),
        ({"clip": float("nan")}, "clip must be above 0, not nan"),
        ({"directions": 0}, "directions must be above 0"),
        ({"groups": ["shape"]}, r"groups must be some of size, .* not \['shape'\]"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RouterError, match=message):
        make_scorer("question-features", **settings)


def test_labels_must_fit_the_queries_and_differ() -> None:
    with pytest.raises(RouterError, match="99 queries and 100 labels"):
        QuestionFeatures().fit(questions()[1:], lesson())
    same = Target("delta", np.tile([0.0, 1.0, 0.0], (100, 1)), np.array([-1.0, 0.0, 1.0]))
    with pytest.raises(RouterError, match="same label 'delta'"):
        QuestionFeatures().fit(questions(), same)


@pytest.mark.parametrize("act", [lambda s, p: s.scores(questions()), lambda s, p: s.save(p), lambda s, p: s.effects()])
def test_an_untrained_one_says_so(act: object, tmp_path: Path) -> None:
    with pytest.raises(RouterError, match="'question-features' has not been trained"):
        act(QuestionFeatures(), tmp_path)  # type: ignore[operator]


def test_a_folder_of_other_features_is_refused(tmp_path: Path) -> None:
    QuestionFeatures(groups=["size"]).fit(questions(), lesson()).save(tmp_path)
    with pytest.raises(RouterError, match="made with other question features"):
        QuestionFeatures().restore(tmp_path)


@pytest.mark.parametrize("name", [ARRAYS, FACTS])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    QuestionFeatures().fit(questions(), lesson()).save(tmp_path)
    (tmp_path / name).write_bytes(b"\x00damaged")
    with pytest.raises(RouterError, match="damaged.*train the router again"):
        QuestionFeatures().restore(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(RouterError, match="train the router again"):
        QuestionFeatures().restore(tmp_path)


@pytest.mark.parametrize("name", ["centre", "mean"])
def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path, name: str) -> None:
    QuestionFeatures().fit(questions(), lesson()).save(tmp_path)
    arrays = load_file(tmp_path / ARRAYS)
    save_file({**arrays, name: np.ones(3)}, tmp_path / ARRAYS)
    with pytest.raises(RouterError, match="do not fit"):
        QuestionFeatures().restore(tmp_path)


def test_it_carries_over_to_subjects_it_has_not_seen_in_a_real_trace(data_root: Path) -> None:
    trace = read_correctness(data_root / "traces" / "mmlu_mixtral_gpt4.csv", data_root / "mmlu")
    sound = without_subjects(trace, ["high_school_mathematics"])
    scorer = make_scorer("question-features")
    assert cross_validate(trace, scorer, split="leave-subjects-out").mean("apgr") >= 0.60
    assert cross_validate(sound, scorer, split="leave-subjects-out", repeats=3).mean("apgr") >= 0.57
