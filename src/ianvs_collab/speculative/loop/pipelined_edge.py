"""The edge's half with several blocks under way: it drafts on, as if all that was drafted would stand."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from ianvs_collab.speculative.drafters import Drafter
from ianvs_collab.speculative.errors import ProtocolError, SpeculativeError
from ianvs_collab.speculative.loop.edge import EdgeHalf
from ianvs_collab.speculative.protocols import NUMBERS, Block, Ids, age
from ianvs_collab.speculative.verification import Draft


@runtime_checkable
class Retracting(Protocol):
    """A drafter that can take back what it was told."""

    def retract(self, count: int) -> None:
        """Forget the last `count` tokens that were committed; others follow at once."""
        ...


class PipelinedEdge(EdgeHalf):
    """Drafts ahead of the verdicts.

    No bonus tokens are asked for: the place behind a block is where the next one begins.

    Args:
        drafter: What proposes; its query has begun.
        codec: The protocol.
        generator: For replacements that the edge draws.
        max_tokens: Longest completion.
        end_tokens: Tokens after which it ends.

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
        self._ready: Draft | None = None
        self._sent: deque[Draft] = deque()
        self._ahead = 0
        self._at_end = False

    @property
    def outstanding(self) -> int:
        """Blocks and streamed tokens whose verdict has not come."""
        return len(self._sent) + self._outstanding

    @property
    def ready(self) -> bool:
        """Whether a block is drafted and not sent."""
        return self._ready is not None

    @property
    def may_draft(self) -> bool:
        """Whether there may be something to draft beyond what is drafted."""
        room = self._max_tokens - len(self.tokens) - self._ahead
        return not self.ready and not self._at_end and not self._outstanding and room > 0

    def draft_ahead(self, length: int) -> None:
        """Draft the next block."""
        room = self._max_tokens - len(self.tokens) - self._ahead
        draft = self._drafter.draft(min(length, room))
        self._at_end = not draft.tokens or draft.tokens[-1] in self._end_tokens
        if draft.tokens:
            self._ready = draft
            self._ahead += len(draft.tokens)
            self._drafter.commit(draft.tokens)

    def take_ready(self) -> Block:
        """The drafted block, to be sent now."""
        assert self._ready is not None
        block = Block(self._expected + len(self._sent), self._ready, self._head, bonus=False, chained=bool(self._sent))
        self._sent.append(self._ready)
        self._ready = self._head = None
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
        stands = verdict.accepted == len(draft.tokens) and verdict.token is None and verdict.row is None
        if behind < 0 or not stands and verdict.accepted >= len(draft.tokens):
            raise ProtocolError(
                f"verdict {number} accepts {verdict.accepted} tokens, but block {self._expected % NUMBERS} has "
                f"{len(draft.tokens)} and no bonus; edge and cloud do not talk about the same block"
            )
        committed = draft.tokens if stands else [*draft.tokens[: verdict.accepted], self._next(draft, verdict)]
        committed = self._cut(committed)
        self.tally.judge(draft.tokens, verdict, len(committed))
        self._expected += 1
        self.tokens += committed
        if stands:
            self._sent.popleft()
            self._ahead -= len(draft.tokens)
        else:
            self._take_back(verdict.accepted, committed)
        return committed

    def _take_back(self, accepted: int, committed: Sequence[int]) -> None:
        """Forget all drafts, of which the first tokens stood, and go on behind the rejected one."""
        if not self.finished:
            self._retracting.retract(self._ahead - accepted)
            self._drafter.commit(committed[-1:])
        self._sent.clear()
        self._ready, self._ahead, self._at_end = None, 0, False
