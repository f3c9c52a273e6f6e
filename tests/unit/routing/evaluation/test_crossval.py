"""Cross-validation: what is learned from, what is judged, and what the result says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from ianvs_collab.inference import Answer
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation import (
    Curve,
    Plan,
    Split,
    compare,
    cross_validate,
    k_fold,
    make_plan,
    without_subjects,
)
from ianvs_collab.routing.scorer import make_scorer
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces import Side, Trace, TraceRow

from .conftest import MeanOfSubject, make_trace


class TestCrossValidate:
    def test_each_fold_is_scored_by_a_twin_that_learned_from_the_others(
        self, trace: Trace, scorer: MeanOfSubject
    ) -> None:
        result = cross_validate(trace, scorer, "delta", "iid", seed=4)
        fold = result.folds[2]
        delta = trace.quality("cloud") - trace.quality("edge")
        train, test = trace.subjects[fold.split.train], trace.subjects[fold.split.test]
        expected = [delta[fold.split.train][train == subject].mean() for subject in test]
        assert fold.scores.tolist() == pytest.approx(expected)
        assert fold.fit_seconds > 0
        assert result.score_seconds > 0
        assert not hasattr(scorer, "means_")

    def test_settings_and_names_are_kept(self, trace: Trace) -> None:
        result = cross_validate(trace, MeanOfSubject(sign=-1.0), "gain", name="mine")
        assert (result.name, result.label, result.trace) == ("mine", "gain", "made-up")
        assert result.settings == {"sign": -1.0}
        assert result.mean("apgr") < 0.5
        assert cross_validate(trace, MeanOfSubject(), "gain").name == "mean-of-subject"

    def test_labels_are_made_of_the_training_queries_alone(self, trace: Trace, scorer: MeanOfSubject) -> None:
        lessons: list[Trace] = []

        def label(lesson: Trace) -> Target:
            lessons.append(lesson)
            gain = (lesson.quality("cloud") > lesson.quality("edge")).astype(float)
            return Target("own", np.column_stack([1 - gain, gain]), np.array([0.0, 1.0]))

        result = cross_validate(trace, scorer, label)
        assert result.label == "own"
        assert result.per_fold("apgr").tolist() == cross_validate(trace, scorer, "gain").per_fold("apgr").tolist()
        for fold, lesson in zip(result.folds, lessons[:5], strict=True):
            assert [row.query_id for row in lesson] == [trace.rows[i].query_id for i in fold.split.train]

    def test_a_scorer_that_reads_answers_is_given_them_without_the_right_one(self, trace: Trace) -> None:
        seen: list[Any] = []

        class Reader(MeanOfSubject):
            reads_answer = True

            def fit(self, inputs: Sequence[Any], target: Target) -> Reader:
                seen.extend(inputs)
                return self

            def scores(self, inputs: Sequence[Any]) -> np.ndarray:
                return np.array([-sum(answer["logprobs"]) for answer in inputs])

        gold = Trace([replace(row, gold="A") for row in trace], "gold")
        cross_validate(gold, Reader())
        assert all(isinstance(answer, Answer) for answer in seen)
        assert not any("gold" in answer or "gold" in answer.query for answer in seen)

    def test_subjects_that_are_left_out_are_scored_alike(self, trace: Trace, scorer: MeanOfSubject) -> None:
        result = cross_validate(trace, scorer, split="leave-subjects-out", folds=4, repeats=3)
        assert np.allclose(result.per_fold("area_gain"), np.zeros((3, 4)))
        assert result.plan.name == "leave-subjects-out"

    def test_a_plan_made_before_is_used_as_it_is(self, trace: Trace, scorer: MeanOfSubject) -> None:
        plan = make_plan(trace, "iid", folds=3, repeats=2, seed=9)
        result = cross_validate(trace, scorer, split=plan)
        assert result.plan is plan
        assert len(result.folds) == 6

    def test_defaults_of_plans(self, trace: Trace) -> None:
        assert len(make_plan(trace).repeats) == 1
        assert len(make_plan(trace, "leave-subjects-out").repeats) == 10
        with pytest.raises(RouterError, match="no split 'random'; splits are iid and leave-subjects-out"):
            make_plan(trace, "random")

    def test_a_fold_with_one_class_is_named(self) -> None:
        sides = [(0.0, 1.0)] * 6 + [(1.0, 1.0)] * 6
        rows = [TraceRow(str(i), "?", Side(e), Side(c), "s") for i, (e, c) in enumerate(sides)]
        plan = Plan("iid", ((Split(np.arange(12), np.arange(6)), Split(np.arange(6), np.arange(6, 12))),), 7)
        with pytest.raises(RouterError, match=r"mine \(iid, seed 7, fold 2 of 2\): label 'delta': all 6 queries have"):
            cross_validate(Trace(rows), _Silent(), split=plan, name="mine")

    @pytest.mark.parametrize(("given", "said"), [([1.0], r"shape \(1,\)"), ([np.nan] * 32, "32 values that are none")])
    def test_scores_must_be_numbers_one_for_each_query(self, trace: Trace, given: list[float], said: str) -> None:
        with pytest.raises(RouterError, match=f"seed 0, fold 1 of 5.*must give each of 32 queries a number.*{said}"):
            cross_validate(trace, _Silent(given=tuple(given)))


@dataclass
class _Silent(MeanOfSubject):
    """Gives what it is told to, or zeros."""

    given: tuple[float, ...] = ()

    def scores(self, inputs: Sequence[Any]) -> np.ndarray:
        return np.array(self.given) if self.given else np.zeros(len(inputs))


class TestResult:
    def test_the_headline_is_the_mean_over_folds(self, trace: Trace, scorer: MeanOfSubject) -> None:
        result = cross_validate(trace, scorer, repeats=2)
        edge, cloud = trace.quality("edge"), trace.quality("cloud")
        one_by_one = [
            Curve.of(part).apgr for part in result.parts if (part.edge == edge[part.rows]).all() and len(cloud) == 160
        ]
        assert len(one_by_one) == 10
        assert result.mean("apgr") == pytest.approx(np.mean(one_by_one))
        assert result.per_repeat("apgr").tolist() == pytest.approx(np.reshape(one_by_one, (2, 5)).mean(axis=1).tolist())
        assert result.mean("apgr") > 0.6
        assert result.interval("apgr", resamples=50).estimate == pytest.approx(result.mean("apgr"))

    def test_scores_out_of_fold_are_those_of_the_folds(self, trace: Trace, scorer: MeanOfSubject) -> None:
        result = cross_validate(trace, scorer, repeats=2)
        assert result.out_of_fold.shape == (2, 160)
        assert np.isfinite(result.out_of_fold).all()
        fold = result.folds[7]
        assert result.out_of_fold[1, fold.split.test].tolist() == fold.scores.tolist()

    def test_a_fold_without_a_gap_is_counted_and_left_out(self) -> None:
        edge, cloud = np.array([1, 1, 0, 0.0]), np.array([0, 1, 1, 1.0])
        plan = Plan("iid", ((Split(np.arange(2, 4), np.arange(2)), Split(np.arange(2), np.arange(2, 4))),))
        rows = [TraceRow(str(i), "?", Side(edge[i]), Side(cloud[i]), "s") for i in range(4)]
        own = lambda lesson: Target("own", np.ones((len(lesson), 1)), np.ones(1))  # noqa: E731
        result = cross_validate(Trace(rows), _Silent(given=(1.0, 0.0)), own, plan)
        assert result.undefined("apgr") == 1
        assert result.mean("apgr") == 0.5
        assert np.isnan(result.per_fold("apgr")[0, 0])
        assert result.aggregate_apgr == pytest.approx(0.5 + ((-0.125) / 2) / ((-0.5 + 1) / 2))

    def test_no_fold_with_a_gap_is_an_error(self, scorer: MeanOfSubject) -> None:
        backwards = make_trace()
        turned = Trace([replace(row, edge=row.cloud, cloud=row.edge) for row in backwards], "turned")
        result = cross_validate(turned, scorer)
        with pytest.raises(RouterError, match="'apgr' of 'mean-of-subject' has no value in any fold"):
            result.mean("apgr")
        with pytest.raises(RouterError, match="trace 'turned': the cloud is on average no better than the edge"):
            result.aggregate_apgr  # noqa: B018
        assert result.mean("normalised") > 0

    def test_aggregate_of_equal_folds_is_the_mean(self, trace: Trace, scorer: MeanOfSubject) -> None:
        whole = Plan("iid", ((Split(np.arange(80), np.arange(80, 160)),),))
        result = cross_validate(trace, _Silent(), split=whole)
        assert result.aggregate_apgr == pytest.approx(result.mean("apgr")) == 0.5

    def test_comparing_pairs_the_queries(self, trace: Trace) -> None:
        good, bad = compare(trace, {"good": MeanOfSubject(), "bad": MeanOfSubject(sign=-1.0)})
        comparison = good.compare(bad, "apgr", resamples=99)
        assert comparison.difference.estimate == pytest.approx(good.mean("apgr") - bad.mean("apgr"))
        assert comparison.p_value == pytest.approx(2 / 100)

    def test_drawing_subjects_asks_about_other_subjects(self, trace: Trace, scorer: MeanOfSubject) -> None:
        result = cross_validate(trace, scorer)
        by_query, by_subject = (result.interval("gap", by_subject=choice, resamples=400) for choice in (False, True))
        assert by_subject.high - by_subject.low > 1.5 * (by_query.high - by_query.low)
        other = cross_validate(trace, MeanOfSubject(sign=-1.0))
        assert result.compare(other, "auc", by_subject=True, resamples=50).difference.low > 0

    def test_bands(self, trace: Trace, scorer: MeanOfSubject) -> None:
        result = cross_validate(trace, scorer)
        band = result.band([0.0, 0.5, 1.0], resamples=50)
        assert band.quality[1] == pytest.approx(result.mean("quality50"))

    def test_realised_shares_use_thresholds_of_the_other_folds(self, trace: Trace) -> None:
        plan = Plan("iid", ((Split(np.arange(2, 4), np.arange(2)), Split(np.arange(2), np.arange(2, 4))),))
        own = lambda lesson: Target("own", np.ones((len(lesson), 1)), np.ones(1))  # noqa: E731
        part = trace.subset([0, 1, 140, 141])
        result = cross_validate(part, _Silent(given=(1.0, 2.0)), own, plan)
        folds = [result.folds[0], replace(result.folds[1], scores=np.array([2.0, 3.0]))]
        assert replace(result, folds=folds).realised(0.5).tolist() == [[0.0, 1.0]]

    def test_what_was_left_out_is_remembered(self, trace: Trace, scorer: MeanOfSubject) -> None:
        assert cross_validate(without_subjects(trace, ["b"]), scorer).left_out == ["b"]
        assert list(cross_validate(trace, scorer).left_out) == []


class TestCompare:
    def test_every_scorer_learns_every_label_on_the_same_folds(self, trace: Trace) -> None:
        results = compare(trace, {"up": MeanOfSubject(), "down": MeanOfSubject(sign=-1.0)}, ["delta", "gain"], seed=2)
        assert [(one.name, one.label) for one in results] == [
            ("up", "delta"),
            ("up", "gain"),
            ("down", "delta"),
            ("down", "gain"),
        ]
        assert len({id(one.plan) for one in results}) == 1
        assert (
            results[1].per_fold("apgr").tolist()
            == cross_validate(trace, MeanOfSubject(), "gain", seed=2).per_fold("apgr").tolist()
        )

    def test_processes_change_nothing(self, trace: Trace) -> None:
        scorers = {"one": make_scorer("subject-prior")}  # other processes cannot import what a test defines
        alone, together = (compare(trace, scorers, ["delta", "gain"], jobs=jobs) for jobs in (1, 2))
        for one, other in zip(alone, together, strict=True):
            assert one.out_of_fold.tolist() == other.out_of_fold.tolist()

    def test_there_must_be_something_to_compare(self, trace: Trace) -> None:
        with pytest.raises(RouterError, match="at least one scorer and one label"):
            compare(trace, {})

    def test_plan_is_stratified_by_delta(self, trace: Trace) -> None:
        delta = np.sign(trace.quality("cloud") - trace.quality("edge")).astype(int)
        made, expected = make_plan(trace, seed=5), k_fold(delta, seed=5)
        assert all(np.array_equal(a.test, b.test) for a, b in zip(made.repeats[0], expected.repeats[0], strict=True))
