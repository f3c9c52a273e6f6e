"""What the sessions of all back-ends have in common: the tokens, kept in a ledger, and the two ways to append some."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ianvs_collab.modelserver.stepping.ledger import Ledger

if TYPE_CHECKING:
    import torch


class LedgerText(ABC):
    """The part of a `Session` that needs no logits: its tokens, and its end.

    Args:
        ledger: The tokens so far.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def tokens(self) -> tuple[int, ...]:
        """The text so far."""
        return self._ledger.tokens

    @property
    def length(self) -> int:
        """Number of tokens so far."""
        return len(self._ledger)

    @abstractmethod
    def close(self) -> None:
        """Release the cache. Closing twice is harmless."""

    def __enter__(self) -> Self:
        """The session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


class LedgerSession(LedgerText):
    """A `Session` whose logits are made in this process; a back-end says how, and adds the rest.

    Args:
        ledger: The tokens so far.
    """

    def prefill(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append tokens whose own logits are of no interest; see `Session.prefill`.

        Raises:
            StepError: See there.
        """
        return self._append(tokens, 1)[0]

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append tokens in one forward pass; see `Session.step`.

        Raises:
            StepError: See there.
        """
        return self._append(tokens, len(tokens))

    @abstractmethod
    def _append(self, tokens: Sequence[int], keep: int) -> torch.Tensor:
        """Append tokens; logits (keep, vocabulary), float32, of the last `keep`.

        Raises:
            StepError: If they cannot be appended.
        """
