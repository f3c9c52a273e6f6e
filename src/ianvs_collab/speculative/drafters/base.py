"""What proposes tokens at the edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ianvs_collab.modelserver.types import Prompt
from ianvs_collab.speculative.drafters.picking import Picker
from ianvs_collab.speculative.verification.base import Draft


class Drafter(Protocol):
    """Proposes how a text goes on. It may propose anything, or nothing: the target decides.

    One drafter serves one query at a time: `begin`, then `draft` and `commit` in turn, then `end`.
    """

    def begin(self, tokens: Sequence[int], picker: Picker, prompt: Prompt | None = None) -> None:
        """Start a query.

        Args:
            tokens: The prompt in the target's tokens, not empty.
            picker: How to take tokens from logits, for drafters that have any.
            prompt: The prompt as the user gave it, for drafters with words of their own.
        """
        ...

    def draft(self, count: int) -> Draft:
        """Propose what comes after the committed text.

        Args:
            count: Most tokens, at least 1.

        Returns:
            Up to `count` tokens, none if the drafter has no idea.
        """
        ...

    def commit(self, tokens: Sequence[int]) -> None:
        """Learn what was really appended; the last draft is over.

        Args:
            tokens: What the target committed since the last call, whether it was drafted or not.
        """
        ...

    def end(self) -> None:
        """Finish the query and release what belongs to it. Ending twice is harmless."""
        ...
