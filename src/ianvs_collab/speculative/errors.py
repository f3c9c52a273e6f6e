"""What can go wrong in speculative decoding."""

from __future__ import annotations


class SpeculativeError(ValueError):
    """Speculative decoding cannot be done as asked; the message says what, where and how to mend it."""


class ProtocolError(SpeculativeError):
    """A message between edge and cloud is not what its protocol allows."""


class CloudLostError(SpeculativeError):
    """The cloud did not answer in the middle of a query.

    Attributes:
        tokens: What had been committed until then; every one of them is the target's.
    """

    def __init__(self, message: str, tokens: list[int]) -> None:
        super().__init__(message)
        self.tokens = tokens
