"""What a client gets for a block that it hands in: the place where the verdicts will be."""

from __future__ import annotations

from collections import deque


class Ticket:
    """A message that waits for its verdicts. Written by the thread in which the model works, read by any one.

    Args:
        payload: The block, or the request for a stream.

    Attributes:
        payload: As given.
        over: Whether no more verdicts will come.
    """

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.over = False
        self._verdicts: deque[bytes] = deque()
        self._error: Exception | None = None

    @property
    def settled(self) -> bool:
        """Whether `next` has something to say by now."""
        return bool(self._verdicts) or self.over

    @property
    def unread(self) -> int:
        """Verdicts that nobody has fetched."""
        return len(self._verdicts)

    def next(self) -> bytes | None:
        """The next verdict; None after the last one.

        Raises:
            Exception: What went wrong with this block, once the verdicts before that are fetched.
        """
        if self._verdicts:
            return self._verdicts.popleft()
        if self._error is not None:
            raise self._error
        return None

    def put(self, verdict: bytes) -> None:
        """Add a verdict."""
        self._verdicts.append(verdict)

    def end(self, error: Exception | None = None) -> None:
        """Say that no more will come, and why if something went wrong. Once only: what comes later changes nothing."""
        if not self.over:
            self._error = error
            self.over = True
