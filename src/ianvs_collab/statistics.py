"""The interval of a proportion, for whoever reports one: leaderboards, routers and the cards of the nano models."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns Wilson's score interval of a proportion as (low, high), fractions from 0 to 1.

    Wilson, E. B. (1927), "Probable inference, the law of succession, and statistical inference", JASA 22(158): the
    proportions that the score test does not reject. With z the normal quantile, p = successes / total and n = total,
    (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n).

    Args:
        successes: Number of successes, 0 to `total`.
        total: Number of trials, at least 1.
        confidence: Coverage, e.g. 0.95; between 0 and 1.

    Raises:
        ValueError: There are no trials, or more successes than trials, or the coverage is not between 0 and 1.
    """
    if not 0 <= successes <= total or total == 0:
        raise ValueError(f"a proportion needs 0 <= successes <= total and total > 0, not {successes!r} of {total!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, like 0.95; it cannot be {confidence!r}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = successes / total, z * z / total
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4)
    low = 0.0 if successes == 0 else (share + spread / 2 - half) / (1 + spread)
    high = 1.0 if successes == total else (share + spread / 2 + half) / (1 + spread)
    return low, high  # the ends are set, not computed: rounding would leave them beside 0 and 1
