"""How sure a figure is: bootstrap over queries or subjects, paired bootstrap between routers, t over repetitions.

A bootstrap here answers "what if other queries of the same kind had come?" with the trained routers held fixed; it
does not cover what other training queries would have made of them, which repeated splits show. All curves of a resample
are made from the same draw, so folds and routers stay paired (Efron & Tibshirani 1993, "An Introduction to the
Bootstrap").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation.measures import Measure, measure, quality_at
from ianvs_collab.routing.evaluation.resampling import draws, mean_over_folds, resampled, values_of
from ianvs_collab.routing.evaluation.scored import Scored
from ianvs_collab.routing.traces.trace import Floats

Parts = Scored | Sequence[Scored]


class Interval(NamedTuple):
    """A figure and its confidence interval.

    Attributes:
        estimate: The figure itself; not-a-number where it has no value.
        low: Lower end; minus infinity where too many resamples have no value for an end to be known.
        high: Upper end, likewise plus infinity.
        undefined: Share of the resamples in which the figure has no value, e.g. because there is no gap to recover.
    """

    estimate: float
    low: float
    high: float
    undefined: float = 0.0


class Comparison(NamedTuple):
    """One router beside another on the same queries.

    Attributes:
        difference: First minus second, with its interval.
        p_value: Two-sided, of "there is no difference".
    """

    difference: Interval
    p_value: float


class Band(NamedTuple):
    """Quality over cloud share with its pointwise interval, each of shape (shares,).

    Attributes:
        shares: Cloud shares.
        quality: Mean quality there.
        low: Lower end.
        high: Upper end.
    """

    shares: Floats
    quality: Floats
    low: Floats
    high: Floats


def bootstrap(
    parts: Parts,
    what: str | Measure,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    clusters: ArrayLike | None = None,
) -> Interval:
    """The percentile interval of a measure over queries.

    Args:
        parts: Scored queries, or several folds of them, whose values are averaged. Where a fold has no value, the mean
            is over the others.
        what: The measure, e.g. `apgr`.
        resamples: Number of resampled sets of queries.
        seed: The same input and seed give the same interval.
        confidence: Coverage.
        clusters: Cluster (e.g. subject) of each query of the trace, by `rows`; given, whole clusters are drawn, which
            tells how sure a figure is for other subjects rather than for other queries of these.

    Raises:
        RouterError: If a setting is out of range, or there is no such measure.
    """
    options = {"resamples": resamples, "seed": seed, "confidence": confidence, "clusters": clusters}
    return bootstrap_all(parts, [what], **options).popitem()[1]  # type: ignore[arg-type]


def bootstrap_all(
    parts: Parts,
    what: Sequence[str | Measure],
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    clusters: ArrayLike | None = None,
) -> dict[str, Interval]:
    """Intervals of several measures by name, from the same resamples; arguments as for `bootstrap`."""
    folds, wanted = _listed(parts), [measure(name) for name in what]
    _check(resamples, confidence)
    estimates = mean_over_folds(np.array([values_of(fold, wanted) for fold in folds]))
    drawn = resampled([folds], wanted, resamples, seed, clusters)[0]
    return {
        one.name: Interval(float(estimate), *_ends(values, confidence), float(np.isnan(values).mean()))
        for one, estimate, values in zip(wanted, estimates, drawn, strict=True)
    }


def paired_bootstrap(
    first: Parts,
    second: Parts,
    what: str | Measure,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    clusters: ArrayLike | None = None,
) -> Comparison:
    """How two routers differ on the same queries, and whether chance could have done it.

    Both see the same resamples, so what makes queries easy or hard for both cancels out. p is twice the smaller share
    of resampled differences on either side of 0, one added to both counts so that it is never 0.

    Args:
        first: One router's scored queries or folds.
        second: The other's, of the same queries in the same folds.
        what: The measure.
        resamples: Number of resampled sets of queries.
        seed: The same input and seed give the same answer.
        confidence: Coverage of the interval.
        clusters: As in `bootstrap`.

    Raises:
        RouterError: If the routers were not scored on the same queries, a setting is out of range, or there is no such
            measure.
    """
    folds, others, wanted = _listed(first), _listed(second), measure(what)
    _check(resamples, confidence)
    _check_pairs(folds, others)
    estimates = [mean_over_folds(np.array([values_of(fold, [wanted]) for fold in side]))[0] for side in (folds, others)]
    values = resampled([folds, others], [wanted], resamples, seed, clusters)
    with np.errstate(invalid="ignore"):  # infinity minus infinity: no value
        difference, drawn = estimates[0] - estimates[1], values[0][0] - values[1][0]
    unknown = np.isnan(drawn)
    smaller = min(int(((drawn <= 0) | unknown).sum()), int(((drawn >= 0) | unknown).sum()))
    p_value = min(1.0, 2 * (smaller + 1) / (resamples + 1))
    return Comparison(Interval(float(difference), *_ends(drawn, confidence), float(unknown.mean())), p_value)


def curve_band(
    parts: Parts, shares: ArrayLike, *, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Band:
    """The curve, averaged over folds at equal cloud shares, with its pointwise bootstrap interval.

    Args:
        parts: Scored queries or folds.
        shares: Cloud shares at which the curve is wanted, shape (m,).
        resamples: Number of resampled sets of queries.
        seed: The same input and seed give the same band.
        confidence: Coverage at each share by itself, not of the whole curve at once.

    Raises:
        RouterError: If a setting is out of range.
    """
    folds, grid = _listed(parts), np.asarray(shares, dtype=float)
    _check(resamples, confidence)
    quality = mean_over_folds(np.array([quality_at(fold.points(), grid) for fold in folds]))
    chunks = []
    for counts in draws(folds, resamples, seed, None):
        drawn = [quality_at(fold.points(counts[:, fold.rows]), grid) for fold in folds]
        chunks.append(mean_over_folds(np.array(drawn)))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(np.concatenate(chunks), [tail, 1 - tail], axis=0)
    return Band(grid, quality, low, high)


def t_interval(values: ArrayLike, *, confidence: float = 0.95, test_to_train: float | None = None) -> Interval:
    """Student's t-interval of a mean over repetitions, e.g. seeds or partitions.

    Args:
        values: One figure a repetition, shape (n,), at least two.
        confidence: Coverage.
        test_to_train: Number of test over number of training queries, where repetitions split the same data again and
            again and so are not independent: the variance of the mean is then not s²/n but s²·(1/n + test/train)
            (Nadeau & Bengio 2003, "Inference for the generalization error", Machine Learning 52).

    Raises:
        RouterError: If there are fewer than two values, one is no number, or the confidence is out of range.
    """
    given = np.asarray(values, dtype=float)
    if given.ndim != 1 or len(given) < 2 or not np.isfinite(given).all():  # noqa: PLR2004 - one value has no spread
        raise RouterError(f"an interval over repetitions needs at least two finite values, not {given.tolist()}")
    _check(1, confidence)
    shrink = 1 / len(given) + (test_to_train or 0.0)
    half = float(stdtrit(len(given) - 1, (1 + confidence) / 2)) * float(given.std(ddof=1)) * math.sqrt(shrink)
    mean = float(given.mean())
    return Interval(mean, mean - half, mean + half)


def _ends(values: Floats, confidence: float) -> tuple[float, float]:
    """Percentile ends; resamples without a value count as worse than everything below, better than everything above."""
    tail = (1 - confidence) / 2
    unknown = np.isnan(values)
    low = np.quantile(np.where(unknown, -np.inf, values), tail, method="lower")
    high = np.quantile(np.where(unknown, np.inf, values), 1 - tail, method="higher")
    return float(low), float(high)


def _listed(parts: Parts) -> list[Scored]:
    folds = [parts] if isinstance(parts, Scored) else list(parts)
    if not folds:
        raise RouterError("an interval needs scored queries, and there are none")
    return folds


def _check(resamples: int, confidence: float) -> None:
    if resamples < 1 or not 0 < confidence < 1:
        raise RouterError(
            f"resamples must be at least 1 and confidence between 0 and 1, not {resamples!r} and {confidence!r}"
        )


def _check_pairs(first: Sequence[Scored], second: Sequence[Scored]) -> None:
    if len(first) != len(second) or not all(map(_same_queries, first, second)):
        raise RouterError(
            "the routers were not scored on the same queries in the same folds; evaluate both with the same trace, "
            "split and seed"
        )


def _same_queries(one: Scored, other: Scored) -> bool:
    pairs = (one.rows, other.rows), (one.edge, other.edge), (one.cloud, other.cloud)
    return all(np.array_equal(a, b) for a, b in pairs)
