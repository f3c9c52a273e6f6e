from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing import CloudOnly, ConfidenceRouter, EdgeOnly, RandomRouter, Router, RouterError
from ianvs_collab.routing.traces import Side, Trace, TraceRow
from ianvs_collab.routing.traces.replay import Replayer, replay


def side(quality: float, tokens: int | None = 10, **fields: object) -> Side:
    return Side(quality, prompt_tokens=tokens, completion_tokens=None if tokens is None else 2, **fields)  # type: ignore[arg-type]


@pytest.fixture
def counted() -> Trace:
    pairs = [(0.0, 1.0, -2.0), (1.0, 0.0, -0.1), (1.0, 1.0, -0.05), (0.0, 0.5, -1.0)]
    rows = [
        TraceRow(f"q{i}", "long " * (i + 1), side(edge, 10 + i, logprobs=(sure,)), side(cloud, 100 + i))
        for i, (edge, cloud, sure) in enumerate(pairs)
    ]
    return Trace(rows, "counted")


class LengthRouter(Router):
    def score(self, data: Query | Answer) -> float:
        return float(len(Query.of(data)["query"]))


def test_the_answer_taken_decides_the_quality(counted: Trace) -> None:
    done = Replayer(counted).route([True, False, False, True])
    assert done.quality.tolist() == [1.0, 1.0, 1.0, 0.5]
    assert (done.cloud_share, done.mean_quality) == (0.5, 0.875)
    assert done.tokens == {
        "edge": {"prompt": 11 + 12, "completion": 4},
        "cloud": {"prompt": 100 + 103, "completion": 4},
    }


def test_in_a_cascade_the_edge_answers_first(counted: Trace) -> None:
    done = Replayer(counted).route([True, False, False, False], cascade=True)
    assert done.tokens["edge"] == {"prompt": 10 + 11 + 12 + 13, "completion": 8}
    assert done.tokens["cloud"] == {"prompt": 100, "completion": 2}


def test_a_score_at_the_threshold_goes_to_the_cloud(counted: Trace) -> None:
    done = Replayer(counted).threshold([0.1, 0.5, np.inf, -np.inf], 0.5)
    assert done.to_cloud.tolist() == [False, True, True, False]


def test_the_two_ends_are_the_recorded_means(counted: Trace) -> None:
    assert replay(counted, EdgeOnly()).mean_quality == counted.quality("edge").mean()
    assert replay(counted, CloudOnly()).mean_quality == counted.quality("cloud").mean()
    assert replay(counted, CloudOnly()).tokens["edge"] == {"prompt": 0, "completion": 0}


@pytest.mark.parametrize("router", [LengthRouter(12), RandomRouter(0.5, seed=1), EdgeOnly(), CloudOnly()])
def test_a_batch_decides_as_single_calls_do(router: Router, counted: Trace) -> None:
    done = replay(counted, router)
    assert done.to_cloud.tolist() == [router(query) for query in counted.queries()]
    assert done.to_cloud.tolist() == replay(counted, router).to_cloud.tolist()


def test_a_cascade_is_shown_answers(counted: Trace) -> None:
    router = ConfidenceRouter(confidence=0.9)
    done = replay(counted, router, cascade=True)
    assert done.cascade
    assert done.to_cloud.tolist() == [True, False, False, True]
    assert done.to_cloud.tolist() == [router(answer) for answer in counted.edge_answers()]


def test_tokens_that_were_not_recorded_are_not_made_up(counted: Trace) -> None:
    unknown = replace(counted.rows[0], edge=side(1, None))
    replayer = Replayer(Trace([unknown, *counted.rows[1:]]))
    assert replayer.route([False] * 4).tokens["edge"] == {"prompt": None, "completion": None}
    assert replayer.route([True] * 4).tokens["edge"] == {"prompt": 0, "completion": 0}


@pytest.mark.parametrize("count", [0, 3, 5])
def test_unequal_lengths_are_refused(count: int, counted: Trace) -> None:
    with pytest.raises(RouterError, match=f"{count} decisions do not fit the 4 queries of 'counted'"):
        Replayer(counted).threshold([0.0] * count, 0.5)


def test_a_score_that_is_no_number_is_refused(counted: Trace) -> None:
    with pytest.raises(RouterError, match="score 2 is NaN"):
        Replayer(counted).threshold([0, 1, float("nan"), 0], 0.5)


def test_no_router_sees_what_another_left_on_a_query(counted: Trace) -> None:
    class Marker(Router):
        def score(self, data: Query | Answer) -> float:
            query = Query.of(data)
            assert "mark" not in query and "mark" not in data and not query.timeline.events
            data["mark"] = query["mark"] = 1
            query.timeline.compute("edge", 1.0, "route")
            return 1.0

    replayer = Replayer(counted)
    for cascade in (False, True, False, True):
        assert replayer.router(Marker(), cascade=cascade).cloud_share == 1.0
