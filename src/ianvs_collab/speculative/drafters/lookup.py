"""Prompt lookup: what followed the last words the last time they occurred.

The longest n-gram at the end of the text that occurs before is looked for, and its latest earlier occurrence is
continued. Saxena 2023, "Prompt Lookup Decoding"; an index of all n-grams makes a look-up independent of the length.
"""

from __future__ import annotations

from collections.abc import Sequence

from ianvs_collab.modelserver.types import Prompt
from ianvs_collab.speculative.drafters.picking import Picker
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.verification.base import Draft


class PromptLookup:
    """Drafts by n-gram look-up in the prompt and the completion.

    Args:
        longest: Tokens of the longest n-gram that is looked up.
        shortest: Tokens of the shortest.

    Raises:
        SpeculativeError: If `shortest` is below 1 or above `longest`.
    """

    def __init__(self, longest: int = 3, shortest: int = 1) -> None:
        if not 1 <= shortest <= longest:
            raise SpeculativeError(f"n-grams need 1 <= shortest <= longest, not {shortest} and {longest}")
        self._sizes = range(longest, shortest - 1, -1)

    def begin(self, tokens: Sequence[int], picker: Picker, prompt: Prompt | None = None) -> None:
        """Start a query; see `Drafter.begin`."""
        self._picker = picker
        self._text: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self.commit(tokens)

    def draft(self, count: int) -> Draft:
        """Propose tokens; see `Drafter.draft`."""
        for size in self._sizes:
            start = self._after.get(tuple(self._text[-size:]))
            if start is not None:
                return self._picker.certain(self._text[start : start + count])
        return Draft([])

    def commit(self, tokens: Sequence[int]) -> None:
        """Learn what was appended; see `Drafter.commit`."""
        for token in tokens:
            # Before the token comes, the n-grams in front of it have a continuation.
            for size in self._sizes:
                if size <= len(self._text):
                    self._after[tuple(self._text[-size:])] = len(self._text)
            self._text.append(token)

    def retract(self, count: int) -> None:
        """Forget the last `count` tokens that were committed."""
        text = self._text[: len(self._text) - count]
        self._text, self._after = [], {}
        self.commit(text)

    def end(self) -> None:
        """Finish the query; see `Drafter.end`."""
        self._text, self._after = [], {}
