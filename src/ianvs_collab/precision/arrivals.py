"""When requests arrive: open-loop processes, so a slow system does not slow its users down."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ianvs_collab.precision.arrays import Floats
from ianvs_collab.precision.portfolio import PrecisionError


class Arrivals(ABC):
    """A stationary point process with mean rate 1, stretched to the rate that is asked for."""

    def times(self, rng: np.random.Generator, requests: int, rate: float) -> Floats:
        """Draw the arrival times of the first `requests` requests, in seconds from 0, shape (requests,).

        Args:
            rng: Source of chance.
            requests: How many.
            rate: Mean arrivals in a second.

        Raises:
            PrecisionError: If the rate is not above 0.
        """
        if not rate > 0:
            raise PrecisionError(f"the arrival rate must be above 0 requests per second, not {rate!r}")
        return self._unit_times(rng, requests) / rate

    @abstractmethod
    def _unit_times(self, rng: np.random.Generator, requests: int) -> Floats:
        """Arrival times at mean rate 1."""


class Poisson(Arrivals):
    """Independent users: exponential gaps."""

    def _unit_times(self, rng: np.random.Generator, requests: int) -> Floats:
        return np.cumsum(rng.exponential(size=requests))


class Bursty(Arrivals):
    """A Markov-modulated Poisson process of two states, quiet and burst (Fischer & Meier-Hellstern, 1993).

    Drawn by a change of time: arrivals are Poisson of rate 1 on the scale of the accumulated intensity, which is
    piecewise linear and is inverted by interpolation.

    Args:
        peak: Rate in a burst relative to the mean rate, above 1.
        share: Share of the time that bursts take up, above 0; `peak * share` must not exceed 1.
        burst: Mean number of arrivals in a burst.
    """

    def __init__(self, peak: float = 3.0, share: float = 0.2, burst: float = 50.0) -> None:
        if not (peak > 1 and 0 < share < 1 and burst > 0 and peak * share <= 1):
            raise PrecisionError(
                f"bursts need peak > 1, 0 < share < 1, peak * share <= 1 and burst > 0, "
                f"not peak={peak!r}, share={share!r}, burst={burst!r}"
            )
        self._rates = np.array([(1 - peak * share) / (1 - share), peak])
        in_burst = burst / peak
        self._dwell = np.array([in_burst * (1 - share) / share, in_burst])
        self._share = share

    def _unit_times(self, rng: np.random.Generator, requests: int) -> Floats:
        intensity = np.cumsum(rng.exponential(size=requests))
        state, time, passed = int(rng.random() < self._share), [0.0], [0.0]
        while passed[-1] < intensity[-1]:
            stay = rng.exponential(self._dwell[state])
            time.append(time[-1] + stay)
            passed.append(passed[-1] + stay * self._rates[state])
            state = 1 - state
        return _inverse(intensity, np.array(passed), np.array(time))


def _inverse(intensity: Floats, passed: Floats, time: Floats) -> Floats:
    """Times at which the accumulated intensity reaches given values; it may stand still for a while."""
    ends = np.searchsorted(passed, intensity, side="left")  # the first end of a stretch that has got there
    done, slope = passed[ends - 1], passed[ends] - passed[ends - 1]
    return time[ends - 1] + (time[ends] - time[ends - 1]) * (intensity - done) / slope
