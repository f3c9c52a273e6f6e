"""The cloud's half of a query: a session of the target, and the verdicts on what arrives.

It lives on messages alone, so it can sit in the same process or behind any connection. What it wants fed to the model
(`feed`) and what it makes of the logits (`judge`) are separate, so that the halves of several clients can share a
forward pass; `answer` does both for one client alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch

from ianvs_collab.modelserver.stepping import Session, Stepper
from ianvs_collab.speculative.errors import ProtocolError
from ianvs_collab.speculative.protocols import NUMBERS, Block, Ids
from ianvs_collab.speculative.protocols.messages import age
from ianvs_collab.speculative.verification import Draft, Verdict, Verifier

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
        session: The target's text; to be stepped by `feed`, and touched by nobody else.
        margins: The margin of every verdict, in order; see `Verdict.margin`.
    """

    def __init__(
        self, stepper: Stepper, codec: Ids, verifier: Verifier, end_tokens: Collection[int] = (), *, eager: bool = True
    ) -> None:
        self._codec, self._verifier, self._end_tokens = codec, verifier, end_tokens
        self.session: Session = stepper.open()
        self._last: int | None = None
        self._unread: list[int] = []
        self._eager = eager
        self._owed = self._void = False
        self._position = self._expected = 0
        self._latest = b""
        self._block = Block(0, Draft([]))
        self._due = 0
        self.margins: list[float] = []

    def open(self, payload: bytes) -> None:
        """Take the prompt and fill the cache with it.

        Raises:
            ProtocolError: If the message is no prompt, or an empty one.
            StepError: If it does not fit into the context.
        """
        self.accept(payload)
        self.read()

    def accept(self, payload: bytes) -> None:
        """Take the prompt and compute nothing yet; `read` does.

        Raises:
            ProtocolError: As `open`.
        """
        tokens = self._codec.decode_prompt(payload)
        if not tokens:
            raise ProtocolError("the prompt is empty; there is nothing to continue")
        self._unread, self._last = tokens[:-1], tokens[-1]
        self._eager = self._eager or len(tokens) > _TOGETHER

    def read(self, most: int | None = None) -> bool:
        """Fill the cache with what is to be read ahead of the first block.

        Args:
            most: Tokens to read at once; None for all.

        Returns:
            Whether there is more.

        Raises:
            StepError: As `open`.
        """
        if self._eager and self._unread:
            self.session.prefill(self._unread[:most])
            self._unread = self._unread[most:] if most else []
        return self._eager and bool(self._unread)

    def answer(self, payload: bytes) -> Iterator[bytes]:
        """Answer a block by a verdict, or a request for a stream by a verdict for each token.

        The latest block may arrive twice: it is answered by the same verdict again. A chained block whose predecessor
        did not stand is dropped without an answer.

        Raises:
            ProtocolError: If the message is no block, no prompt came before, or the block is not the next one.
            StepError: If it does not fit into the context.
        """
        repeated = self.take(payload)
        if repeated is not None:
            yield repeated
        while feed := self.feed:
            yield self.judge(self.session.step(feed))

    def take(self, payload: bytes) -> bytes | None:
        """Take a block or a request for a stream, without computing anything; what was left of the last one is dropped.

        Returns:
            The verdict, where it is known because the latest block came again; None otherwise, and `feed` then says
            what is needed.

        Raises:
            ProtocolError: As `answer`.
        """
        self.drop()
        block = self._codec.decode_block(payload)
        behind = age(block.number, self._expected)
        if behind == 1 and not block.wanted:
            return self._latest
        if block.chained and self._void:
            return None
        if self._last is None or behind:
            raise ProtocolError(f"block {block.number} came where block {self._expected % NUMBERS} was expected")
        self._void = False
        self._take_head(block)
        self._block, self._due = block, 1 if block.draft.tokens else block.wanted
        return None

    @property
    def feed(self) -> list[int]:
        """Tokens to append to `session` for the next verdict; none if no verdict is due."""
        return [*self._unread, *self._fed] if self._due else []

    def judge(self, logits: torch.Tensor) -> bytes:
        """The next verdict, as a message.

        Args:
            logits: After each token of `feed`, which the session has got: shape (len(feed), vocabulary).
        """
        tokens, fed = self._block.draft.tokens, self._fed
        verdict = self._verifier.verify(self._block.draft, logits[len(self._unread) :], self._position)
        self._unread = []
        self.session.rollback(max(0, len(fed) - 1 - verdict.accepted))
        self._note(verdict, tokens)
        self._due = 0 if self._last in self._end_tokens else self._due - 1
        self._latest = self._codec.encode_verdict(self._expected, verdict)
        self._expected += 1
        return self._latest

    def drop(self) -> None:
        """Forget what is left of a stream, or a block that could not be fed."""
        self._due = 0

    def close(self) -> None:
        """Release the session."""
        self.session.close()

    @property
    def _fed(self) -> list[int]:
        """The last committed token and the draft; without a bonus the last drafted token comes with the next block."""
        tokens = self._block.draft.tokens
        assert self._last is not None
        return [self._last, *tokens][: len(tokens) + self._block.bonus or 1]

    def _take_head(self, block: Block) -> None:
        if self._owed != (block.head is not None):
            raise ProtocolError(
                f"block {block.number} {'lacks' if self._owed else 'has'} a head, the token that the edge draws "
                "after a rejection, and only then"
            )
        if block.head is not None:
            self._last, self._owed = block.head, False
            self._position += 1

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
