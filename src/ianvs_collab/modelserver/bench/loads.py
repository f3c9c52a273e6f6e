"""What load to put on a model: one request at a time, some, all at once, or arrivals that wait for nobody.

In a *closed* loop a new request is sent when an answer has come back, so a slow model is asked less. In an *open* loop
requests come when they come, as users do, and a slow model gets a queue (Schroeder, Wierman & Harchol-Balter 2006,
"Open Versus Closed: A Cautionary Tale", NSDI).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ianvs_collab.modelserver.types import ModelServerError

Kind = Literal["single", "concurrency", "offline", "poisson", "constant", "bursty", "trace"]
_PACED = ("poisson", "constant", "bursty")
_OPEN = (*_PACED, "trace")


@dataclass(frozen=True)
class Load:
    """A load.

    Attributes:
        kind: `single` (one request at a time) and `concurrency` are closed loops; `offline` has all requests at once;
            `poisson`, `constant`, `bursty` and `trace` are open loops.
        concurrency: Requests under way at once, of `concurrency`.
        rate: Mean arrivals a second, of `poisson`, `constant` and `bursty`.
        burstiness: Shape of the gamma distribution of the gaps, of `bursty`: 1 is Poisson, below 1 arrivals come in
            bunches, above 1 they are more even.
        arrivals: Seconds at which requests arrive, ascending, of `trace`.

    Raises:
        ModelServerError: If a value is missing, out of its range, or of another kind of load.
    """

    kind: Kind
    concurrency: int | None = None
    rate: float | None = None
    burstiness: float | None = None
    arrivals: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be run, where it is given rather than where it fails."""
        if self.kind not in get_args(Kind):
            raise ModelServerError(f"there is no load {self.kind!r}; give one of {', '.join(get_args(Kind))}")
        for option, kinds in (
            ("concurrency", ("concurrency",)),
            ("rate", _PACED),
            ("burstiness", ("bursty",)),
            ("arrivals", ("trace",)),
        ):
            given = getattr(self, option) is not None
            if given and self.kind not in kinds:
                raise ModelServerError(f"--{option} means nothing to the load {self.kind!r}; leave it out")
            if not given and self.kind in kinds:
                raise ModelServerError(f"the load {self.kind!r} needs --{option}")
        if self.concurrency is not None and self.concurrency < 1:
            raise ModelServerError(f"--concurrency must be at least 1, not {self.concurrency!r}")
        for option in ("rate", "burstiness"):
            value = getattr(self, option)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ModelServerError(f"--{option} must be a number above 0, not {value!r}")
        _check_arrivals(self.arrivals)

    @property
    def open_loop(self) -> bool:
        """Whether requests arrive by a schedule."""
        return self.kind in _OPEN

    @property
    def in_flight(self) -> int | None:
        """Requests that a closed loop has under way at once; None for the other loads."""
        return 1 if self.kind == "single" else self.concurrency

    def describe(self) -> str:
        """The load in words."""
        if self.kind == "concurrency":
            return f"closed loop, {self.concurrency} requests at once"
        if self.kind == "bursty":
            return f"bursty arrivals, {self.rate:g} a second, burstiness {self.burstiness:g}"
        if self.kind in _PACED:
            return f"{self.kind} arrivals, {self.rate:g} a second"
        words = {"single": "closed loop, one request at a time", "offline": "offline, all requests at once"}
        return words.get(self.kind, "arrivals from a file")


def _check_arrivals(arrivals: tuple[float, ...] | None) -> None:
    if arrivals is None:
        return
    if not arrivals:
        raise ModelServerError("the file of arrivals is empty; write a time in seconds on each line")
    before = 0.0
    for line, time in enumerate(arrivals, 1):
        if not (math.isfinite(time) and time >= before):
            raise ModelServerError(
                f"arrival {line} is at {time!r} s, after one at {before!r} s; times are seconds from the start of the "
                "load, 0 or more, in ascending order"
            )
        before = time
