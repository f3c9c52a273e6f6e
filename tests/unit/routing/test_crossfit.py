"""Out-of-fold scores: no query is scored by a scorer that was trained on it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.crossfit import out_of_fold
from ianvs_collab.routing.labels import target_of
from ianvs_collab.routing.scorer import make_scorer

from .toys import toy_trace


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 8), st.integers(0, 99))
def test_a_scorer_that_only_remembers_knows_nothing_of_any_query(folds: int, seed: int) -> None:
    trace = toy_trace()
    target = target_of(trace, "delta")
    memory = make_scorer("toy-memory")
    assert np.any(memory.fresh().fit(trace.queries(), target).scores(trace.queries()))
    assert not np.any(out_of_fold(memory, trace.queries(), target, folds, seed))


def test_what_generalises_is_scored_as_if_it_had_been_seen() -> None:
    trace = toy_trace()
    scores = out_of_fold(make_scorer("toy-word"), trace.queries(), target_of(trace, "delta"))
    assert scores.tolist() == target_of(trace, "delta").expected.tolist()


def test_the_given_scorer_stays_untrained() -> None:
    trace, word = toy_trace(), make_scorer("toy-word")
    out_of_fold(word, trace.queries(), target_of(trace, "gain"))
    assert not hasattr(word, "means_")


def test_a_class_rarer_than_the_folds_is_no_obstacle() -> None:
    trace = toy_trace(20)  # two riddles
    assert out_of_fold(make_scorer("toy-word"), trace.queries(), target_of(trace, "delta"), folds=5).shape == (20,)


@pytest.mark.parametrize(("count", "folds"), [(10, 1), (10, 8), (0, 5)])
def test_too_few_queries_or_folds_are_told(count: int, folds: int) -> None:
    trace = toy_trace(10)
    target = target_of(trace, "delta").subset(np.arange(count))
    with pytest.raises(RouterError, match=rf"{count} labelled queries.* cannot be cut into {folds} folds"):
        out_of_fold(make_scorer("toy-word"), trace.queries()[:count], target, folds)
