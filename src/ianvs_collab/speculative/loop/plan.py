"""The draft length with which an answer is expected to be complete soonest, by dynamic programming.

Let V(n) be the expected seconds until an answer is complete that has n tokens and goes on. A block of γ tokens takes
o + t_d·s + t_v(s): the link and all the rest, a draft step for each of the s tokens that are drafted on average (most
drafters stop where the answer ends), and a verification. With probability R(i-1)·(1 - a_i) the i-th token is the first
that does not stand, and n + i tokens are there, the last one the target's; with R(γ) all stand, and with the bonus
n + γ + 1 are there. R(i) is the probability that i tokens stand and none was the last, from the acceptance a_i at each
position and the probability h(n) that the n-th token is the last. To stream the rest takes o + t_t·(expected tokens).
V(n) is the least of all of these, from the longest possible answer back to the first token.

This asks for the time of the whole answer, not for the time per token in a long run: where answers have 12 tokens, a
block of 14 saves a round trip that the formula for the long run spends.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Seconds of the parts of a round.

    Attributes:
        draft_s: Drafting a token: t_d.
        verify_s: Verifying a block, without what each of its tokens adds.
        verify_token_s: What each token adds.
        token_s: A streamed token: t_t.
        link_s: What the link and the rest take in a round: o.
        read_draft_s: Reading the prompt at the edge, in the first round.
        read_cloud_s: Reading it at the cloud while the edge drafts; the verification waits for it.
        read_verify_s: What the first verification takes more, where it reads the prompt.
        read_stream_s: What the first token of a stream takes more.
    """

    draft_s: float
    verify_s: float
    verify_token_s: float
    token_s: float
    link_s: float
    read_draft_s: float = 0.0
    read_cloud_s: float = 0.0
    read_verify_s: float = 0.0
    read_stream_s: float = 0.0

    def block(self, tokens: float, *, first: bool) -> float:
        """Seconds of a round with a draft."""
        draft_s, verify_s = tokens * self.draft_s, self.verify_s + tokens * self.verify_token_s
        if first:
            draft_s = max(draft_s + self.read_draft_s, self.read_cloud_s)
            verify_s += self.read_verify_s
        return self.link_s + draft_s + verify_s

    def nothing(self, *, first: bool) -> float:
        """Seconds of a round in which the drafter proposes nothing, but for the tokens that are then streamed."""
        reading_s = max(self.read_draft_s, self.read_cloud_s) + self.read_verify_s
        return self.link_s + reading_s * first


@dataclass(frozen=True)
class Habits:
    """What drafts and answers are like.

    Attributes:
        stands: Probability that a drafted token stands, by position in the block; as many as the longest draft.
        ends: Probability that a token is the last, from the first one of the plan on. The plan ends behind them.
        silent: Probability that the drafter proposes nothing.
        burst: Tokens that the cloud then streams.
        stops: How often a draft stops where the answer ends, and does not go on behind it.
    """

    stands: Sequence[float]
    ends: Sequence[float]
    silent: float = 0.0
    burst: int = 8
    stops: float = 1.0


@dataclass(frozen=True)
class Plan:
    """What to do after how many tokens.

    Attributes:
        lengths: Tokens to draft, 0 to stream the rest, by the number of tokens since the beginning of the plan.
        first_block: Tokens of the first block, if there is one.
        drafting_s: Expected seconds from the beginning if a block is drafted first.
        streaming_s: Expected seconds if all is streamed.
        tokens: Expected tokens to the end.
    """

    lengths: list[int]
    first_block: int
    drafting_s: float
    streaming_s: float
    tokens: float

    @property
    def token_s(self) -> float:
        """Expected seconds of a token if the plan is followed."""
        return min(self.drafting_s, self.streaming_s) / self.tokens


def plan(times: Times, habits: Habits, *, first: bool) -> Plan:
    """Plan an answer, or the rest of one.

    Args:
        times: What things take.
        habits: What to expect.
        first: Whether the plan begins with the first round, in which the prompt is read.
    """
    places = len(habits.ends)
    streams = _streams(times, habits.ends)
    alive = [*itertools.accumulate((1 - end for end in habits.ends), lambda left, right: left * right, initial=1.0)]
    seconds, lengths = [0.0] * (places + 2), [0] * places
    drafting_s = streaming_s = 0.0
    length = 0
    for place in reversed(range(places)):
        at_first = first and not place
        streaming_s = times.link_s + streams[place] + times.read_stream_s * at_first
        length, drafting_s = _best_block(times, habits, seconds, place, first=at_first)
        if habits.silent:
            burst_s = times.nothing(first=at_first)
            burst_s += _burst(habits, place, streams=streams, alive=alive, seconds=seconds)
            drafting_s += habits.silent * (burst_s - drafting_s)
        lengths[place] = length if drafting_s < streaming_s else 0
        seconds[place] = min(drafting_s, streaming_s)
    return Plan(lengths, length, drafting_s, streaming_s, sum(alive[:-1]))


def _streams(times: Times, ends: Sequence[float]) -> list[float]:
    """Expected seconds that the target computes to the end, from each place on."""
    found = [0.0]
    for end in reversed(ends):
        found.append(times.token_s + (1 - end) * found[-1])
    return found[::-1]


def _best_block(
    times: Times, habits: Habits, seconds: Sequence[float], place: int, *, first: bool
) -> tuple[int, float]:
    """The best length of a block and the expected seconds to the end with it."""
    best = (1, times.block(0, first=first) + times.draft_s)  # for the very last token, which is not drafted
    least = float("inf")
    reached = drafting = 1.0
    drafted = later = 0.0
    ends = habits.ends
    for length in range(1, min(len(habits.stands), len(ends) - place - 1) + 1):
        end, stands = ends[place + length - 1], habits.stands[length - 1]
        drafted += drafting
        drafting *= 1 - end * habits.stops
        later += reached * (1 - stands) * (1 - end) * seconds[place + length]
        reached *= stands * (1 - end)
        behind = reached * (1 - ends[place + length]) * seconds[place + length + 1]
        total = times.block(drafted, first=first) + later + behind
        if total < least:
            least, best = total, (length, total)
    return best


def _burst(
    habits: Habits, place: int, *, streams: Sequence[float], alive: Sequence[float], seconds: Sequence[float]
) -> float:
    """Expected seconds to the end, but for the link, if the cloud streams a few tokens because there is no draft."""
    behind = min(place + habits.burst, len(habits.ends))
    survives = alive[behind] / alive[place] if alive[place] else 0.0
    return streams[place] + survives * (seconds[behind] - streams[behind])
