"""Cost-quality curves against brute force: all orders of ties, hulls by definition, thresholds by scanning."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation import Curve, Scored, curve, measure, realised_shares
from ianvs_collab.routing.evaluation.measures import aiq, apgr, cpt, hull, quality_at, share_for
from ianvs_collab.routing.evaluation.scored import Points

QUALITIES = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@st.composite
def scored(draw: st.DrawFn, least: int = 1, most: int = 7, costs: bool = False) -> Scored:
    count = draw(st.integers(least, most))
    column = lambda values: draw(st.lists(values, min_size=count, max_size=count))  # noqa: E731
    extra = {name: column(st.integers(0, 4)) for name in ("edge_cost", "cloud_cost")} if costs else {}
    return Scored(column(st.integers(0, 3)), column(QUALITIES), column(QUALITIES), **extra)


def better(one: Scored) -> bool:
    return one.cloud.mean() - one.edge.mean() > 1e-9


def expected_by_enumeration(one: Scored) -> tuple[np.ndarray, np.ndarray]:
    """Quality and cost after 0, 1, ..., n queries, averaged over every order that the scores allow."""
    count = len(one)
    edge_cost = np.zeros(count) if one.edge_cost is None else one.edge_cost
    cloud_cost = np.ones(count) if one.cloud_cost is None else one.cloud_cost
    orders = [o for o in itertools.permutations(range(count)) if all(np.diff(one.scores[list(o)]) <= 0)]
    found = np.zeros((2, count + 1))
    for order in orders:
        for sent in range(count + 1):
            there, here = list(order[:sent]), list(order[sent:])
            found[0, sent] += (one.cloud[there].sum() + one.edge[here].sum()) / count
            found[1, sent] += (cloud_cost[there].sum() + edge_cost[here].sum()) / count
    return found[0] / len(orders), found[1] / len(orders)


class TestCorners:
    @settings(deadline=None)
    @given(scored(most=5, costs=True))
    def test_the_curve_is_the_expectation_over_all_orders_of_equal_scores(self, one: Scored) -> None:
        quality, cost = expected_by_enumeration(one)
        points, shares = one.points(), np.arange(len(one) + 1) / len(one)
        assert np.allclose(np.interp(shares, points.shares, points.qualities), quality)
        assert np.allclose(np.interp(shares, points.shares, points.costs), cost)

    @settings(deadline=None)
    @given(scored(most=6), st.data())
    def test_weights_are_repetitions(self, one: Scored, data: st.DataObject) -> None:
        weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(one), max_size=len(one))))
        if not weights.sum():
            return
        repeated = np.repeat(np.arange(len(one)), weights)
        plain = Scored(one.scores[repeated], one.edge[repeated], one.cloud[repeated]).points()
        heavy = one.points(np.stack([weights, weights]))
        grid = np.linspace(0, 1, 7)
        assert np.allclose(quality_at(heavy, grid), np.stack([quality_at(plain, grid)] * 2))
        assert np.allclose(apgr(heavy), apgr(plain), equal_nan=True)

    def test_without_costs_the_cost_is_the_share(self) -> None:
        points = Scored([2, 1], [0, 0], [1, 0]).points()
        assert points.shares.tolist() == [0, 0.5, 1] == points.costs.tolist()
        assert points.qualities.tolist() == [0, 0.5, 0.5]

    def test_a_cascade_costs_the_edge_even_where_the_cloud_answers(self) -> None:
        points = Scored([2, 1], [0, 0], [1, 1], edge_cost=[1, 3], cloud_cost=[11, 33]).points()
        assert points.costs.tolist() == [2, 7, 22]

    def test_infinite_scores_are_scores(self) -> None:
        assert curve([-np.inf, np.inf, 0], [0, 0, 0], [0, 1, 0]).quality_at(1 / 3) == pytest.approx(1 / 3)

    @pytest.mark.parametrize(
        ("columns", "said"),
        [
            (([], [], []), "scores is empty"),
            (([1.0], [1.0, 0.0], [1.0]), r"edge must have shape \(1,\), one value for each score, not shape \(2,\)"),
            (([1.0], [1.0], [[1.0]]), r"cloud must have .* not shape \(1, 1\)"),
            (([[1.0]], [1.0], [1.0]), "scores must have one dimension"),
            (([0.0, np.nan], [1, 1], [1, 1]), "scores of query 1 is nan"),
            (([0.0, 1.0], [1, np.inf], [1, 1]), "edge of query 1 is inf"),
        ],
    )
    def test_wrong_columns_are_named(self, columns: tuple[list[float], ...], said: str) -> None:
        with pytest.raises(RouterError, match=said):
            Scored(*columns)

    def test_costs_and_rows_must_fit(self) -> None:
        with pytest.raises(RouterError, match="give both edge_cost and cloud_cost"):
            Scored([1], [1], [1], edge_cost=[1])
        with pytest.raises(RouterError, match=r"rows has shape \(2,\), but there are 1 scores"):
            Scored([1], [1], [1], rows=np.array([0, 1]))


class TestGapRecovered:
    @settings(deadline=None)
    @given(scored(most=40).filter(better))
    def test_constant_scores_have_one_half_exactly(self, one: Scored) -> None:
        assert curve(np.zeros(len(one)), one.edge, one.cloud).apgr == 0.5

    @settings(deadline=None)
    @given(scored(least=2, most=5).filter(better))
    def test_random_orders_average_one_half(self, one: Scored) -> None:
        values = [curve(order, one.edge, one.cloud).apgr for order in itertools.permutations(range(len(one)))]
        assert np.mean(values) == pytest.approx(0.5)

    @settings(deadline=None)
    @given(scored(most=30).filter(better))
    def test_reversed_scores_mirror_the_area(self, one: Scored) -> None:
        assert curve(-one.scores, one.edge, one.cloud).apgr == pytest.approx(
            1 - curve(one.scores, one.edge, one.cloud).apgr
        )

    @settings(deadline=None)
    @given(scored(most=30).filter(better))
    def test_only_the_order_of_scores_counts(self, one: Scored) -> None:
        assert curve(np.exp(one.scores) - 7, one.edge, one.cloud).apgr == Curve.of(one).apgr

    @settings(deadline=None)
    @given(scored(most=30).filter(better))
    def test_a_linear_change_of_qualities_changes_nothing(self, one: Scored) -> None:
        moved = curve(one.scores, 3 * one.edge - 2, 3 * one.cloud - 2)
        assert moved.apgr == pytest.approx(Curve.of(one).apgr)
        assert moved.auc == pytest.approx(3 * Curve.of(one).auc - 2)

    def test_it_is_the_area_under_pgr_by_hand(self) -> None:
        one = curve([3, 2, 1, 1], [0, 1, 0, 0], [1, 0, 1, 0])  # gain, loss, then a gain and a tie together
        assert one.pgr.tolist() == [0, 1, 0, 1]
        assert one.apgr == pytest.approx(0.25 * 0.5 + 0.25 * 0.5 + 0.5 * 0.5)
        assert one.auc == pytest.approx(0.25 + 0.25 * one.apgr)

    def test_without_a_gap_there_is_nothing_to_recover(self) -> None:
        worse = curve([1, 0], [1, 1], [0, 1])
        for name in ("apgr", "cpt50"):
            with pytest.raises(RouterError, match=r"cloud's mean quality \(0.5\) is not above the edge's \(1\)"):
                worse.value(name)
        assert np.isnan(worse.pgr).all()
        assert worse.value("area_gain") == pytest.approx(-0.125)

    def test_rounding_is_no_gap(self) -> None:
        edge, cloud = [0.1, 0.2, 0.3], [0.3, 0.1, 0.2]
        with pytest.raises(RouterError, match="no gap to recover"):
            curve([1, 2, 3], edge, cloud).apgr  # noqa: B018


class TestOracle:
    @settings(deadline=None)
    @given(scored(most=5).filter(better))
    def test_no_order_beats_it(self, one: Scored) -> None:
        best = Curve.of(one.oracle)
        for order in itertools.permutations(range(len(one))):
            other = curve(order, one.edge, one.cloud)
            assert other.apgr <= best.apgr + 1e-9
            assert (other.quality_at(other.points.shares) <= best.quality_at(other.points.shares) + 1e-9).all()

    def test_gains_come_first_then_ties_then_losses(self) -> None:
        edge, cloud = np.array([1, 0, 1, 0, 1]), np.array([0, 0, 1, 1, 1])
        assert Scored(np.zeros(5), edge, cloud).oracle.points().qualities.tolist() == pytest.approx(
            [0.6, 0.8, 0.8, 0.6]
        )

    @settings(deadline=None)
    @given(scored(most=20).filter(better))
    def test_normalised_is_the_share_of_the_oracles_advantage(self, one: Scored) -> None:
        best = Curve.of(one.oracle)
        if best.apgr > 0.5 + 1e-9:
            assert Curve.of(one).normalised == pytest.approx((Curve.of(one).apgr - 0.5) / (best.apgr - 0.5), abs=1e-9)
            assert best.normalised == pytest.approx(1)

    def test_normalised_needs_an_order_that_is_better_than_random(self) -> None:
        with pytest.raises(RouterError, match="no order of the queries beats a random one"):
            curve([1, 0], [0, 0], [1, 1]).normalised  # noqa: B018

    def test_normalised_has_a_value_without_a_gap(self) -> None:
        assert curve([1, 0], [1, 0], [0, 1]).normalised == pytest.approx(-1)


class TestThresholds:
    @settings(deadline=None)
    @given(scored(most=12).filter(better), st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0, 1.2]))
    def test_cpt_is_the_first_share_that_recovers_enough(self, one: Scored, level: float) -> None:
        points = one.points()
        found = float(cpt(points, level))
        grid = np.unique(np.concatenate([np.linspace(0, 1, 2001), points.shares]))
        pgr = np.interp(grid, points.shares, Curve.of(one).pgr)
        assert (pgr[grid < found - 1e-9] < level).all()
        if math.isinf(found):
            assert (pgr < level).all()
        else:
            assert np.interp(found, points.shares, Curve.of(one).pgr) == pytest.approx(level, abs=1e-9) or found == 0

    def test_the_first_crossing_counts_even_if_the_curve_falls_again(self) -> None:
        one = curve([4, 3, 2, 1], [0, 1, 0, 0], [1, 0, 1, 0])
        assert one.cpt(0.5) == pytest.approx(0.125)
        assert one.share_for(0.5) == pytest.approx(0.25)

    def test_what_is_never_reached_takes_an_infinite_share(self) -> None:
        one = curve([2, 1], [0, 0], [1, 0])
        assert one.cpt(1.5) == math.inf
        assert one.share_for(0.9) == math.inf
        assert one.share_for(0.0) == 0

    def test_many_curves_at_once_are_each_one_for_itself(self) -> None:
        one = Scored([3, 2, 1, 0], [0, 1, 0, 0], [1, 0, 1, 1])
        weights = np.array([[1, 1, 1, 1], [0, 2, 1, 1], [1, 0, 0, 2], [0, 2, 0, 0]])
        together = one.points(weights)
        for row, counts in enumerate(weights):
            alone = one.points(counts)
            for what in (measure("cpt50").function, measure("aiq").function, lambda p: share_for(p, 0.6)):
                assert float(what(together)[row]) == pytest.approx(float(what(alone)), nan_ok=True)

    @pytest.mark.parametrize("share", [-0.1, 1.1, [0.2, np.nan]])
    def test_a_share_is_a_fraction(self, share: float) -> None:
        with pytest.raises(RouterError, match="cloud share must lie between 0 and 1"):
            curve([1], [0], [1]).quality_at(share)

    def test_quality_at_shares(self) -> None:
        assert curve([2, 1], [0, 0], [1, 0]).quality_at([[0, 0.25], [0.5, 1]]).tolist() == [[0, 0.25], [0.5, 0.5]]

    def test_quality_drop_is_relative_to_cloud_only(self) -> None:
        one = curve([4, 3, 2, 1], [0, 1, 1, 0], [1, 1, 1, 1])
        assert one.value("drop75") == pytest.approx(25)
        assert one.value("drop0") == 0
        assert one.value("drop100") == pytest.approx(50)
        with pytest.raises(RouterError, match="has no value here"):
            curve([1, 2], [-2, -1], [-1, -1]).value("drop20")


class TestHull:
    @settings(deadline=None)
    @given(scored(most=12, costs=True))
    def test_it_is_the_best_that_mixing_any_two_points_gives(self, one: Scored) -> None:
        points = one.points()
        x, height = hull(points.costs, points.qualities)
        assert np.allclose(height, [self.best_mixture(points, at) for at in x])

    @staticmethod
    def best_mixture(points: Points, at: float) -> float:
        """The highest quality for at most this mean cost, by definition: over all pairs of corners."""
        corners = list(zip(points.costs, points.qualities, strict=True))
        best = -math.inf
        for (c1, q1), (c2, q2) in itertools.product(corners, repeat=2):
            if c1 <= at:
                best = max(best, q1)
            if c1 < at < c2:
                best = max(best, q1 + (at - c1) / (c2 - c1) * (q2 - q1))
        return best

    def test_aiq_by_hand(self) -> None:
        points = Points(np.array([0, 0.5, 1.0]), np.array([0.2, 0.8, 0.4]), np.array([0, 1.0, 4.0]))
        assert float(aiq(points)) == pytest.approx((0.5 * 1 + 0.8 * 3) / 4)

    def test_aiq_of_one_cost_is_the_best_quality_there(self) -> None:
        assert curve([2, 1], [0, 0], [1, 0], edge_cost=[1, 1], cloud_cost=[1, 1]).aiq == 0.5

    @settings(deadline=None)
    @given(scored(most=30))
    def test_aiq_is_no_less_than_the_area_and_no_more_than_the_best(self, one: Scored) -> None:
        found = Curve.of(one)
        assert found.auc - 1e-9 <= found.aiq <= found.points.qualities.max() + 1e-9


class TestMeasures:
    def test_cost_auc_is_the_mean_height_over_the_cost(self) -> None:
        one = curve([2, 1], [0, 0], [1, 1], edge_cost=[0, 0], cloud_cost=[1, 3])
        assert one.value("cost_auc") == pytest.approx((0.25 * 0.5 + 0.75 * 1.5) / 2)

    def test_cost_auc_needs_a_cloud_that_costs_more(self) -> None:
        with pytest.raises(RouterError, match="all costs are equal"):
            curve([2, 1], [0, 0], [1, 1], edge_cost=[1, 1], cloud_cost=[1, 1]).value("cost_auc")

    def test_names_with_a_percentage(self) -> None:
        one = curve([2, 1], [0, 0], [1, 0])
        assert one.value("quality25") == pytest.approx(0.25)
        assert one.value("cpt12.5") == pytest.approx(0.0625)
        assert one.cpt(0.125) == pytest.approx(0.0625)
        assert one.value(measure("gap")) == 0.5

    @pytest.mark.parametrize("name", ["agpr", "cpt", "quality-5", ""])
    def test_unknown_names_are_answered_with_the_known_ones(self, name: str) -> None:
        with pytest.raises(RouterError, match=f"no measure {name!r}; there are apgr, normalised, .* cpt50"):
            measure(name)


class TestRealisedShare:
    def test_the_same_scores_realise_what_was_asked(self) -> None:
        scores = np.arange(100)
        assert realised_shares(scores, scores, [0, 0.25, 1]).tolist() == [0, 0.25, 1]

    def test_a_shift_of_the_scores_shows(self) -> None:
        assert realised_shares(np.arange(100), np.arange(100) + 20, 0.3) == pytest.approx(0.5)

    def test_scores_are_needed(self) -> None:
        with pytest.raises(RouterError, match="scores is empty"):
            realised_shares([1], [], 0.5)
