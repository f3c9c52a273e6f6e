"""Routers that learn from a trace: their share, their settings, and what they are shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ianvs_collab import routing
from ianvs_collab.inference import Query
from ianvs_collab.routing import ROUTERS
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.labels import target_of
from ianvs_collab.routing.scorer import make_scorer
from ianvs_collab.routing.store import StoredRouter, save_router
from ianvs_collab.routing.traces import write_trace
from ianvs_collab.routing.trained import Recipe, SavedRouter, TrainedRouter

from .toys import toy_trace


class WordRouter(TrainedRouter):
    scorer_name = "toy-word"


class AnswerRouter(TrainedRouter):
    scorer_name = "toy-answer"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    write_trace(toy_trace(), tmp_path / "trace")
    return str(tmp_path / "trace")


def test_it_sends_what_the_cloud_is_worth(folder: str) -> None:
    router = WordRouter(train_data=folder, cloud_share=0.4)
    decisions = {row.subject: router(row.query()) for row in toy_trace(name="new")}
    assert decisions == {"sum": True, "riddle": False, "capital": False}


def test_the_label_decides_what_comes_next(folder: str) -> None:
    # with `delta` riddles come last, for there the cloud is worse; with `gain` they are as good as capitals
    riddle, capital = (row.query() for row in toy_trace(10).subset([4, 5]))
    delta = WordRouter(train_data=folder, label="delta").scores([riddle, capital])
    gain = WordRouter(train_data=folder, label="gain").scores([riddle, capital])
    assert delta.tolist() == [-1, 0] and gain.tolist() == [0, 0]


def test_the_threshold_is_set_by_scores_of_unseen_queries(tmp_path: Path) -> None:
    class MemoryRouter(TrainedRouter):
        scorer_name = "toy-memory"

    write_trace(toy_trace(), tmp_path / "trace")
    router = MemoryRouter(train_data=str(tmp_path / "trace"), cloud_share=0.4)
    assert router.threshold == 0  # it knows nothing of unseen queries, and the threshold shows it


def test_a_threshold_needs_no_folds(folder: str) -> None:
    assert WordRouter(train_data=folder, threshold=0.7, folds=1).threshold == 0.7
    with pytest.raises(RouterError, match="folds"):
        WordRouter(train_data=folder, cloud_share=0.3, folds=1)


def test_settings_go_to_the_scorer(folder: str) -> None:
    router = WordRouter(train_data=folder, place=2)
    assert router.scorer.settings() == {"place": 2}
    with pytest.raises(RouterError, match="scorer 'toy-word' has no setting 'plase'; did you mean 'place'"):
        WordRouter(train_data=folder, plase=2)


def test_test_cases_share_the_training(folder: str) -> None:
    routers = [WordRouter(train_data=folder, cloud_share=share) for share in (0.2, 0.6)]
    assert routers[0].scorer is routers[1].scorer
    assert routers[0].scorer is not WordRouter(train_data=folder, place=2).scorer


def test_a_missing_trace_is_told(tmp_path: Path) -> None:
    with pytest.raises(RouterError, match="`ianvs trace record`"):
        WordRouter(train_data=str(tmp_path / "none"))


def test_a_scorer_of_answers_needs_answers(folder: str) -> None:
    router = AnswerRouter(train_data=folder, cloud_share=0.4)
    trace = toy_trace(10)
    assert [router(answer) for answer in trace.edge_answers()] == [True] * 4 + [False] * 6
    with pytest.raises(RouterError, match="set hard_example_mining_mode: inference-then-mining"):
        router(trace.queries()[0])


def test_the_decision_is_on_the_timeline(folder: str) -> None:
    query = toy_trace(1).queries()[0]
    WordRouter(train_data=folder)(query)
    assert [span["label"] for span in query.timeline.to_dict()["spans"]] == ["route"]


def test_a_batch_is_scored_as_one_by_one(folder: str) -> None:
    router, queries = WordRouter(train_data=folder), toy_trace(20).queries()
    assert router.scores(queries).tolist() == [router.score(query) for query in queries]
    assert router.scores([]).shape == (0,)


class TestSavedRouter:
    @pytest.fixture
    def stored(self) -> StoredRouter:
        trace = toy_trace()
        return StoredRouter(make_scorer("toy-word").fit(trace.queries(), target_of(trace, "delta")), "delta", {})

    def test_it_uses_the_calibrated_threshold_or_another(self, stored: StoredRouter, tmp_path: Path) -> None:
        save_router(stored.calibrated(0.5, {}), tmp_path / "r")
        router = SavedRouter(str(tmp_path / "r"))
        assert router.threshold == 0.5
        assert [router(query) for query in toy_trace(10).queries()] == [True] * 4 + [False] * 6
        assert SavedRouter(str(tmp_path / "r"), threshold=-2).threshold == -2

    def test_without_any_threshold_it_says_how_to_get_one(self, stored: StoredRouter, tmp_path: Path) -> None:
        save_router(stored, tmp_path / "r")
        with pytest.raises(RouterError, match="has no threshold yet; type: ianvs router calibrate"):
            SavedRouter(str(tmp_path / "r"))


def test_nothing_that_a_router_is_shown_holds_the_right_answer() -> None:
    for row in toy_trace(5):
        for shown in (row.query(), row.edge_answer(), Query.of(row.edge_answer())):
            assert "gold" not in shown and "quality" not in shown and not hasattr(shown, "gold")


def test_scores_do_not_depend_on_what_is_held_back() -> None:
    trace = toy_trace()
    scorer = make_scorer("toy-word").fit(trace.queries(), target_of(trace, "delta"))
    assert np.ptp([scorer.scores([row.query()])[0] for row in trace if row.subject == "sum"]) == 0


def test_a_scorer_can_be_named(folder: str) -> None:
    router = TrainedRouter(folder, scorer="toy-word", place=2)
    assert (router.scorer.name, router.scorer.settings()) == ("toy-word", {"place": 2})
    with pytest.raises(RouterError, match="name a scorer: one of .*tfidf"):
        TrainedRouter(folder)


def test_a_scorer_that_draws_at_random_takes_the_routers_seed() -> None:
    recipes = [Recipe.of("rank-ensemble", {"members": ["length"]}, "trace", "delta", folds=3, seed=s) for s in (1, 2)]
    assert [json.loads(recipe.settings)["seed"] for recipe in recipes] == [1, 2]
    assert json.loads(recipes[0].settings)["folds"] == 3
    assert "seed" not in json.loads(Recipe.of("length", {}, "trace", "delta", folds=3, seed=1).settings)


@pytest.mark.parametrize("name", ROUTERS)
def test_every_router_is_importable_by_name(name: str) -> None:
    assert getattr(routing, name).__name__ == name


def test_no_other_name_is_a_router() -> None:
    with pytest.raises(AttributeError, match="NoSuchRouter"):
        routing.NoSuchRouter  # noqa: B018
