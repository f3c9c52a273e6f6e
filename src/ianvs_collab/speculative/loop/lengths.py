"""How many tokens to draft: a constant, or what the formula of a synchronous round says is best for what was measured.

A round with γ drafted tokens takes γ·t_d + t_v(γ) + o and commits N(γ) = (1 - α^(γ+1)) / (1 - α) tokens, where o is
what the link and the rest take. Streaming M tokens takes t_v(0) + o / M for each. All of these are measured while
decoding, with old rounds fading, so a link that becomes slower or a drafter that becomes worse moves the choice, to
streaming if need be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ianvs_collab.speculative.errors import SpeculativeError

_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Round:
    """What one round took, on the timeline.

    Attributes:
        drafted: Tokens in the block; 0 for a stream.
        offered: Drafted tokens that were looked at.
        stood: Drafted tokens that stood.
        answers: Verdicts that came.
        first: Whether it was the first of a query; its times hold the reading of the prompt.
        draft_s: Seconds of drafting.
        verify_s: Seconds of all verifications.
        other_s: Seconds of everything else.
    """

    drafted: int
    offered: int
    stood: int
    answers: int
    first: bool
    draft_s: float
    verify_s: float
    other_s: float


class LengthPolicy(Protocol):
    """Chooses draft lengths. It may keep what it has learnt from query to query."""

    def choose(self) -> int:
        """Tokens to draft for the next block; 0 to stream instead."""
        ...

    def observe(self, measured: Round) -> None:
        """Learn from a round."""
        ...


@dataclass(frozen=True)
class FixedLength:
    """Always the same length.

    Attributes:
        length: Tokens, 0 to stream.
    """

    length: int

    def choose(self) -> int:
        """The length."""
        return self.length

    def observe(self, measured: Round) -> None:
        """Learn nothing."""


class MeasuredLength:
    """The best length by the formula, from measurements in which old rounds fade.

    Args:
        longest: Longest draft to consider.
        stream: Tokens of a stream that are expected before one was seen; a stream is all the rest of an answer.
        memory: Rounds after which a measurement has faded to 1/e.
        probe: After so many streams a block is drafted anyway, to see whether drafting has become better.

    Raises:
        SpeculativeError: If a number is below 1.
    """

    def __init__(self, longest: int = 12, stream: int = 16, memory: float = 20.0, probe: int = 8) -> None:
        if min(longest, stream, memory, probe) < 1:
            raise SpeculativeError("longest, stream, memory and probe of a MeasuredLength must be at least 1")
        self._longest, self._probe = longest, probe
        self._keep = 1 - 1 / memory
        self._stood, self._offered = 3.0, 4.0  # a prior worth four tokens
        self._other = _Mean(self._keep)
        self._draft = _Mean(self._keep)
        self._verify = _Line(self._keep)
        self._streamed = _Mean(self._keep)
        self._streamed.add(stream)
        self._streams = self._chosen = 0

    def choose(self) -> int:
        """Tokens to draft; see `LengthPolicy.choose`. Until a block was timed, 4 or the longest."""
        self._chosen = min(4, self._longest)
        if self._draft.value is not None and self._other.value is not None:
            best = min(range(self._longest + 1), key=self.seconds_per_token)
            self._streams = self._streams + 1 if best == 0 else 0
            if self._streams <= self._probe:
                self._chosen = best
            else:
                self._streams = 0
        return self._chosen

    def seconds_per_token(self, length: int) -> float:
        """What the formula gives for a length, 0 for streaming; to be asked once a block was timed."""
        other = self._other.value or 0.0
        if length == 0:
            return self._verify.at(0) + other / (self._streamed.value or 1.0)
        alpha = min(self._stood / self._offered, 1 - 1e-6)
        committed = (1 - alpha ** (length + 1)) / (1 - alpha)
        return (length * (self._draft.value or 0.0) + self._verify.at(length) + other) / committed

    def observe(self, measured: Round) -> None:
        """Learn from a round; see `LengthPolicy.observe`."""
        if measured.drafted:
            faded = self._keep
            self._stood = faded * self._stood + measured.stood
            self._offered = faded * self._offered + measured.offered
        elif self._chosen == 0:
            self._streamed.add(measured.answers)
        if measured.first:
            return
        self._other.add(measured.other_s)
        self._verify.add(measured.drafted, measured.verify_s / measured.answers)
        if measured.drafted:
            self._draft.add(measured.draft_s / measured.drafted)


class _Mean:
    """A mean in which old values fade; None before the first."""

    def __init__(self, keep: float) -> None:
        self._keep, self._sum, self._weight = keep, 0.0, 0.0

    @property
    def value(self) -> float | None:
        return self._sum / self._weight if self._weight else None

    def add(self, value: float) -> None:
        self._sum = self._keep * self._sum + value
        self._weight = self._keep * self._weight + 1


class _Line:
    """A rising line through points, by least squares in which old points fade; flat where they do not say more."""

    def __init__(self, keep: float) -> None:
        self._x, self._y, self._xx, self._xy = (_Mean(keep) for _ in range(4))

    def add(self, x: float, y: float) -> None:
        for mean, value in ((self._x, x), (self._y, y), (self._xx, x * x), (self._xy, x * y)):
            mean.add(value)

    def at(self, x: float) -> float:
        mx, my, mxx, mxy = (mean.value or 0.0 for mean in (self._x, self._y, self._xx, self._xy))
        spread = mxx - mx * mx
        slope = max(0.0, (mxy - mx * my) / spread) if spread > _SAME else 0.0
        return max(0.0, my + slope * (x - mx))
