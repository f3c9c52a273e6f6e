"""Conformal abstention: keep an answer at the edge only where its error rate is under control.

A threshold on the edge's confidence is chosen by a calibration trace so that one of two statements holds for new
queries from the same distribution, whatever the models and however badly calibrated their probabilities are:

* `kept`: with probability at least 1 − delta over the calibration queries, the mean loss of the answers that stay at
  the edge is at most alpha. Learn then Test (Angelopoulos et al., 2021) with fixed-sequence testing on 70 % of the
  calibration queries; the others choose the sequence.
* `all`: the expected share of queries that stay at the edge with a loss, among all queries, is at most alpha. Conformal
  risk control (Angelopoulos et al., ICLR 2024, theorem 1); the expectation is over calibration queries too.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.special import xlogy
from scipy.stats import binom

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.cascade import ConfidenceRouter, Statistic
from ianvs_collab.routing.traces import read_trace
from ianvs_collab.routing.traces.trace import Floats, Trace

Guarantee = Literal["kept", "all"]
Loss = Literal["wrong", "regret"]
_STEPS = 100
_PROPOSING = 0.3
"""Fraction of calibration queries that propose thresholds: a rough order suffices, while a test needs numbers."""


class Kept(NamedTuple):
    """What a threshold keeps of the queries it was tested on.

    Attributes:
        threshold: Confidence from which on answers stay at the edge.
        share: Share of queries kept.
        risk: Their mean loss; for `all` the mean over all queries of the loss of kept ones.
    """

    threshold: float
    share: float
    risk: float


class ConformalRouter(ConfidenceRouter):
    """Keeps as many answers at the edge as an error rate allows, with a guarantee.

    Args:
        calibration_data: Folder of a trace with log-probabilities from the same models and distribution as the test
            data, and disjoint from them.
        alpha: Highest error rate, above 0 and below 1.
        delta: For `kept`, the probability that the guarantee may fail with.
        guarantee: `kept`: of the kept answers at most alpha are wrong; `all`: of all queries at most alpha are kept
            and wrong.
        loss: `wrong`: 1 − the quality of the edge's answer; `regret`: by how much the cloud's answer is better.
        statistic: How confidence is read from the log-probabilities, as for `ConfidenceRouter`.
        quantile: Likewise.
        seed: Of the two parts.

    Raises:
        RouterError: If an argument is out of range, or no threshold keeps the promise.
    """

    def __init__(
        self,
        calibration_data: str,
        *,
        alpha: float = 0.1,
        delta: float = 0.1,
        guarantee: Guarantee = "kept",
        loss: Loss = "wrong",
        statistic: Statistic = "min",
        quantile: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(statistic=statistic, quantile=quantile)
        if guarantee not in get_args(Guarantee) or loss not in get_args(Loss):
            raise RouterError(
                "ConformalRouter: guarantee must be 'kept' or 'all' and loss 'wrong' or 'regret', "
                f"not {guarantee!r} and {loss!r}"
            )
        trace = read_trace(calibration_data)
        certainty, losses = -self.scores(list(trace.edge_answers())), losses_of(trace, loss)
        if guarantee == "kept":
            kept = certified_threshold(certainty, losses, alpha, delta, seed)
        else:
            kept = controlled_threshold(certainty, losses, alpha)
        self.threshold = math.nextafter(-kept.threshold, math.inf)
        self.kept = kept._replace(threshold=1 + kept.threshold)


def losses_of(trace: Trace, loss: Loss = "wrong") -> Floats:
    """What keeping each query at the edge costs in quality, shape (n,), 0 to 1.

    Raises:
        RouterError: If a quality lies outside 0 to 1, where a loss has no bound.
    """
    edge, cloud = trace.quality("edge"), trace.quality("cloud")
    if min(edge.min(), cloud.min()) < 0 or max(edge.max(), cloud.max()) > 1:
        raise RouterError(f"trace {trace.name!r}: a guarantee needs qualities from 0 to 1, and some lie outside")
    return 1 - edge if loss == "wrong" else np.maximum(cloud - edge, 0)


def controlled_threshold(confidence: Floats, losses: Floats, alpha: float) -> Kept:
    """The lowest threshold with (Σ loss of kept + 1) ÷ (n + 1) ≤ alpha: conformal risk control for losses up to 1.

    Args:
        confidence: Of each calibration answer; −inf for one that is never kept. Shape (n,).
        losses: Of keeping it, 0 to 1. Shape (n,).
        alpha: Bound on the expected loss of a new query, 0 for one that is not kept.

    Raises:
        RouterError: If alpha is no rate, or no threshold that keeps anything has so low a risk.
    """
    _check_rate("alpha", alpha)
    thresholds, counts, sums = _kept_at(confidence, losses)
    count = len(confidence)
    allowed = np.flatnonzero((sums + 1) / (count + 1) <= alpha)  # sums grow as thresholds fall
    if not len(allowed):
        raise RouterError(
            f"no threshold keeps the share of wrong answers at the edge at most {alpha:g} on {count} calibration "
            f"queries, of which at least {math.ceil(1 / alpha) - 1} are needed; raise alpha or calibrate on more"
        )
    last = allowed[-1]
    return Kept(float(thresholds[last]), float(counts[last] / count), float(sums[last] / count))


def certified_threshold(confidence: Floats, losses: Floats, alpha: float, delta: float, seed: int = 0) -> Kept:
    """The lowest threshold at which the mean loss of kept answers is at most alpha, with confidence 1 − delta.

    One part of the queries proposes thresholds, from the one where it has the strongest evidence downwards. On the
    other part they are tested in that order until one fails. Each threshold is fixed before the data that test it are
    seen, and testing stops at the first failure, so the probability of passing any threshold in vain is at most delta.
    A few hundred queries often certify nothing; from about a thousand on the loss comes near alpha.

    Args:
        confidence: Of each calibration answer; −inf for one that is never kept. Shape (n,).
        losses: Of keeping it, 0 to 1. Shape (n,).
        alpha: Bound on the mean loss of kept answers.
        delta: Probability that the bound may fail with.
        seed: Of the parts.

    Raises:
        RouterError: If a rate is none, or not even the first threshold passes.
    """
    _check_rate("alpha", alpha)
    _check_rate("delta", delta)
    order = np.random.default_rng(seed).permutation(len(confidence))
    proposing, testing = np.split(order, [int(_PROPOSING * len(order))])
    passed: Kept | None = None
    for threshold in _proposals(confidence[proposing], losses[proposing], alpha):
        kept = losses[testing][confidence[testing] >= threshold]
        if p_value(kept, alpha) > delta:
            break
        passed = Kept(threshold, len(kept) / len(testing), float(kept.mean()))
    if passed is None:
        raise RouterError(
            f"no threshold keeps the error rate of answers at the edge at most {alpha:g} with confidence "
            f"{1 - delta:g} on {len(confidence)} calibration queries; raise alpha or delta, or calibrate on more"
        )
    return passed


def p_value(losses: Floats, alpha: float) -> float:
    """P-value of the hypothesis that the mean loss exceeds alpha, valid for any number of losses.

    The exact binomial tail for losses of 0 and 1; else Hoeffding-Bentkus (Angelopoulos et al., 2021, proposition 1).

    Args:
        losses: Independent, 0 to 1. Shape (n,).
        alpha: Bound under test.
    """
    return float(_p_values(np.array([len(losses)]), np.array([losses.sum()]), alpha, exact=_binary(losses))[0])


def _p_values(counts: Floats, sums: Floats, alpha: float, *, exact: bool) -> Floats:
    """P-values by number and sum of losses, shape (k,); 1 where there are none."""
    if exact:
        tails: Floats = binom.cdf(np.round(sums), counts, alpha)
        return tails
    mean = np.minimum(sums / np.maximum(counts, 1), alpha)
    divergence = xlogy(mean, mean / alpha) + xlogy(1 - mean, (1 - mean) / (1 - alpha))
    bentkus = math.e * binom.cdf(np.ceil(sums), counts, alpha)
    bound: Floats = np.minimum(1.0, np.minimum(np.exp(-counts * divergence), bentkus))
    return bound


def _binary(losses: Floats) -> bool:
    return bool(((losses == 0) | (losses == 1)).all())


def _proposals(confidence: Floats, losses: Floats, alpha: float) -> list[float]:
    """Thresholds from the one with the strongest evidence downwards, at most 100."""
    thresholds, counts, sums = _kept_at(confidence, losses)
    if not len(counts):
        return []
    chosen = np.unique(np.searchsorted(counts, np.linspace(1, counts[-1], _STEPS)))
    evidence = _p_values(counts[chosen], sums[chosen], alpha, exact=_binary(losses))
    proposed: list[float] = thresholds[chosen][int(np.argmin(evidence)) :].tolist()
    return proposed


def _kept_at(confidence: Floats, losses: Floats) -> tuple[Floats, Floats, Floats]:
    """Each finite confidence, falling, with the number of answers at least so confident and the sum of their losses."""
    order = np.argsort(-confidence, kind="stable")
    order = order[np.isfinite(confidence[order])]
    sorted_confidence = confidence[order]
    last = np.flatnonzero(np.append(np.diff(sorted_confidence) != 0, True)) if len(order) else np.array([], dtype=int)
    return sorted_confidence[last], (last + 1).astype(float), np.cumsum(losses[order])[last]


def _check_rate(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise RouterError(f"{name} must lie above 0 and below 1, not {value!r}")
