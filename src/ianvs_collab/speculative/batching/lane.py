"""One client's blocks in the order in which they came, and its half of the query, which works on the first of them.

Whatever goes wrong here, in a message or in a verdict, ends with the ticket that it belongs to: a lane raises nothing
that could reach another client.
"""

from __future__ import annotations

from collections import deque

import torch

from ianvs_collab.speculative.batching.ticket import Ticket
from ianvs_collab.speculative.loop.cloud import CloudHalf

_AHEAD = 2
"""Verdicts of a stream that may lie unread: enough to be computed on while one is sent, and no more if nobody reads."""


class Lane:
    """A client at the verifier.

    Args:
        half: Its half of the query, with the prompt read.
    """

    def __init__(self, half: CloudHalf) -> None:
        self.half = half
        self._tickets: deque[Ticket] = deque()
        self._begun: Ticket | None = None

    @property
    def busy(self) -> bool:
        """Whether a block is there that is not answered to the end."""
        return bool(self._tickets)

    @property
    def hungry(self) -> bool:
        """Whether the next pass is to work for this client."""
        return self.busy and (len(self._tickets) > 1 or self._tickets[0].over or self._tickets[0].unread < _AHEAD)

    def queue(self, ticket: Ticket) -> None:
        """Line up a block."""
        self._tickets.append(ticket)

    def begin(self) -> list[int]:
        """What to feed to the model for the first block; nothing if it is answered or void without that."""
        while self._tickets:
            ticket = self._tickets[0]
            if ticket is not self._begun and not ticket.over:
                self._take(ticket)
            if not ticket.over and self.half.feed:
                return self.half.feed
            self._done()
        return []

    def finish(self, logits: torch.Tensor | Exception) -> None:
        """Judge by the logits after what `begin` gave, or note that there are none and why."""
        ticket = self._tickets[0]
        try:
            if isinstance(logits, Exception):
                raise logits
            ticket.put(self.half.judge(logits))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this client's, and the others go on
            ticket.end(error)
        if ticket.over or not self.half.feed:
            self._done()

    def close(self) -> None:
        """Drop all blocks and release the session."""
        while self._tickets:
            self._done()
        self.half.close()

    def _take(self, ticket: Ticket) -> None:
        self._begun = ticket
        try:
            repeated = self.half.take(ticket.payload)
        except Exception as error:  # noqa: BLE001 - as in `finish`
            ticket.end(error)
        else:
            if repeated is not None:
                ticket.put(repeated)

    def _done(self) -> None:
        self.half.drop()
        self._tickets.popleft().end()
