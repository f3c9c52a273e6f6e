"""Intervals: against scipy, against slow resampling, on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation import (
    Curve,
    Measure,
    Scored,
    bootstrap,
    bootstrap_all,
    curve_band,
    measure,
    paired_bootstrap,
    resampling,
    t_interval,
)


def queries(count: int, signal: float, seed: int = 0, rows: np.ndarray | None = None) -> Scored:
    rng = np.random.default_rng(seed)
    edge = rng.random(count) < 0.6
    cloud = rng.random(count) < 0.85
    scores = rng.normal(size=count) + signal * (cloud.astype(float) - edge)
    return Scored(scores, edge, cloud, rows=rows)


MEAN_CLOUD = Measure("cloud mean", lambda points: points.qualities[..., -1])


class TestBootstrap:
    def test_of_a_mean_it_is_scipys(self) -> None:
        one = queries(300, 0.0)
        ours = bootstrap(one, MEAN_CLOUD, resamples=4000)
        theirs = stats.bootstrap(
            (one.cloud,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
        ).confidence_interval
        assert ours.estimate == one.cloud.mean()
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)

    def test_each_resample_is_the_curve_of_drawn_queries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one = queries(40, 1.0)
        monkeypatch.setattr(resampling, "CHUNK", 100)  # two resamples at a time
        drawn = np.concatenate(list(resampling.draws([one], 5, 0, None)))
        names = ("apgr", "normalised", "aiq", "cpt50")
        found = resampling.resampled([[one]], [measure(name) for name in names], 5, 0, None)[0]
        assert drawn.shape == (5, 40)
        assert (drawn.sum(axis=1) == 40).all()
        for counts, values in zip(drawn, found.T, strict=True):
            again = np.repeat(np.arange(40), counts.astype(int))
            slow = Curve.of(Scored(one.scores[again], one.edge[again], one.cloud[again]))
            assert values.tolist() == pytest.approx([slow.value(name) for name in names])

    def test_the_same_seed_gives_the_same_interval_and_another_seed_another_one(self) -> None:
        one = queries(200, 1.0)
        first, again, other = (bootstrap(one, "apgr", resamples=200, seed=seed) for seed in (3, 3, 4))
        assert first == again != other

    def test_it_covers_the_truth_about_as_often_as_it_says(self) -> None:
        truth = Curve.of(queries(200_000, 1.0, seed=99)).apgr
        inside = 0
        for seed in range(120):
            interval = bootstrap(queries(400, 1.0, seed=seed), "apgr", resamples=200, confidence=0.9)
            inside += interval.low <= truth <= interval.high
        assert stats.binomtest(inside, 120, 0.9).pvalue > 1e-4

    def test_more_queries_make_it_narrower(self) -> None:
        wide, narrow = (bootstrap(queries(count, 1.0), "auc", resamples=300) for count in (100, 1600))
        assert 2.5 < (wide.high - wide.low) / (narrow.high - narrow.low) < 6

    def test_several_measures_come_from_the_same_resamples(self) -> None:
        one = queries(200, 1.0)
        both = bootstrap_all(one, ["apgr", "cpt80"], resamples=100, seed=5)
        assert both == {name: bootstrap(one, name, resamples=100, seed=5) for name in ("apgr", "cpt80")}

    def test_folds_are_averaged_and_share_a_draw(self) -> None:
        halves = [queries(100, 1.0, seed=1, rows=np.arange(100)), queries(100, 1.0, seed=2, rows=np.arange(100, 200))]
        together = bootstrap(halves, "apgr", resamples=300)
        assert together.estimate == pytest.approx(np.mean([Curve.of(half).apgr for half in halves]))
        same_queries_twice = [halves[0], Scored(halves[0].scores, halves[0].edge, halves[0].cloud)]
        assert bootstrap(same_queries_twice, "apgr", resamples=50) == bootstrap(halves[0], "apgr", resamples=50)

    def test_rows_that_are_in_no_fold_are_never_drawn(self) -> None:
        one = queries(3, 0.0, rows=np.array([5, 2, 9]))
        drawn = np.concatenate(list(resampling.draws([one], 50, 0, None)))
        assert drawn.shape == (50, 10)
        assert np.flatnonzero(drawn.any(axis=0)).tolist() == [2, 5, 9]
        assert (drawn.sum(axis=1) == 3).all()

    def test_clusters_are_drawn_whole(self) -> None:
        names = np.array(["b", "a", "b", "c", "a", "b"])
        drawn = np.concatenate(list(resampling.draws([queries(6, 0.0)], 40, 0, names)))
        for name in "abc":
            assert (drawn[:, names == name] == drawn[:, names == name][:, :1]).all()
        assert (sum(drawn[:, names == name][:, 0] for name in "abc") == 3).all()

    def test_queries_that_come_in_clusters_are_fewer_than_they_look(self) -> None:
        few = queries(40, 1.0)
        copies = np.repeat(np.arange(40), 10)
        many = Scored(few.scores[copies], few.edge[copies], few.cloud[copies])
        by_query, by_cluster = (bootstrap(many, "auc", resamples=300, clusters=clusters) for clusters in (None, copies))
        assert by_cluster.high - by_cluster.low > 2 * (by_query.high - by_query.low)

    def test_too_few_clusters_named(self) -> None:
        with pytest.raises(RouterError, match="clusters must name one for each of the trace's 4 queries"):
            bootstrap(queries(4, 0.0), "auc", clusters=["a", "b"])


class TestWithoutValue:
    def test_resamples_without_a_gap_leave_the_ends_unknown(self) -> None:
        edge, cloud = [1, 0, 0, 1], [0, 1, 1, 1]
        interval = bootstrap(Scored([1, 2, 3, 4], edge, cloud), "apgr", resamples=200)
        assert interval.undefined > 0.05
        assert interval.low == -np.inf
        assert interval.high == np.inf

    def test_a_fold_without_a_gap_is_left_out_of_the_mean(self) -> None:
        good = queries(200, 1.0)
        bad = Scored([1.0, 2.0], [1, 1], [0, 1], rows=np.array([200, 201]))
        interval = bootstrap([good, bad], "apgr", resamples=100)
        assert interval.estimate == pytest.approx(Curve.of(good).apgr)
        assert np.isfinite(interval.low)

    def test_nothing_at_all_has_no_estimate(self) -> None:
        interval = bootstrap(Scored([1.0, 2.0], [1, 1], [0, 1]), "apgr", resamples=20)
        assert np.isnan(interval.estimate)
        assert interval.undefined == 1

    def test_a_threshold_that_is_sometimes_never_reached_has_an_infinite_end(self) -> None:
        one = Scored([3, 2, 1], [0, 0, 0], [1, 1, 0])
        interval = bootstrap(one, Measure("half", lambda points: measure("cpt120").function(points)), resamples=50)
        assert interval.estimate == interval.high == np.inf


class TestPairedBootstrap:
    def test_a_router_does_not_differ_from_itself(self) -> None:
        one = queries(200, 1.0)
        comparison = paired_bootstrap(one, one, "apgr", resamples=100)
        assert comparison.difference[:3] == (0, 0, 0)
        assert comparison.p_value == 1

    def test_swapping_the_sides_turns_the_sign(self) -> None:
        good, bad = self.pair(0.0)
        there, back = paired_bootstrap(good, bad, "apgr"), paired_bootstrap(bad, good, "apgr")
        assert there.difference.estimate == -back.difference.estimate
        assert there.difference.low == -back.difference.high
        assert there.p_value == back.p_value

    def test_a_clear_difference_is_seen(self) -> None:
        good, bad = self.pair(0.0)
        comparison = paired_bootstrap(good, bad, "apgr", resamples=999)
        assert comparison.difference.low > 0
        assert comparison.p_value == pytest.approx(2 / 1000)

    def test_pairing_makes_the_interval_narrower_than_the_two_alone(self) -> None:
        good, bad = self.pair(0.8)
        comparison = paired_bootstrap(good, bad, "auc")
        widths = [i.high - i.low for i in (bootstrap(good, "auc"), bootstrap(bad, "auc"), comparison.difference)]
        assert widths[2] < 0.8 * min(widths[:2])

    def test_equally_good_routers_are_seldom_told_apart(self) -> None:
        found = []
        for seed in range(150):
            one, rng = queries(200, 0.0, seed=seed), np.random.default_rng(1000 + seed)
            other = Scored(rng.normal(size=200), one.edge, one.cloud)
            found.append(paired_bootstrap(one, other, "area_gain", resamples=199, seed=seed).p_value)
        assert stats.binomtest(int((np.array(found) <= 0.05).sum()), 150, 0.05).pvalue > 1e-4

    def test_infinity_beside_infinity_is_no_difference_to_speak_of(self) -> None:
        one = Scored([1.0, 2.0], [0, 0], [1, 1])
        comparison = paired_bootstrap(one, one, "cpt150", resamples=10)
        assert np.isnan(comparison.difference.estimate)
        assert comparison.p_value == 1

    @pytest.mark.parametrize("other", [queries(99, 1.0), queries(100, 1.0, seed=1), [queries(100, 1.0)] * 2])
    def test_other_queries_cannot_be_paired(self, other: Scored | list[Scored]) -> None:
        with pytest.raises(RouterError, match="not scored on the same queries in the same folds"):
            paired_bootstrap(queries(100, 1.0), other, "apgr")

    @staticmethod
    def pair(noise_of_second: float) -> tuple[Scored, Scored]:
        good = queries(400, 2.0)
        rng = np.random.default_rng(7)
        kept = noise_of_second * good.scores
        return good, Scored(kept + rng.normal(size=400), good.edge, good.cloud)


class TestBand:
    def test_at_each_share_it_is_the_bootstrap_of_the_quality_there(self) -> None:
        one = queries(150, 1.0)
        band = curve_band(one, [0.0, 0.3, 1.0], resamples=400)
        for place, name in enumerate(("quality0", "quality30", "quality100")):
            alone = bootstrap(one, name, resamples=400)
            assert band.quality[place] == pytest.approx(alone.estimate)
            assert (band.low[place], band.high[place]) == pytest.approx((alone.low, alone.high), abs=0.01)

    def test_folds_are_averaged_at_equal_shares(self) -> None:
        folds = [Scored([2, 1], [0, 0], [1, 0], rows=np.array([0, 1])), Scored([1], [0], [1], rows=np.array([2]))]
        band = curve_band(folds, [0.5], resamples=20)
        assert band.quality[0] == pytest.approx((0.5 + 0.5) / 2)
        assert band.low[0] <= band.quality[0] <= band.high[0]


class TestStudent:
    @settings(deadline=None)
    @given(st.lists(st.floats(-5, 5), min_size=2, max_size=9), st.floats(0.5, 0.99))
    def test_it_is_scipys(self, values: list[float], confidence: float) -> None:
        scale = np.std(values, ddof=1) / np.sqrt(len(values))
        low, high = (
            stats.t.interval(confidence, len(values) - 1, np.mean(values), scale) if scale else [np.mean(values)] * 2
        )
        assert t_interval(values, confidence=confidence)[1:3] == pytest.approx((low, high))

    def test_repetitions_on_the_same_data_are_worth_less(self) -> None:
        values = [0.5, 0.6, 0.7, 0.65]
        plain, corrected = t_interval(values), t_interval(values, test_to_train=0.25)
        widening = (corrected.high - corrected.low) / (plain.high - plain.low)
        assert widening == pytest.approx(np.sqrt((1 / 4 + 1 / 4) / (1 / 4)))

    @pytest.mark.parametrize("values", [[], [0.5], [0.5, np.nan], [[0.5, 0.6]]])
    def test_it_takes_two_finite_values(self, values: list[float]) -> None:
        with pytest.raises(RouterError, match="needs at least two finite values"):
            t_interval(values)


@pytest.mark.parametrize("options", [{"resamples": 0}, {"confidence": 1.0}, {"confidence": 0}])
def test_settings_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(RouterError, match="resamples must be at least 1 and confidence between 0 and 1"):
        bootstrap(queries(5, 0.0), "auc", **options)


def test_no_folds_no_interval() -> None:
    with pytest.raises(RouterError, match="needs scored queries"):
        bootstrap([], "auc")
