"""Continuous batching of verification: blocks that come while the model is busy are verified in its next forward pass.

There is no waiting window: an idle verifier takes a lone block at once, a busy one finds by itself, after each pass,
as many blocks as came in that time. And there is no thread of its own: whoever wants a verdict and finds the model
free runs a pass for all that are waiting (flat combining: Hendler et al. 2010, SPAA 10), so it works the same in a
worker with one thread for the model and in a program with a thread for each client.

Iteration-level batching: Yu et al. 2022, "Orca" (OSDI 22).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch

from ianvs_collab.modelserver.stepping import Session, step_together
from ianvs_collab.speculative.batching.lane import Lane
from ianvs_collab.speculative.batching.ticket import Ticket
from ianvs_collab.speculative.errors import SpeculativeError

Step = Callable[[Sequence[Session], Sequence[Sequence[int]]], list[torch.Tensor]]


class Batcher:
    """Verifies blocks of many clients together; used from any thread.

    Args:
        max_batch: Clients in one forward pass at most. More wait for the next one, which they get before those that
            were in this one.
        step: What feeds several sessions, all or none of them; `step_together`.

    Attributes:
        sizes: How many passes there were with each number of clients, those that failed left out.

    Raises:
        SpeculativeError: If `max_batch` is less than 1.
    """

    def __init__(self, max_batch: int = 32, step: Step = step_together) -> None:
        if max_batch < 1:
            raise SpeculativeError(f"max_batch must be at least 1, not {max_batch!r}; 32 is a good start")
        self._max_batch, self._step = max_batch, step
        self._model = threading.Lock()
        self._door = threading.Lock()
        self._waiting: dict[Lane, None] = {}  # in the order of their turns
        self.sizes: Counter[int] = Counter()

    def alone(self) -> AbstractContextManager[object]:
        """Context manager in which no pass runs, for what touches sessions otherwise: reading a prompt, closing."""
        return self._model

    def post(self, lane: Lane, payload: bytes) -> Ticket:
        """Line up a block; returns at once, and costs no computing."""
        ticket = Ticket(payload)
        with self._door:
            lane.queue(ticket)
            self._waiting.setdefault(lane)
        return ticket

    def take(self, ticket: Ticket) -> bytes | None:
        """Wait for the next verdict, and if the model is free, work on it: for this client and all that wait.

        Returns:
            The verdict; None after the last one.

        Raises:
            ProtocolError: If the message is no block, or not the next one.
            StepError: If the block does not fit into the context.
            SpeculativeError: If the ticket is not one of this batcher's.
        """
        while not ticket.settled:
            with self._model:
                # Another thread's pass may have settled it meanwhile.
                if not ticket.settled and not self._pass() and not ticket.settled:
                    raise SpeculativeError("nobody works on this block: take it where it was posted, at its own client")
        return ticket.next()

    def work(self) -> bool:
        """Run one pass for those that wait; returns whether there were any."""
        with self._model:
            return self._pass()

    def leave(self, lane: Lane) -> None:
        """Take a client out, and close its session; who waits for a verdict of it gets none."""
        with self._model:
            with self._door:
                self._waiting.pop(lane, None)
            lane.close()

    def _pass(self) -> bool:
        lanes = self._next_lanes()
        try:
            feeds = {lane: feed for lane in lanes if (feed := lane.begin())}
            if feeds:
                found = self._logits(list(feeds), list(feeds.values()))
                for lane, logits in zip(feeds, found, strict=True):
                    lane.finish(logits)
        finally:
            with self._door:
                self._waiting.update((lane, None) for lane in lanes if lane.busy)
        return bool(lanes)

    def _next_lanes(self) -> list[Lane]:
        with self._door:
            lanes = [lane for lane in self._waiting if lane.hungry][: self._max_batch]
            for lane in lanes:
                del self._waiting[lane]
        return lanes

    def _logits(self, lanes: list[Lane], feeds: list[list[int]]) -> list[torch.Tensor | Exception]:
        """For each client its logits, or why there are none."""
        try:
            logits = self._step([lane.half.session for lane in lanes], feeds)
        except Exception as error:  # noqa: BLE001 - it is kept for the client that it belongs to
            if len(lanes) == 1:
                return [error]
        else:
            self.sizes[len(lanes)] += 1
            return [*logits]
        # Whose fault it is shows when the others are without it.
        half = len(lanes) // 2
        return [*self._logits(lanes[:half], feeds[:half]), *self._logits(lanes[half:], feeds[half:])]
