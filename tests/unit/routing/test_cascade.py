"""Confidence of an answer by its tokens' probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing import ConfidenceRouter, RouterError
from ianvs_collab.routing.cascade import confidence

LOGPROBS = st.lists(st.floats(-30, 0), min_size=1, max_size=20)


def answer(logprobs: list[float] | None, outcome: str = "ok") -> Answer:
    return Answer({"logprobs": logprobs, "outcome": outcome}, Query(query_id="q", query="?"))


@given(LOGPROBS, st.floats(0, 1))
def test_statistics_are_those_of_numpy(logprobs: list[float], level: float) -> None:
    assert confidence(logprobs, "mean") == pytest.approx(np.exp(np.mean(logprobs)))
    assert confidence(logprobs, "min") == pytest.approx(np.exp(logprobs).min())
    assert confidence(logprobs, "quantile", level) == pytest.approx(np.exp(np.quantile(logprobs, level)))


@given(LOGPROBS)
def test_the_ends_of_the_quantile_are_the_extremes(logprobs: list[float]) -> None:
    assert confidence(logprobs, "quantile", 0) == confidence(logprobs, "min")
    assert confidence(logprobs, "quantile", 1) == math.exp(max(logprobs))


@given(LOGPROBS, st.floats(0, 1), st.sampled_from(["mean", "min", "quantile"]))
def test_exactly_the_answers_at_least_so_confident_stay(logprobs: list[float], least: float, statistic: str) -> None:
    sure = 1 - (1 - confidence(logprobs, statistic))  # type: ignore[arg-type]
    if abs(sure - least) > 1e-12:
        assert ConfidenceRouter(least, statistic)(answer(logprobs)) == (sure < least)  # type: ignore[arg-type]


def test_an_answer_exactly_as_confident_as_asked_stays() -> None:
    assert not ConfidenceRouter(0.5)(answer([math.log(0.5)]))
    assert not ConfidenceRouter(1.0)(answer([0.0]))


def test_what_cannot_be_read_goes_to_the_cloud_however_sure_the_model_was() -> None:
    assert ConfidenceRouter(0.0)(answer([0.0], "unparsed"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"statistic": "median"}, r"statistic must be 'mean', 'min' or 'quantile', not 'median'"),
        ({"quantile": 10}, "quantile must lie between 0 and 1, not 10"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RouterError, match=message):
        ConfidenceRouter(**arguments)  # type: ignore[arg-type]


def test_wrong_data() -> None:
    with pytest.raises(RouterError, match="set hard_example_mining_mode: inference-then-mining"):
        ConfidenceRouter()(Query(query_id="q", query="?"))
    with pytest.raises(RouterError, match=r"give the edgemodel `logprobs: \{values: \[true\]\}`"):
        ConfidenceRouter()(answer(None))
