from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.inference import Answer, EdgeParticipant, Query
from ianvs_collab.link import Deployment, Device, use_deployment
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.routing import (
    CloudOnly,
    ConfidenceRouter,
    EdgeOnly,
    OracleRouter,
    RandomRouter,
    Router,
    RouterError,
    TfidfRouter,
    threshold_for_share,
)


def ask(name: str = "q", text: str = "What?") -> Query:
    return Query(query_id=name, query=text)


def test_the_ends_are_constant() -> None:
    assert not any(EdgeOnly()(ask(str(i))) for i in range(5))
    assert all(CloudOnly()(ask(str(i))) for i in range(5))


def test_the_coin_is_fair_seeded_and_independent_of_order() -> None:
    names = [str(i) for i in range(4000)]
    first = [RandomRouter(0.3, seed=1)(ask(name)) for name in names]
    again = [RandomRouter(0.3, seed=1)(ask(name)) for name in reversed(names)][::-1]
    other = [RandomRouter(0.3, seed=2)(ask(name)) for name in names]
    assert first == again
    assert first != other
    assert sum(first) / len(first) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 200)])
def test_the_coins_limits_are_exact(share: float, expected: int) -> None:
    assert sum(RandomRouter(share)(ask(str(i))) for i in range(200)) == expected


def test_deciding_takes_time_on_the_edge_device() -> None:
    class Slow(Router):
        def score(self, data: Query | Answer) -> float:
            return float(np.linalg.norm(np.ones((300, 300)) @ np.ones((300, 300))))

    use_deployment(Deployment(edge=Device(slowdown=1000)))
    query = ask()
    assert Slow()(query) is True
    (span,) = query.timeline.to_dict()["spans"]
    assert (span["resource"], span["label"]) == ("edge", "route")
    assert query.timeline.now > 0.001


class Fixed:
    """A model whose answers are written by the test; it counts how often it was asked."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers

    def predict(self, query: Query) -> Answer:
        query.timeline.compute("edge", 100.0, "work")
        return Answer({"answer": self.answers[query["query_id"]]}, query)

    inference = predict


def test_the_oracle_asks_the_cloud_only_where_that_turns_wrong_into_right() -> None:
    right, wrong = "A", "B"
    cases = {"rr": (right, right), "rw": (right, wrong), "wr": (wrong, right), "ww": (wrong, wrong)}
    oracle = OracleRouter(
        Fixed({name: edge for name, (edge, _) in cases.items()}),
        Fixed({name: cloud for name, (_, cloud) in cases.items()}),
    )
    queries = {name: Query(query_id=name, query="?", gold=right) for name in cases}
    assert {name for name, query in queries.items() if oracle(query)} == {"wr"}
    assert all(query.timeline.now == 0 for query in queries.values())


def test_the_oracle_says_what_it_lacks() -> None:
    with pytest.raises(RouterError, match="OracleQueryProcessor"):
        OracleRouter(Fixed({}), Fixed({}))(ask())


def edge_answer(scripted: Callable[..., Any], logprobs: tuple[float, ...] | None, text: str = "Paris") -> Answer:
    query = Query(query_id="q", query="?", choices={"A": "Paris", "B": "Rome"})
    server = scripted(text, times=tuple(0.1 * (i + 1) for i in range(3)), logprobs=logprobs)
    return EdgeParticipant(server, SamplingParams(logprobs=True)).answer(query)


@pytest.mark.parametrize(
    ("statistic", "confidence", "hard"),
    [("min", 0.5, True), ("min", 0.4, False), ("mean", 0.7, False), ("mean", 0.8, True)],
)
def test_the_cascade_asks_the_cloud_when_the_edge_is_not_sure(
    scripted: Callable[..., Any], statistic: str, confidence: float, hard: bool
) -> None:
    answer = edge_answer(scripted, (0.0, math.log(0.45), 0.0))  # geometric mean of the probabilities: 0.766
    assert ConfidenceRouter(confidence, statistic)(copy.deepcopy(answer)) is hard
    assert answer.query.timeline.events[-1].label == "route"


def test_an_answer_exactly_as_sure_as_asked_stays_at_the_edge(scripted: Callable[..., Any]) -> None:
    answer = edge_answer(scripted, (0.0, 0.0, 0.0))
    assert ConfidenceRouter(1.0)(answer) is False


def test_an_unreadable_answer_goes_to_the_cloud(scripted: Callable[..., Any]) -> None:
    assert ConfidenceRouter(0.0)(edge_answer(scripted, (0.0, 0.0, 0.0), "Hm.")) is True


def test_the_cascade_says_what_it_lacks(scripted: Callable[..., Any]) -> None:
    with pytest.raises(RouterError, match="inference-then-mining"):
        ConfidenceRouter()(ask())
    with pytest.raises(RouterError, match="logprobs"):
        ConfidenceRouter()(edge_answer(scripted, None))
    with pytest.raises(RouterError, match="statistic"):
        ConfidenceRouter(statistic="median")  # type: ignore[arg-type]


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=200, unique=True).filter(lambda scores: len(scores) > 20),
    st.floats(0, 1),
)
def test_a_share_is_met_on_the_calibration_queries(scores: list[float], share: float) -> None:
    threshold = threshold_for_share(scores, share)
    realised = sum(score >= threshold for score in scores) / len(scores)
    assert realised == pytest.approx(share, abs=1.01 / len(scores))


@pytest.mark.parametrize(("scores", "share", "message"), [([0.5], 1.5, "between 0 and 1"), ([], 0.5, "no")])
def test_a_share_that_cannot_be_met_is_refused(scores: list[float], share: float, message: str) -> None:
    with pytest.raises(RouterError, match=message):
        threshold_for_share(scores, share)


def test_the_tfidf_router_learns_which_questions_need_the_cloud(labelled: Path) -> None:
    router = TfidfRouter(str(labelled), cloud_share=0.4)
    sums = [router(ask(text=f"What is {i} + 9?\nA. 3\nB. 4")) for i in range(50, 60)]
    capitals = [router(ask(text=f"What is the capital of land {i}?\nA. x\nB. y")) for i in range(10)]
    assert all(sums)
    assert not any(capitals)


def test_a_threshold_overrides_the_share(labelled: Path) -> None:
    assert TfidfRouter(str(labelled), threshold=0.0)(ask(text="What is the capital of land 1?")) is True
    assert TfidfRouter(str(labelled), threshold=1.1)(ask(text="What is 1 + 2?")) is False


def test_few_shot_examples_do_not_reach_the_router(labelled: Path) -> None:
    router = TfidfRouter(str(labelled), cloud_share=0.4)
    examples = "What is 1 + 2?\nA. 3\nB. 4\nAnswer: A\n\n"
    plain = ask(text="What is the capital of land 3?\nA. x\nB. y")
    shots = Query(query_id="q", query=examples + plain["query"], shots=1)
    assert router.score(shots) == router.score(plain)
