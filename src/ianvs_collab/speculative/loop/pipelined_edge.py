"""The edge's half that drafts ahead of the verdicts, as if all that was drafted would stand.

With one block under way the cloud still adds its bonus token, and the first token that is drafted ahead is a guess at
it: if the block stands and the guess is right, the tokens behind it are the next block. With several blocks under way
no bonus is asked for, because the place behind a block is where the next one begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from ianvs_collab.speculative.drafters import Drafter
from ianvs_collab.speculative.errors import ProtocolError, SpeculativeError
from ianvs_collab.speculative.loop.edge import EdgeHalf
from ianvs_collab.speculative.protocols import NUMBERS, Block, Ids, age
from ianvs_collab.speculative.verification import Draft, Verdict


@runtime_checkable
class Retracting(Protocol):
    """A drafter that can take back what it was told."""

    def retract(self, count: int) -> None:
        """Forget the last `count` tokens that were committed; others follow at once."""
        ...


@runtime_checkable
class Stepwise(Protocol):
    """A drafter that pays for each token, so that it is asked for one at a time and can be stopped by a verdict."""

    @property
    def stopped(self) -> bool:
        """Whether the last draft ended of itself: after an end token, or after one that it was not sure of."""
        ...


class PipelinedEdge(EdgeHalf):
    """Drafts ahead of the verdicts.

    Args:
        drafter: What proposes; its query has begun.
        codec: The protocol.
        generator: For replacements that the edge draws.
        max_tokens: Longest completion.
        end_tokens: Tokens after which it ends.

    Attributes:
        bonus: Whether the cloud is to add a token after a block that stands; only one block may then be under way.

    Raises:
        SpeculativeError: If the drafter cannot take anything back.
    """

    def __init__(
        self,
        drafter: Drafter,
        codec: Ids,
        generator: np.random.Generator,
        max_tokens: int,
        end_tokens: Collection[int],
    ) -> None:
        super().__init__(drafter, codec, generator, max_tokens, end_tokens)
        if not isinstance(drafter, Retracting):
            raise SpeculativeError(
                f"{type(drafter).__name__} cannot take back what was drafted ahead; use a ModelDrafter or a "
                "PromptLookup, or `pipelining='synchronous'`"
            )
        self._retracting: Retracting = drafter
        self.bonus = False
        self._growing = Draft([])  # drafted and not sent
        self._complete = self._at_end = False
        self._sent: deque[Draft] = deque()
        self._ahead = 0  # tokens drafted beyond the completion, sent or not

    @property
    def outstanding(self) -> int:
        """Blocks and streamed tokens whose verdict has not come."""
        return len(self._sent) + self._outstanding

    @property
    def ready(self) -> bool:
        """Whether a block is drafted and not sent."""
        return self._complete

    @property
    def may_draft(self) -> bool:
        """Whether there may be something to draft beyond what is drafted."""
        return not self._complete and not self._at_end and not self._outstanding and self._room > 0

    def draft_ahead(self, length: int) -> None:
        """Draft the next token of a block, or all of it where that costs nothing.

        Args:
            length: Tokens of the block.
        """
        wanted = length + self._guesses - len(self._growing.tokens)
        step = 1 if isinstance(self._drafter, Stepwise) else max(1, wanted)
        draft = self._drafter.draft(min(step, self._room))
        if draft.tokens:
            self._growing = joined(self._growing, draft)
            self._ahead += len(draft.tokens)
            self._drafter.commit(draft.tokens)
        self._at_end = ends(draft, self._end_tokens)
        drafted = len(self._growing.tokens)
        enough = len(draft.tokens) >= wanted or self._room <= 0 or self._at_end
        self._complete = bool(drafted) and (enough or stopped(self._drafter) and drafted > self._guesses)

    def close_block(self) -> None:
        """What is drafted is to be the next block, even if it was to be longer."""
        self._complete = len(self._growing.tokens) > self._guesses

    def take_ready(self) -> Block:
        """The drafted block, to be sent now."""
        assert self._complete
        number = self._expected + len(self._sent)
        block = Block(number, self._growing, self._head, bonus=self.bonus, chained=bool(self._sent))
        self._sent.append(self._growing)
        self._growing, self._complete, self._head = Draft([]), False, None
        return block

    def request_stream(self, stream: int) -> Block:
        """A request for tokens where there is nothing to draft and nothing under way."""
        self._at_end = False
        return self.block(0, stream)

    def receive(self, payload: bytes) -> list[int]:
        """Take a verdict; see `EdgeHalf.receive`. A rejection takes back all that was drafted beyond it.

        Raises:
            ProtocolError: See there.
        """
        if not self._sent:
            return super().receive(payload)
        number, verdict = self._codec.decode_verdict(payload)
        behind = age(number, self._expected)
        if behind > 0:
            self.tally.stale += 1
            return []
        draft = self._sent[0]
        whole = verdict.accepted == len(draft.tokens) and verdict.row is None
        if behind < 0 or (whole and (verdict.token is None) == self.bonus) or verdict.accepted > len(draft.tokens):
            raise ProtocolError(
                f"verdict {number} accepts {verdict.accepted} tokens, but block {self._expected % NUMBERS} has "
                f"{len(draft.tokens)} and {'a' if self.bonus else 'no'} bonus; edge and cloud do not talk about the "
                "same block"
            )
        committed = self._cut(self._committed(draft, verdict, whole))
        self.tally.judge(draft.tokens, verdict, len(committed))
        self._expected += 1
        self.tokens += committed
        self._settle(len(draft.tokens) if whole else verdict.accepted, committed, whole)
        return committed

    @property
    def _guesses(self) -> int:
        """Tokens of the growing draft that stand where a bonus will be."""
        return int(self.bonus and bool(self._sent))

    @property
    def _room(self) -> int:
        return self._max_tokens - len(self.tokens) - self._ahead

    def _committed(self, draft: Draft, verdict: Verdict, whole: bool) -> list[int]:
        if not whole:
            return [*draft.tokens[: verdict.accepted], self._next(draft, verdict)]
        return draft.tokens if verdict.token is None else [*draft.tokens, verdict.token]

    def _settle(self, accepted: int, committed: Sequence[int], whole: bool) -> None:
        """Bring what is drafted ahead into line with a verdict."""
        if self.finished:
            self._sent.clear()
            self._forget()
        elif not whole:
            self._replace(accepted, committed[-1])
        else:
            self._sent.popleft()
            self._stood(accepted)
            if self.bonus:
                self._take_bonus(committed[-1])

    def _take_bonus(self, token: int) -> None:
        if self._growing.tokens[:1] != [token]:
            self._replace(0, token)
            return
        self._growing = rest(self._growing, 1)
        self._stood(1)
        self._complete = self._complete and bool(self._growing.tokens)

    def _stood(self, count: int) -> None:
        """The first tokens that were ahead are part of the completion now."""
        self._ahead -= count

    def _replace(self, kept: int, token: int) -> None:
        """Another token stands where the drafts beyond the completion, all but the first `kept`, begin."""
        self._retracting.retract(self._ahead - kept)
        self._drafter.commit([token])
        self._forget()

    def _forget(self) -> None:
        """Nothing is drafted ahead."""
        self._sent.clear()
        self._growing, self._ahead = Draft([]), 0
        self._complete = self._at_end = False


def stopped(drafter: object) -> bool:
    """Whether a drafter ended its last draft of itself."""
    return isinstance(drafter, Stepwise) and drafter.stopped


def ends(draft: Draft, end_tokens: Collection[int]) -> bool:
    """Whether nothing can come after a draft."""
    return not draft.tokens or draft.tokens[-1] in end_tokens


def joined(left: Draft, right: Draft) -> Draft:
    """Two drafts, the one behind the other, as one."""
    if not left.tokens:
        return right
    tokens = [*left.tokens, *right.tokens]
    if left.rows is None or right.rows is None or left.chosen is None or right.chosen is None:
        return Draft(tokens)
    return Draft(tokens, np.concatenate([left.rows, right.rows]), np.concatenate([left.chosen, right.chosen]))


def rest(draft: Draft, count: int) -> Draft:
    """A draft without its first `count` tokens."""
    rows = None if draft.rows is None else draft.rows[count:]
    return Draft(draft.tokens[count:], rows, None if draft.chosen is None else draft.chosen[count:])
