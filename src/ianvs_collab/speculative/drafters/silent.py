"""Proposes nothing: the cloud streams every token, and no draft model costs anything."""

from __future__ import annotations

from collections.abc import Sequence

from ianvs_collab.modelserver.types import Prompt
from ianvs_collab.speculative.drafters.picking import Picker
from ianvs_collab.speculative.verification.base import Draft


class Silent:
    """The drafter of cloud-only decoding."""

    def begin(self, tokens: Sequence[int], picker: Picker, prompt: Prompt | None = None) -> None:
        """Start a query; see `Drafter.begin`."""

    def draft(self, count: int) -> Draft:
        """Propose nothing."""
        return Draft([])

    def commit(self, tokens: Sequence[int]) -> None:
        """Learn nothing."""

    def end(self) -> None:
        """Finish the query."""
