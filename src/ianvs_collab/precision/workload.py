"""Everything that chance decides, drawn before a simulation starts, so that all policies meet the same requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ianvs_collab.precision.arrays import Floats, Integers
from ianvs_collab.precision.arrivals import Arrivals
from ianvs_collab.precision.portfolio import PrecisionError
from ianvs_collab.precision.requirements import Requirements


@dataclass(frozen=True)
class Mix:
    """A finite distribution: what values there are, and how often each comes.

    Attributes:
        values: The values, e.g. sizes of requests relative to the mean.
        shares: Their probabilities, which sum to 1.
    """

    values: tuple[float, ...] = (1.0,)
    shares: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        """Refuse what is no distribution."""
        good = len(self.values) == len(self.shares) > 0 and min(self.shares) >= 0
        if not good or abs(sum(self.shares) - 1) > 1e-9:  # noqa: PLR2004 - what rounding leaves of a sum of shares
            raise PrecisionError(f"a mix needs one share for each value, summing to 1, not {self!r}")

    def draw(self, rng: np.random.Generator, size: int) -> Integers:
        """Draw indices of values, shape (size,)."""
        return rng.choice(len(self.values), size=size, p=self.shares)


@dataclass(frozen=True)
class Workload:
    """R replications of n requests with k steps each.

    Attributes:
        arrivals: Arrival times in seconds, ascending in each row, shape (R, n).
        luck: Numbers from [0, 1) that say how hard each step is: its quantile of the service times, (R, n, k).
        sizes: Work relative to the mean, known on arrival, (R, n).
        classes: Which of the requirements a request has, (R, n).
        requirements: The classes.
        parallel: Whether a request's steps all start on its arrival; otherwise each starts when the last one ends.
        pace: How many times as long as its service time a step takes, which no policy knows, (R, n, k); 1 if left out.
    """

    arrivals: Floats
    luck: Floats
    sizes: Floats
    classes: Integers
    requirements: tuple[Requirements, ...] = (Requirements(),)
    parallel: bool = False
    pace: Floats | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        shape = self.arrivals.shape
        if self.luck.shape[:2] != shape or self.sizes.shape != shape or self.classes.shape != shape:
            raise PrecisionError(
                f"arrivals, sizes and classes have shape (R, n) and luck (R, n, k), not {shape}, {self.sizes.shape}, "
                f"{self.classes.shape} and {self.luck.shape}"
            )
        if self.pace is not None and self.pace.shape != self.luck.shape:
            raise PrecisionError(f"the pace is a number for each step, shape {self.luck.shape}, not {self.pace.shape}")
        if (np.diff(self.arrivals, axis=1) < 0).any():
            raise PrecisionError("arrivals must ascend in each row; sort them")


def draw_workload(
    process: Arrivals,
    rates: Sequence[float],
    seeds: Sequence[int],
    requests: int,
    *,
    steps: int = 1,
    parallel: bool = False,
    sizes: Mix | None = None,
    classes: Sequence[tuple[Requirements, float]] = ((Requirements(), 1.0),),
) -> Workload:
    """Draw a workload; a row depends on its own rate and seed only.

    Args:
        process: How requests arrive.
        rates: Mean arrivals in a second, one for each replication.
        seeds: Likewise. Rows with the same seed have the same luck, whatever their rates.
        requests: How many in each replication.
        steps: Steps of a request.
        parallel: See Workload.
        sizes: Sizes of requests; all 1 if left out.
        classes: Requirements and the share of requests that have them.

    Raises:
        PrecisionError: If a rate, the numbers of requests or steps, or the shares are impossible.
    """
    if len(rates) != len(seeds) or requests < 1 or steps < 1:
        raise PrecisionError(
            f"a workload needs a seed for each rate and at least one request and step, not {len(rates)} rates, "
            f"{len(seeds)} seeds, {requests!r} requests and {steps!r} steps"
        )
    kinds, mix = Mix(tuple(map(float, range(len(classes)))), tuple(share for _, share in classes)), sizes or Mix()
    return Workload(
        np.stack([process.times(_rng(s, 0), requests, rate) for s, rate in zip(seeds, rates, strict=True)]),
        np.stack([_rng(seed, 1).random((requests, steps)) for seed in seeds]),
        np.array(mix.values)[np.stack([mix.draw(_rng(seed, 2), requests) for seed in seeds])],
        np.stack([kinds.draw(_rng(seed, 3), requests) for seed in seeds]),
        tuple(wanted for wanted, _ in classes),
        parallel,
    )


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream])
