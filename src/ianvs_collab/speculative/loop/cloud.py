"""The cloud's half of a query: a session of the target, and the verdicts on what arrives.

It lives on messages alone, so it can sit in the same process or behind any connection.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch

from ianvs_collab.modelserver.stepping import Session, Stepper
from ianvs_collab.speculative.errors import ProtocolError
from ianvs_collab.speculative.protocols import NUMBERS, Block, Ids
from ianvs_collab.speculative.protocols.messages import age
from ianvs_collab.speculative.verification import Verdict, Verifier

_TOGETHER = 256
"""Longest prompt that is read with the first block: the output layer is then computed for all of it."""


class CloudHalf:
    """Verifies the blocks of one query.

    The session holds all committed tokens but the last one. A block is that token and the draft in one forward pass;
    what was rejected is rolled back.

    Args:
        stepper: The target.
        codec: The protocol.
        verifier: The rule.
        end_tokens: Tokens after which a stream ends.
        eager: Whether to read the prompt as soon as it comes. That uses the time in which the edge drafts; without it a
            short prompt is read with the first block, which saves a forward pass.

    Attributes:
        margins: The margin of every verdict, in order; see `Verdict.margin`.
    """

    def __init__(
        self, stepper: Stepper, codec: Ids, verifier: Verifier, end_tokens: Collection[int] = (), *, eager: bool = True
    ) -> None:
        self._codec, self._verifier, self._end_tokens = codec, verifier, end_tokens
        self._session: Session = stepper.open()
        self._last: int | None = None
        self._unread: list[int] = []
        self._eager = eager
        self._owed = self._void = False
        self._position = self._expected = 0
        self._latest = b""
        self.margins: list[float] = []

    def open(self, payload: bytes) -> None:
        """Take the prompt and fill the cache with it.

        Raises:
            ProtocolError: If the message is no prompt, or an empty one.
            StepError: If it does not fit into the context.
        """
        tokens = self._codec.decode_prompt(payload)
        if not tokens:
            raise ProtocolError("the prompt is empty; there is nothing to continue")
        self._unread, self._last = tokens[:-1], tokens[-1]
        if self._unread and (self._eager or len(tokens) > _TOGETHER):
            self._session.prefill(self._unread)
            self._unread = []

    def answer(self, payload: bytes) -> Iterator[bytes]:
        """Answer a block by a verdict, or a request for a stream by a verdict for each token.

        The latest block may arrive twice: it is answered by the same verdict again. A chained block whose predecessor
        did not stand is dropped without an answer.

        Raises:
            ProtocolError: If the message is no block, no prompt came before, or the block is not the next one.
            StepError: If it does not fit into the context.
        """
        block = self._codec.decode_block(payload)
        if block.chained and self._void:
            return
        behind = age(block.number, self._expected)
        if behind == 1 and not block.wanted:
            yield self._latest
            return
        if self._last is None or behind:
            raise ProtocolError(f"block {block.number} came where block {self._expected % NUMBERS} was expected")
        self._void = False
        self._take_head(block)
        if block.draft.tokens:
            yield self._verify(block)
        for _ in range(block.wanted):
            yield self._verify(block)
            if self._last in self._end_tokens:
                break

    def close(self) -> None:
        """Release the session."""
        self._session.close()

    def _take_head(self, block: Block) -> None:
        if self._owed != (block.head is not None):
            raise ProtocolError(
                f"block {block.number} {'lacks' if self._owed else 'has'} a head, the token that the edge draws "
                "after a rejection, and only then"
            )
        if block.head is not None:
            self._last, self._owed = block.head, False
            self._position += 1

    def _verify(self, block: Block) -> bytes:
        tokens = block.draft.tokens
        assert self._last is not None
        # Without a bonus the last drafted token is fed with the next block.
        fed = [self._last, *tokens][: len(tokens) + block.bonus or 1]
        verdict = self._verifier.verify(block.draft, self._logits(fed), self._position)
        self._session.rollback(max(0, len(fed) - 1 - verdict.accepted))
        self._note(verdict, tokens)
        self._latest = self._codec.encode_verdict(self._expected, verdict)
        self._expected += 1
        return self._latest

    def _logits(self, tokens: list[int]) -> torch.Tensor:
        """Logits after each token."""
        logits = self._session.step([*self._unread, *tokens])[len(self._unread) :]
        self._unread = []
        return logits

    def _note(self, verdict: Verdict, tokens: list[int]) -> None:
        self._position += verdict.accepted
        self._owed = verdict.row is not None
        self._void = self._owed or verdict.token is not None
        if verdict.token is not None:
            self._last = verdict.token
            self._position += 1
        elif not self._owed:
            self._last = tokens[-1]
        self.margins.append(verdict.margin)
