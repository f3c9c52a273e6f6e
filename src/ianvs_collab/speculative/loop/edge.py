"""The edge's half of a query: drafts, and what came of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from ianvs_collab.speculative.drafters import Drafter
from ianvs_collab.speculative.errors import ProtocolError
from ianvs_collab.speculative.loop.tally import Tally
from ianvs_collab.speculative.protocols import NUMBERS, Block, Ids, age
from ianvs_collab.speculative.verification import Draft, Verdict, replacement


class EdgeHalf:
    """Drafts the blocks of one query and takes the verdicts.

    Args:
        drafter: What proposes; its query has begun.
        codec: The protocol.
        generator: For replacements that the edge draws.
        max_tokens: Longest completion.
        end_tokens: Tokens after which it ends.

    Attributes:
        tokens: The completion so far.
        tally: Counts.
    """

    def __init__(
        self,
        drafter: Drafter,
        codec: Ids,
        generator: np.random.Generator,
        max_tokens: int,
        end_tokens: Collection[int],
    ) -> None:
        self._drafter, self._codec, self._generator = drafter, codec, generator
        self._max_tokens, self._end_tokens = max_tokens, end_tokens
        self._expected = self._outstanding = 0
        self._draft = Draft([])
        self._head: int | None = None
        self.tokens: list[int] = []
        self.tally = Tally()

    @property
    def finished(self) -> bool:
        """Whether the completion has its end token or its greatest length."""
        return len(self.tokens) >= self._max_tokens or bool(self.tokens) and self.tokens[-1] in self._end_tokens

    @property
    def outstanding(self) -> int:
        """Blocks and streamed tokens whose verdict has not come."""
        return self._outstanding

    def block(self, length: int, stream: int) -> Block:
        """The next block.

        Args:
            length: Tokens to draft; 0 for none.
            stream: Tokens to ask for where nothing is drafted.
        """
        left = self._max_tokens - len(self.tokens)
        # The verdict adds a token, so the last one need not be drafted.
        self._draft = self._drafter.draft(min(length, left - 1)) if min(length, left - 1) > 0 else Draft([])
        wanted = 0 if self._draft.tokens else min(stream, left)
        block = Block(self._expected, self._draft, self._head, wanted)
        self._head = None
        self._outstanding = max(1, wanted)
        return block

    def receive(self, payload: bytes) -> list[int]:
        """Take a verdict.

        Returns:
            The tokens that it commits; none for a late or repeated one.

        Raises:
            ProtocolError: If the message is no verdict, or not one on a block that was sent.
        """
        number, verdict = self._codec.decode_verdict(payload)
        behind = age(number, self._expected)
        if behind > 0:
            self.tally.stale += 1
            return []
        if behind < 0 or verdict.accepted > len(self._draft.tokens) or not self._outstanding:
            raise ProtocolError(
                f"verdict {number} accepts {verdict.accepted} tokens, but the edge waits for "
                f"{self._outstanding} verdicts from {self._expected % NUMBERS} on, on {len(self._draft.tokens)} "
                "drafted tokens; edge and cloud do not talk about the same block"
            )
        committed = self._cut([*self._draft.tokens[: verdict.accepted], self._next(self._draft, verdict)])
        self.tally.judge(self._draft.tokens, verdict, len(committed))
        self._expected += 1
        self._outstanding -= 1
        self._draft = Draft([])
        self.tokens += committed
        if not self.finished:
            self._drafter.commit(committed)
        return committed

    def write_alone(self, drafter: Drafter) -> None:
        """Append one token that a drafter proposes, unverified; none if it has no idea.

        Args:
            drafter: Its query has begun with all that is committed.
        """
        tokens = self._cut(drafter.draft(1).tokens)
        self.tokens += tokens
        self.tally.alone += len(tokens)
        if tokens and not self.finished:
            drafter.commit(tokens)

    def _next(self, draft: Draft, verdict: Verdict) -> int:
        if verdict.token is not None:
            return verdict.token
        if verdict.row is None or draft.rows is None or verdict.accepted == len(draft.tokens):
            raise ProtocolError("the verdict lacks the token after the accepted ones, or has a row without a rejection")
        self._head = replacement(verdict.row, draft.rows[verdict.accepted], self._generator.random())
        return self._head

    def _cut(self, tokens: Sequence[int]) -> list[int]:
        """The tokens up to the first end token, and no more than there is room for."""
        tokens = tokens[: self._max_tokens - len(self.tokens)]
        for index, token in enumerate(tokens):
            if token in self._end_tokens:
                return list(tokens[: index + 1])
        return list(tokens)
