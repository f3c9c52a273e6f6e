"""Suffix matching: continues the longest match of the text's end, in the text itself or in earlier queries."""

from __future__ import annotations

from collections.abc import Sequence

from ianvs_collab.modelserver.types import Prompt
from ianvs_collab.speculative.drafters.automaton import SuffixAutomaton, followed
from ianvs_collab.speculative.drafters.picking import Picker
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.verification.base import Draft

_BOUNDARY = -1


class SuffixDrafter:
    """Drafts from two suffix automata: one of the query's own text, one of the texts of finished queries.

    The longer match wins, the query's own where they are equally long. Both are followed while the text grows, so a
    look-up does not depend on how much there is.

    Args:
        shortest: Tokens of the shortest match that is continued.
        history: Tokens of earlier queries that are remembered; 0 for none. When there are more, all are forgotten:
            an automaton cannot lose its beginning.

    Raises:
        SpeculativeError: If `shortest` is below 1 or `history` is negative.
    """

    def __init__(self, shortest: int = 2, history: int = 100_000) -> None:
        if shortest < 1 or history < 0:
            raise SpeculativeError(f"a match needs shortest >= 1 and history >= 0, not {shortest} and {history}")
        self._shortest, self._room = shortest, history
        self._history = SuffixAutomaton()
        self._own = SuffixAutomaton()

    def begin(self, tokens: Sequence[int], picker: Picker, prompt: Prompt | None = None) -> None:
        """Start a query; see `Drafter.begin`."""
        self.end()
        self._picker = picker
        self._in_own = self._in_history = (0, 0)
        self.commit(tokens)

    def draft(self, count: int) -> Draft:
        """Propose tokens; see `Drafter.draft`."""
        own, earlier = self._in_own, self._in_history
        automaton, (at, matched) = (self._own, own) if own[1] >= earlier[1] else (self._history, earlier)
        if matched < self._shortest:
            return Draft([])
        tokens = automaton.continuation(at, count)
        if _BOUNDARY in tokens:
            tokens = tokens[: tokens.index(_BOUNDARY)]
        return self._picker.certain(tokens) if tokens else Draft([])

    def commit(self, tokens: Sequence[int]) -> None:
        """Learn what was appended; see `Drafter.commit`."""
        for token in tokens:
            # First followed, then appended: the end of the text is not to match itself.
            self._in_own = self._own.walk(*self._in_own, token)
            self._own.extend(token)
        self._in_history = followed(self._history, tokens, *self._in_history)

    def end(self) -> None:
        """Finish the query; its text becomes history."""
        if self._room and self._own.text:
            if len(self._history.text) + len(self._own.text) > self._room:
                self._history = SuffixAutomaton()
            for token in [_BOUNDARY, *self._own.text]:
                self._history.extend(token)
        self._own = SuffixAutomaton()
