"""The length of the question as a score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorers.length import Length
from ianvs_collab.routing.target import Target

from .lessons import WORTH, ask


def labelled(lengths: list[int], classes: list[int]) -> tuple[list, Target]:
    return [ask("x" * n) for n in lengths], Target("delta", np.eye(3)[classes], WORTH)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2)), min_size=3, max_size=40))
def test_it_equals_scikit_learn_on_log_lengths(pairs: list[tuple[int, int]]) -> None:
    lengths, classes = map(list, zip(*pairs, strict=True))
    if len(set(lengths)) == 1 or len(set(classes)) == 1:
        return
    queries, target = labelled(lengths, classes)
    logs, asked = np.log1p(lengths), [ask("x" * n) for n in (0, 1, 7, 50)]
    expected = np.log1p([0, 1, 7, 50])
    straight = LinearRegression().fit(logs[:, None], target.expected).predict(expected[:, None])
    np.testing.assert_allclose(Length("linear", "characters").fit(queries, target).scores(asked), straight, atol=1e-9)
    bent = [IsotonicRegression(increasing=up, out_of_bounds="clip").fit(logs, target.expected) for up in (True, False)]
    errors = [((curve.predict(logs) - target.expected) ** 2).sum() for curve in bent]
    if abs(errors[0] - errors[1]) < 1e-9:
        return
    best = bent[int(np.argmin(errors))].predict(expected)
    np.testing.assert_allclose(Length("isotonic", "characters").fit(queries, target).scores(asked), best, atol=1e-9)


def test_a_curve_that_fits_no_better_falling_than_rising_rises() -> None:
    queries, target = labelled([1, 2, 3, 4], [0, 2, 2, 0])
    scores = Length("isotonic", "characters").fit(queries, target).scores(queries)
    assert scores[0] < scores[-1]


@pytest.mark.parametrize(("classes", "sign"), [([0, 0, 1, 1, 2, 2], 1), ([2, 2, 1, 1, 0, 0], -1)])
def test_it_finds_out_whether_long_or_short_questions_gain(classes: list[int], sign: int) -> None:
    for shape in ("isotonic", "linear"):
        scores = (
            Length(shape, "characters").fit(*labelled([1, 2, 3, 4, 5, 6], classes)).scores([ask("xx"), ask("x" * 5)])
        )
        assert np.sign(scores[1] - scores[0]) == sign


def test_words_and_signs_are_counted() -> None:
    target = Target("delta", np.eye(3)[[0, 2]], WORTH)
    scorer = Length().fit([ask("one"), ask("one + two = three")], target)
    assert scorer.scores([ask("incomprehensibilities"), ask("a b c d e")]).tolist() == [-1, 1]


def test_solved_examples_before_the_question_do_not_count() -> None:
    scorer = Length(unit="characters").fit(*labelled([1, 9], [0, 2]))
    shown = ask("a solved example\n\nx")
    shown["shots"] = 1
    assert scorer.scores([shown]).tolist() == [-1]


def test_equal_lengths_are_refused() -> None:
    with pytest.raises(RouterError, match="all 3 questions are equally long"):
        Length().fit(*labelled([2, 2, 2], [0, 1, 2]))


@pytest.mark.parametrize(("field", "value"), [("shape", "cubic"), ("unit", "miles")])
def test_an_unknown_setting_is_refused_with_the_known_ones(field: str, value: str) -> None:
    with pytest.raises(RouterError, match=rf"{field} must be one of .*, not '{value}'"):
        Length(**{field: value})


@pytest.mark.parametrize(("saved", "read"), [("isotonic", "linear"), ("linear", "isotonic")])
def test_a_curve_of_another_shape_is_refused(saved: str, read: str, tmp_path: Path) -> None:
    Length(saved, "characters").fit(*labelled([1, 5, 9, 12], [0, 1, 2, 2])).save(tmp_path)
    with pytest.raises(RouterError, match="train the router again"):
        Length(read, "characters").restore(tmp_path)
