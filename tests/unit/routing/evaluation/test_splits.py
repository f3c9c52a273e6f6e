"""Splits: nothing is learned from what is judged, nothing is judged twice, seeds decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation import (
    Plan,
    delta_class,
    k_fold,
    learning_curve,
    leave_subjects_out,
    without_subjects,
)
from ianvs_collab.routing.traces import Trace


def same(one: Plan, other: Plan) -> bool:
    folds = [[fold for folds in plan.repeats for fold in folds] for plan in (one, other)]
    return all(np.array_equal(a.test, b.test) for a, b in zip(*folds, strict=True))


def check_is_partition(plan: Plan, count: int) -> None:
    for folds in plan.repeats:
        assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(count))
        for fold in folds:
            assert np.array_equal(np.sort(np.concatenate(fold)), np.arange(count))


class TestKFold:
    @settings(deadline=None)
    @given(st.lists(st.sampled_from([-1, 0, 1]), min_size=12, max_size=60), st.integers(2, 4), st.integers(0, 99))
    def test_each_query_is_judged_once_and_never_learned_from_then(
        self, classes: list[int], folds: int, seed: int
    ) -> None:
        if len(set(classes)) < 2:
            return
        plan = k_fold(classes, folds, repeats=2, seed=seed)
        check_is_partition(plan, len(classes))
        assert plan.folds == folds

    def test_classes_are_as_frequent_in_each_fold(self) -> None:
        classes = np.repeat([-1, 0, 1], [50, 700, 250])
        for fold in k_fold(classes, 5).repeats[0]:
            assert [int((classes[fold.test] == value).sum()) for value in (-1, 0, 1)] == [10, 140, 50]

    def test_seeds(self) -> None:
        classes = np.repeat([0, 1], 50)
        assert same(k_fold(classes, seed=3), k_fold(classes, seed=3))
        assert not same(k_fold(classes, seed=3), k_fold(classes, seed=4))
        two = k_fold(classes, repeats=2, seed=3)
        assert same(Plan("iid", two.repeats[1:]), k_fold(classes, seed=4))

    def test_a_class_rarer_than_folds_is_no_obstacle(self) -> None:
        check_is_partition(k_fold([0] * 10 + [1] * 2, 5), 12)

    @pytest.mark.parametrize(
        ("classes", "options", "said"),
        [
            ([0] * 9, {}, "all 9 queries are of one class"),
            ([0, 0, 1], {"folds": 5}, r"3 queries, at most 2 of a class, are too few for 5 folds; .* take 2 folds"),
            ([0, 1], {"folds": 1}, "folds must be at least 2, not 1"),
            ([0, 1], {"repeats": 0}, "repeats must be at least 1, not 0"),
        ],
    )
    def test_what_cannot_be_split(self, classes: list[int], options: dict[str, Any], said: str) -> None:
        with pytest.raises(RouterError, match=said):
            k_fold(classes, **options)

    def test_classes_tell_which_model_is_better(self) -> None:
        assert delta_class([1, 0.5, 0], [0, 0.5, 0.1]).tolist() == [-1, 0, 1]

    def test_in_words(self) -> None:
        assert str(k_fold([0, 1] * 5)) == "5-fold, stratified by which model is better"
        assert str(k_fold([0, 1] * 5, repeats=3)) == "5-fold, stratified by which model is better, 3 times"


class TestLeaveSubjectsOut:
    @settings(deadline=None)
    @given(st.lists(st.sampled_from("abcdefgh"), min_size=5, max_size=60), st.integers(2, 4), st.integers(0, 99))
    def test_no_subject_is_on_both_sides(self, subjects: list[str], folds: int, seed: int) -> None:
        if len(set(subjects)) < folds:
            return
        plan = leave_subjects_out(subjects, folds, 3, seed)
        check_is_partition(plan, len(subjects))
        names = np.array(subjects)
        for fold in (fold for folds in plan.repeats for fold in folds):
            assert not set(names[fold.train]) & set(names[fold.test])

    def test_groups_have_as_many_subjects_as_can_be(self) -> None:
        subjects = np.repeat(np.arange(57).astype(str), 3)
        for folds in leave_subjects_out(subjects).repeats:
            assert sorted(len(set(subjects[fold.test])) for fold in folds) == [11, 11, 11, 12, 12]

    def test_partitions_differ_and_seeds_count_up(self) -> None:
        subjects = list("abcdefghij") * 2
        plan = leave_subjects_out(subjects, 5, 10, seed=100)
        assert len({str([fold.test.tolist() for fold in folds]) for folds in plan.repeats}) == 10
        assert same(Plan("", plan.repeats[2:3]), leave_subjects_out(subjects, 5, 1, seed=102))

    @pytest.mark.parametrize(
        ("subjects", "options", "said"),
        [
            (["a", "b"], {}, "2 subjects cannot be left out in 5 groups; take at most 2 folds"),
            (["", ""], {}, "all queries have the same subject or none.* use the split 'iid'"),
            (["a", "", "b", ""], {"folds": 2}, "2 queries have no subject"),
            (["a", "b"], {"partitions": 0}, "partitions must be at least 1"),
        ],
    )
    def test_what_cannot_be_split(self, subjects: list[str], options: dict[str, Any], said: str) -> None:
        with pytest.raises(RouterError, match=said):
            leave_subjects_out(subjects, **options)

    def test_in_words(self) -> None:
        words = "leave-subjects-out, {} of the subjects into 2 groups"
        assert str(leave_subjects_out(list("abc"), 2, 10)) == words.format("10 random partitions")
        assert str(leave_subjects_out(list("abc"), 2, 1)) == words.format("1 random partition")


class TestLearningCurve:
    def test_smaller_sets_are_parts_of_larger_ones_and_tests_stay(self) -> None:
        plan = k_fold([0, 1] * 20, 4, 2)
        curve = learning_curve(plan, [5, 10, 30])
        assert list(curve) == [5, 10, 30]
        for size, shorter in curve.items():
            assert same(plan, shorter)
            for folds, small, large in zip(plan.repeats, shorter.repeats, curve[30].repeats, strict=True):
                for whole, one, most in zip(folds, small, large, strict=True):
                    assert len(one.train) == size
                    assert set(one.train) <= set(most.train) <= set(whole.train)

    def test_draws_are_random_and_seeded(self) -> None:
        plan = k_fold([0, 1] * 20, 4)
        draws = [learning_curve(plan, [10], seed)[10].repeats[0][0].train.tolist() for seed in (0, 0, 1)]
        assert draws[0] == draws[1] != draws[2]

    @pytest.mark.parametrize("size", [0, 31])
    def test_there_are_only_so_many(self, size: int) -> None:
        with pytest.raises(RouterError, match=f"up to 30 training queries has no place for {size}"):
            learning_curve(k_fold([0, 1] * 20, 4), [size])


class TestWithoutSubjects:
    def test_the_rest_stays_and_is_told_of(self, trace: Trace) -> None:
        rest = without_subjects(without_subjects(trace, ["c"]), ["a"])
        assert sorted(set(rest.subjects)) == list("bdefgh")
        assert [row for row in trace if row.subject not in "ac"] == list(rest)
        assert rest.provenance["left_out"] == ["a", "c"]
        assert "left_out" not in trace.provenance

    def test_a_typing_error_is_answered(self, trace: Trace) -> None:
        named = Trace([*trace.rows[:1], *(row for row in trace if row.subject == "b")], "t")
        with pytest.raises(RouterError, match=r"trace 't' has no subject 'bb'; did you mean 'b'\?"):
            without_subjects(named, ["bb"])
        with pytest.raises(RouterError, match="has no subject 'zzzz'$"):
            without_subjects(named, ["zzzz"])

    def test_something_must_be_left(self, trace: Trace) -> None:
        with pytest.raises(RouterError, match="has no queries left without a, b, c"):
            without_subjects(trace, "abcdefgh")
