"""How many tokens to draft: a constant, or what is expected to complete the answer soonest, from what was measured.

The measured length plans each answer by dynamic programming over its remaining tokens (`plan`), with the times of
drafting, verifying and the link, the acceptance at each position of a block and the lengths of past answers. All of
these are measured while decoding, with old rounds fading, so a link that becomes slower or a drafter that becomes worse
moves the choice, to streaming if need be. While the cloud streams, the drafter is looked at now and then in the time
in which the edge waits, so that streaming is left again when drafting has become better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.loop.estimates import Acceptance, AnswerLengths, Belief, Mean
from ianvs_collab.speculative.loop.plan import Habits, Plan, plan
from ianvs_collab.speculative.loop.timing import Timing

_START = 4
"""Tokens to draft before anything was measured."""
_HORIZON = 64
"""Tokens that are planned ahead; what comes behind hardly changes the next step."""
_CURIOUS = 1.25
"""A way that was never tried is tried once if it may take up to so many times the best one's time."""
_TIE = 1.01
"""Streaming has to be better by this factor, since of drafting more is learnt."""
_SURE = 0.9
"""A token behind which a block surely stands is drafted, whatever it takes."""
_LOOK = 12
"""Tokens that are drafted to look at the drafter."""
_CONTESTED = 1.25
"""Where drafting would take up to so many times what streaming takes, the drafter is looked at in every answer."""


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
        begin_s: Seconds of the first verification, where they are known apart.
        mistrust: Sum of -log of the drafter's own probabilities of the tokens that stood, and half of that of the
            rejected one; None where it does not tell them.
    """

    drafted: int
    offered: int
    stood: int
    answers: int
    first: bool
    draft_s: float
    verify_s: float
    other_s: float
    begin_s: float | None = None
    mistrust: float | None = None


class LengthPolicy(Protocol):
    """Chooses draft lengths. It may keep what it has learnt from query to query."""

    def choose(self) -> int:
        """Tokens to draft for the next block; 0 to stream instead."""
        ...

    def observe(self, measured: Round) -> None:
        """Learn from a round."""
        ...


@runtime_checkable
class Planning(LengthPolicy, Protocol):
    """A policy that wants to know where an answer begins and ends, and may look at the drafter during a stream."""

    def begin(self, max_tokens: int) -> int:
        """An answer of up to so many tokens begins; what `choose` will say for its first block."""
        ...

    def least(self) -> float:
        """A block that `choose` gave a length for had better end where the drafter gives all of it less probability."""
        ...

    def spare(self, drafted: int, *, first: bool) -> int:
        """Tokens that the edge can draft until the verdict on so many comes."""
        ...

    def look(self) -> int:
        """Tokens to draft while the first token of a stream is awaited, to see what the drafter is worth; mostly 0."""
        ...

    def looked(self, drafted: int, offered: int, stood: int, draft_s: float) -> None:
        """Learn from such a look: tokens drafted, compared with the stream, found right, and the seconds it took."""
        ...

    def end(self, tokens: int) -> None:
        """The answer is complete and has so many tokens."""
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
    """Plans each answer from measurements in which old rounds fade.

    Args:
        longest: Longest draft to consider.
        stream: Tokens that the cloud streams where the drafter proposes nothing, as the decoder has it.
        memory: Rounds after which a measurement has faded to 1/e; of the link after a quarter of that.
        probe: The drafter is looked at in the first of so many streamed answers, and in every one while drafting might
            be nearly as fast.

    Raises:
        SpeculativeError: If a number is below 1.
    """

    def __init__(self, longest: int = 48, stream: int = 8, memory: float = 40.0, probe: int = 8) -> None:
        if min(longest, stream, memory, probe) < 1:
            raise SpeculativeError("longest, stream, memory and probe of a MeasuredLength must be at least 1")
        self._longest, self._stream, self._probe = longest, stream, probe
        self._times = Timing(memory)
        self._stands = Acceptance(memory)
        self._answers = AnswerLengths(memory)
        self._silent, self._stops = Mean(memory), Mean(memory)
        self._tokens, self._max_tokens = 0, _HORIZON
        self._chosen = self._streamed = 0
        self._drafted_to = 0  # tokens of the answer if the last draft had stood
        self._next: int | None = None
        self._contested = False
        self._least = 0.0
        self._belief = Belief(memory)

    def begin(self, max_tokens: int) -> int:
        """An answer begins; see `Planning.begin`."""
        self._tokens, self._max_tokens = 0, max_tokens
        self._next = self._first() if self._times.known else min(_START, self._longest)
        return self._next

    def choose(self) -> int:
        """Tokens to draft; see `LengthPolicy.choose`. Until a block was timed, 4 or the longest."""
        if self._next is not None:
            self._chosen, self._next = self._next, None
        elif self._times.known:
            self._chosen = self.plan().lengths[0]
        else:
            self._chosen = min(_START, self._longest)
        return self._chosen

    def plan(self, *, first: bool = False) -> Plan:
        """The plan for the rest of the answer; to be asked for once a block was timed.

        Args:
            first: Whether nothing of it is there.
        """
        places = max(1, min(_HORIZON, self._max_tokens - self._tokens))
        habits = Habits(
            self._stands.by_position(self._longest),
            self._answers.hazards(self._tokens, places),
            self._silent.value or 0.0,
            self._stream,
            1.0 if self._stops.value is None else self._stops.value,
        )
        times = self._times.estimate()
        found = plan(times, habits, first=first)
        worth = min(_SURE, times.draft_s / found.token_s) if found.token_s else 0.0
        self._least = self._belief.as_drafter(worth)
        return found

    def observe(self, measured: Round) -> None:
        """Learn from a round; see `LengthPolicy.observe`."""
        if measured.first:
            self._tokens = 0
        self._drafted_to = self._tokens + measured.drafted
        self._tokens += measured.stood + measured.answers
        if measured.drafted:
            self._stands.add(measured.offered, measured.stood)
            if measured.mistrust is not None:
                self._belief.add(measured.mistrust, measured.offered - measured.stood)
        if self._chosen:
            self._silent.add(float(not measured.drafted))
        if measured.answers:
            self._times.add(
                measured.drafted,
                measured.answers,
                (measured.draft_s, measured.verify_s, measured.other_s),
                begin_s=measured.begin_s,
                first=measured.first,
                streaming=not self._chosen and not measured.drafted,
            )

    def least(self) -> float:
        """When to end a block early; see `Planning.least`. The next token has to save more time than it takes."""
        return self._least

    def spare(self, drafted: int, *, first: bool) -> int:
        """Tokens that fit into the wait for a verdict; see `Planning.spare`."""
        return self._times.drafts_before_verdict(drafted, first=first) if self._times.known else 0

    def look(self) -> int:
        """Tokens to draft during a stream; see `Planning.look`. As many as there is time for until its first token."""
        self._streamed += 1
        if not self._contested and self._streamed % self._probe != 1 % self._probe:
            return 0
        return min(_LOOK, self._longest, self._times.drafts_before_stream())

    def looked(self, drafted: int, offered: int, stood: int, draft_s: float) -> None:
        """Learn from a look; see `Planning.looked`."""
        self._silent.add(float(not drafted))
        if drafted:
            self._stands.add(offered, stood)
            self._times.add_draft(drafted, draft_s, first=True)

    def end(self, tokens: int) -> None:
        """An answer is complete; see `Planning.end`."""
        ended = tokens < self._max_tokens
        self._answers.add(tokens, ended=ended)
        if ended and self._drafted_to >= tokens:
            self._stops.add(float(self._drafted_to == tokens))

    def _first(self) -> int:
        """What to begin an answer with."""
        found = self.plan(first=True)
        self._contested = found.drafting_s < _CONTESTED * found.streaming_s
        if not self._times.streamed and found.streaming_s < _CURIOUS * found.drafting_s:
            return 0
        return found.first_block if found.drafting_s < _TIE * found.streaming_s else 0
