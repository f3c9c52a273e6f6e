"""What is read off cost-quality curves, each as a function of one curve or of many at once along leading axes.

Sources: RouteLLM (Ong et al. 2024, arXiv:2406.18665, section 3.2) for PGR, APGR and CPT; RouterBench (Hu et al. 2024,
arXiv:2403.12031, section 3) for the non-decreasing convex hull and AIQ; Hybrid LLM (Ding et al., ICLR 2024) for the
quality drop at a cost advantage. Where there is no value, it is not-a-number: gaps recovered, where the cloud is no
better than the edge.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation.scored import Points
from ianvs_collab.routing.traces.trace import Floats

ROUNDING = 1e-12  # relative; smaller differences of mean qualities are left over from adding in another order


def gap(points: Points) -> Floats:
    """Mean quality of the cloud minus that of the edge; what there is to recover."""
    return points.qualities[..., -1] - points.qualities[..., 0]


def recovered(points: Points) -> Floats:
    """Performance gap recovered at each corner, PGR = (q - q_edge) / (q_cloud - q_edge), shape (..., k)."""
    ends = np.abs(points.qualities[..., [0, -1]]).max(axis=-1)
    whole = np.where(gap(points) > ROUNDING * ends, gap(points), np.nan)
    found: Floats = (points.qualities - points.qualities[..., :1]) / whole[..., None]
    return found


def apgr(points: Points) -> Floats:
    """Average performance gap recovered: the area under PGR over the cloud share; random order has 0.5."""
    return _area(points.shares, recovered(points))


def auc(points: Points) -> Floats:
    """Area under quality over the cloud share: the mean quality over all budgets."""
    return _area(points.shares, points.qualities)


def cost_auc(points: Points) -> Floats:
    """Area under quality over mean cost, divided by the range of costs from edge-only to cloud-only."""
    width = points.costs[..., -1] - points.costs[..., 0]
    area: Floats = _area(points.costs, points.qualities) / np.where(width > 0, width, np.nan)
    return area


def area_gain(points: Points) -> Floats:
    """How much the area under the curve exceeds that of random order, (APGR - 0.5) · (q_cloud - q_edge).

    Unlike APGR it has a value, and a stable one, where cloud and edge are nearly or exactly as good on average.
    """
    gained: Floats = auc(points) - points.qualities[..., [0, -1]].mean(axis=-1)
    return gained


def aiq(points: Points) -> Floats:
    """RouterBench's average improvement in quality: mean height of the non-decreasing convex hull over mean cost.

    AIQ = 1 / (c_max - c_min) · ∫ hull(c) dc. The hull is the least concave curve above all corners, and goes on level
    from its highest point, since a budget need not be used up. Costs are the shares where no costs were given.
    """
    flat = [np.reshape(values, (-1, values.shape[-1])) for values in (points.costs, points.qualities)]
    areas = np.array([_hull_height(*curve) for curve in zip(*flat, strict=True)])
    return areas.reshape(points.costs.shape[:-1])


def hull(costs: Floats, qualities: Floats) -> tuple[Floats, Floats]:
    """The non-decreasing convex hull of points (k,): its costs, ascending and different, and its height there.

    The slopes of the least concave majorant are the antitonic regression of the slopes between neighbours, weighted by
    their lengths (Robertson, Wright & Dykstra 1988, theorem 1.2.1); slopes below 0 become 0.
    """
    order = np.lexsort((qualities, costs))
    last = np.append(np.diff(costs[order]) > 0, True)  # of equal costs the best quality
    x, y = costs[order][last], qualities[order][last]
    if len(x) == 1:
        return x, y
    widths = np.diff(x)
    slopes = isotonic_regression(np.diff(y) / widths, weights=widths, increasing=False).x
    return x, y[0] + np.concatenate([[0.0], np.cumsum(np.maximum(slopes, 0.0) * widths)])


def quality_at(points: Points, share: float | Floats) -> Floats:
    """Mean quality when this fraction of queries goes to the cloud; shape (..., *share.shape)."""
    shape = points.shares.shape[:-1]
    flat = [np.reshape(values, (-1, values.shape[-1])) for values in (points.shares, points.qualities)]
    found = np.array([np.interp(share, *curve) for curve in zip(*flat, strict=True)])
    return found.reshape((*shape, *np.shape(share)))


def share_for(points: Points, quality: float) -> Floats:
    """Smallest cloud share at which the quality is reached; infinite if it never is."""
    return _first_reach(points.shares, points.qualities, quality)


def cpt(points: Points, level: float) -> Floats:
    """Call-performance threshold: smallest cloud share that recovers this fraction of the gap, by first crossing."""
    return _first_reach(points.shares, recovered(points), level)


def quality_drop(points: Points, cost_advantage: float) -> Floats:
    """Loss against cloud-only, in per cent of its quality, when this fraction of queries stays at the edge."""
    whole = points.qualities[..., -1]
    drop: Floats = 100 * (whole - quality_at(points, 1 - cost_advantage)) / np.where(whole > 0, whole, np.nan)
    return drop


@dataclass(frozen=True)
class Measure:
    """Something to read off a curve, under a name.

    Attributes:
        name: Short name, as in tables.
        function: One number for each curve.
        per_oracle: Whether it is divided by the same thing of the best order of the same queries.
    """

    name: str
    function: Callable[[Points], Floats]
    per_oracle: bool = False

    def of(self, points: Points, best: Points) -> Floats:
        """The measure of curves.

        Args:
            points: The curves.
            best: Those of the best order of the same queries.
        """
        value = self.function(points)
        if not self.per_oracle:
            return value
        whole, scale = self.function(best), np.abs(best.qualities).max(axis=-1)
        found: Floats = value / np.where(whole > ROUNDING * scale, whole, np.nan)
        return found


MEASURES = {
    one.name: one
    for one in (
        Measure("apgr", apgr),
        Measure("normalised", area_gain, per_oracle=True),
        Measure("auc", auc),
        Measure("cost_auc", cost_auc),
        Measure("area_gain", area_gain),
        Measure("aiq", aiq),
        Measure("gap", gap),
    )
}
_WITH_LEVEL: dict[str, Callable[[Points, float], Floats]] = {"cpt": cpt, "quality": quality_at, "drop": quality_drop}


def measure(name: str | Measure) -> Measure:
    """The measure of a name: one of `MEASURES`, or `cpt50`, `quality40`, `drop20` with any percentage.

    `normalised` is (APGR - 0.5) / (APGR of the oracle - 0.5), computed as the ratio of both area gains, to which it is
    equal wherever both are defined.

    Raises:
        RouterError: If there is no such measure.
    """
    if isinstance(name, Measure):
        return name
    parts = re.fullmatch(r"(cpt|quality|drop)(\d+(?:\.\d+)?)", name)
    if parts:
        function, level = _WITH_LEVEL[parts[1]], float(parts[2]) / 100
        return Measure(name, lambda points: function(points, level))
    if name not in MEASURES:
        raise RouterError(f"there is no measure {name!r}; there are {', '.join(MEASURES)}, cpt50, quality40 and drop20")
    return MEASURES[name]


def _area(x: Floats, y: Floats) -> Floats:
    area: Floats = np.asarray(np.trapezoid(y, x, axis=-1))
    return area


def _hull_height(costs: Floats, qualities: Floats) -> float:
    x, y = hull(costs, qualities)
    return float(np.trapezoid(y, x) / (x[-1] - x[0])) if len(x) > 1 else float(y[0])


def _first_reach(x: Floats, y: Floats, level: float) -> Floats:
    reached = y >= level
    after = reached.argmax(axis=-1)[..., None]
    before = np.maximum(after - 1, 0)
    x0, x1, y0, y1 = (np.take_along_axis(v, i, axis=-1)[..., 0] for v in (x, y) for i in (before, after))
    rise = np.where(y1 > y0, y1 - y0, 1.0)  # 0 only where the first corner is high enough already
    crossing = np.where(after[..., 0] == 0, x0, x0 + (level - y0) / rise * (x1 - x0))
    found: Floats = np.where(reached.any(axis=-1), crossing, np.where(np.isnan(y).any(axis=-1), np.nan, np.inf))
    return found
