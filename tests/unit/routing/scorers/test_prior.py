"""The subject prior: means, drawn towards the mean of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorers.prior import SubjectPrior, empirical_shrinkage
from ianvs_collab.routing.target import Target

from .lessons import WORTH, ask


def labelled(worths: dict[str, list[int]]) -> tuple[list, Target]:
    queries = [ask(f"{subject} {n}", subject) for subject, values in worths.items() for n in range(len(values))]
    classes = [value + 1 for values in worths.values() for value in values]
    return queries, Target("delta", np.eye(3)[classes], WORTH)


SAMPLE = {"law": [1, 1, 0, 1], "art": [0, 0, -1, 0, 0, 0], "one": [1]}


def test_without_shrinkage_the_score_is_the_subjects_mean() -> None:
    prior = SubjectPrior(shrinkage=0).fit(*labelled(SAMPLE))
    scores = prior.scores([ask("?", "law"), ask("?", "art"), ask("?", "one")])
    np.testing.assert_allclose(scores, [3 / 4, -1 / 6, 1])


def test_shrinkage_adds_queries_of_average_worth() -> None:
    prior = SubjectPrior(shrinkage=2).fit(*labelled(SAMPLE))
    average = 3 / 11
    np.testing.assert_allclose(prior.scores([ask("?", "law")]), [(3 + 2 * average) / 6])


def test_an_unknown_subject_gets_the_mean_of_all() -> None:
    prior = SubjectPrior(shrinkage=0).fit(*labelled(SAMPLE))
    np.testing.assert_allclose(prior.scores([ask("?", "music"), ask("?")]), [3 / 11, 3 / 11])


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.integers(-1, 1), min_size=1, max_size=9), min_size=1),
    st.one_of(st.none(), st.floats(0, 100)),
)
def test_a_score_lies_between_the_subjects_mean_and_the_mean_of_all(
    worths: dict[str, list[int]], shrinkage: float | None
) -> None:
    queries, target = labelled(worths)
    if np.ptp(target.expected) == 0:
        return
    prior = SubjectPrior(shrinkage).fit(queries, target)
    overall = target.expected.mean()
    for subject, values in worths.items():
        low, high = sorted([np.mean(values), overall])
        assert low - 1e-12 <= prior.scores([ask("?", subject)])[0] <= high + 1e-12


def test_the_shrinkage_the_data_ask_for_is_the_ratio_of_variances() -> None:
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(3000), rng.integers(5, 40, 3000))
    worth = rng.normal(0, 0.5, 3000)[subjects] + rng.normal(0, 2, len(subjects))
    assert empirical_shrinkage(worth, subjects) == pytest.approx(4 / 0.25, rel=0.1)


def test_subjects_that_differ_by_chance_alone_are_all_given_the_mean() -> None:
    queries, target = labelled({"a": [0, 1], "b": [1, 0], "c": [0, 1]})
    scores = SubjectPrior().fit(queries, target).scores([ask("?", "a"), ask("?", "b")])
    assert scores.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("worths", [{"a": [0, 1, 1]}, {"a": [0], "b": [1]}])
def test_one_subject_or_one_query_each_say_nothing_about_subjects(worths: dict[str, list[int]]) -> None:
    queries, target = labelled(worths)
    prior = SubjectPrior().fit(queries, target)
    np.testing.assert_allclose(prior.scores(queries), target.expected.mean())


def test_soft_labels_count_with_their_probabilities() -> None:
    target = Target("delta", np.array([[0, 0.25, 0.75], [0.5, 0.5, 0]]), WORTH)
    prior = SubjectPrior(0).fit([ask("1", "a"), ask("2", "b")], target)
    np.testing.assert_allclose(prior.scores([ask("?", "a"), ask("?", "b")]), [0.75, -0.5])


@pytest.mark.parametrize("shrinkage", [-1, float("nan")])
def test_a_negative_shrinkage_is_refused(shrinkage: float) -> None:
    with pytest.raises(RouterError, match="shrinkage must be 0 or more"):
        SubjectPrior(shrinkage)


def test_subjects_and_means_of_different_number_are_refused(tmp_path: Path) -> None:
    SubjectPrior().fit(*labelled(SAMPLE)).save(tmp_path)
    (tmp_path / "learned.json").write_text('{"subjects": ["law"]}')
    with pytest.raises(RouterError, match="train the router again"):
        SubjectPrior().restore(tmp_path)
