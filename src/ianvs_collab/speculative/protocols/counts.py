"""Probabilities as whole numbers: exactly what is sent is exactly what tokens are drawn from.

A distribution q is rounded to multiples of 2^-bits that sum to 1, by largest remainders, before the edge draws from it.
The rounded q reaches the cloud without loss, so rejection stays exact; only the acceptance suffers a little.
"""

from __future__ import annotations

import numpy as np

from ianvs_collab.speculative.sampling import Floats


def round_to_counts(weights: Floats, bits: int) -> Floats:
    """The nearest distribution whose probabilities are multiples of 2^-bits.

    Args:
        weights: Shape (vocabulary,), not negative, with a positive sum.
        bits: At most 52, so that float64 holds every value.
    """
    scaled = weights * (2.0**bits / weights.sum())
    counts = np.floor(scaled)
    short = round(2.0**bits - counts.sum())
    if short:
        counts[np.argpartition(counts - scaled, short - 1)[:short]] += 1
    rounded: Floats = counts * 2.0**-bits
    return rounded


def keep_largest(weights: Floats, count: int) -> Floats:
    """The `count` largest weights, the others 0; not normalised."""
    if count >= len(weights):
        return weights
    kept = np.zeros_like(weights)
    chosen = np.argpartition(weights, -count)[-count:]
    kept[chosen] = weights[chosen]
    return kept
