"""Every request comes once, and in order: duplicated, reordered and replayed messages are recognised and refused.

The first request of a stream brings the nonce of the conversation, which must be a new one. All others bear the same
nonce and the next number.
"""

from __future__ import annotations

from collections import OrderedDict

from ianvs_collab.cloud.errors import FrameError
from ianvs_collab.cloud.wire.frame import Frame

REMEMBERED = 100_000


class Nonces:
    """Remembers the nonces of past conversations.

    Args:
        most: How many; the oldest are forgotten.
    """

    def __init__(self, most: int = REMEMBERED) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._most = most

    def admit(self, nonce: bytes) -> None:
        """Take note of a nonce.

        Raises:
            FrameError: If it was there before.
        """
        if nonce in self._seen:
            raise FrameError("the nonce of this conversation was used before: the message is a replay")
        self._seen[nonce] = None
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)


class Order:
    """Checks the order of one conversation's requests.

    Args:
        nonces: Those of all conversations.
    """

    def __init__(self, nonces: Nonces) -> None:
        self._nonces = nonces
        self._nonce = b""
        self._next = 0

    def check(self, frame: Frame) -> None:
        """Let the next request pass.

        Raises:
            FrameError: If it is not the next one.
        """
        if frame.sequence != self._next:
            what = "comes twice or late" if frame.sequence < self._next else "comes too early"
            raise FrameError(f"request {frame.sequence} {what}: request {self._next} is the next one")
        if self._next == 0:
            self._nonces.admit(frame.nonce)
            self._nonce = frame.nonce
        elif frame.nonce != self._nonce:
            raise FrameError(f"request {frame.sequence} belongs to another conversation: its nonce is not this one's")
        self._next += 1
