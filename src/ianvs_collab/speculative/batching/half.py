"""The cloud's half of a query at a verifier that it shares with others."""

from __future__ import annotations

from collections.abc import Iterator

from ianvs_collab.speculative.batching.batcher import Batcher
from ianvs_collab.speculative.batching.lane import Lane
from ianvs_collab.speculative.batching.ticket import Ticket
from ianvs_collab.speculative.loop.cloud import CloudHalf


class BatchedHalf:
    """Does what `CloudHalf` does, in forward passes together with the other clients of a batcher.

    `answer` is all that a client needs which has a thread to itself. A server that runs the model in one thread for
    all has to say before its turn comes that a block is there, or nobody could share a pass: it calls `post` when a
    message arrives, then `take` in the model's thread until that gives None, and `cancel` if it stops before.

    Args:
        half: The client's half of the query.
        batcher: Shared by all clients of a model.
    """

    def __init__(self, half: CloudHalf, batcher: Batcher) -> None:
        self._half, self._batcher = half, batcher
        self._lane = Lane(half)

    @property
    def margins(self) -> list[float]:
        """The margin of every verdict; see `CloudHalf`."""
        return self._half.margins

    def open(self, payload: bytes) -> None:
        """Take the prompt and fill the cache with it, in a forward pass of its own.

        Raises:
            ProtocolError: If the message is no prompt, or an empty one.
            StepError: If it does not fit into the context.
        """
        with self._batcher.alone():
            self._half.open(payload)

    def accept(self, payload: bytes) -> None:
        """Take the prompt and compute nothing yet; see `CloudHalf.accept`.

        Raises:
            ProtocolError: As `open`.
        """
        self._half.accept(payload)

    def read(self, most: int | None = None) -> bool:
        """Read a part of the prompt; see `CloudHalf.read`. Other clients have their turn between parts.

        Raises:
            StepError: See there.
        """
        with self._batcher.alone():
            return self._half.read(most)

    def post(self, payload: bytes) -> Ticket:
        """Hand in a block or a request for a stream, without waiting; blocks of one client are worked on in order.

        Before `open` is done it would be refused, as it may be taken up in another client's pass at any time.
        """
        return self._batcher.post(self._lane, payload)

    def take(self, ticket: Ticket) -> bytes | None:
        """Wait for the next verdict on a block, and help to compute it; None after the last one.

        Raises:
            ProtocolError: If the message is no block, no prompt came before, or the block is not the next one.
            StepError: If it does not fit into the context.
        """
        return self._batcher.take(ticket)

    def cancel(self, ticket: Ticket) -> None:
        """Want no more verdicts on a block. Harmless when there are none left."""
        ticket.end()

    def answer(self, payload: bytes) -> Iterator[bytes]:
        """Answer a block, or a request for a stream; see `CloudHalf.answer`.

        Raises:
            ProtocolError: As `take`.
            StepError: As `take`.
        """
        ticket = self.post(payload)
        try:
            while (verdict := self.take(ticket)) is not None:
                yield verdict
        finally:
            self.cancel(ticket)

    def close(self) -> None:
        """Release the session, after the pass that is running."""
        self._batcher.leave(self._lane)
