"""Retrieval from a datastore: what most often followed the end of the text in a corpus.

A suffix array of the corpus (all its endings in order) finds every occurrence of the longest ending of the text by
binary search; the draft is their most frequent continuation, token by token. He et al. 2023, "REST: Retrieval-Based
Speculative Decoding" (arXiv:2311.08252), with one branch instead of a tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ianvs_collab.modelserver.types import Prompt
from ianvs_collab.speculative.drafters.picking import Picker
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.verification.base import Draft

_BOUNDARY = -1


class Datastore:
    """Texts as tokens, with a suffix array.

    Args:
        texts: Each a sequence of the target's tokens.
        depth: Tokens by which suffixes are ordered, and so the longest match and continuation together.

    Raises:
        SpeculativeError: If there are no tokens at all.
    """

    def __init__(self, texts: Iterable[Sequence[int]], depth: int = 32) -> None:
        joined = [token for text in texts for token in (*text, _BOUNDARY)]
        if len(joined) <= joined.count(_BOUNDARY):
            raise SpeculativeError("the datastore has no tokens; give it at least one text")
        self._depth = depth
        padded = np.array(joined + [_BOUNDARY] * depth, dtype=np.int64)
        windows = np.lib.stride_tricks.sliding_window_view(padded, depth)[: len(joined)]
        order = np.lexsort(windows.T[::-1])
        self._rows: NDArray[np.int64] = windows[order]

    def find(self, pattern: Sequence[int]) -> NDArray[np.int64]:
        """All places where a pattern occurs.

        Args:
            pattern: Tokens, fewer than the depth.

        Returns:
            What stands there and after, shape (places, depth), sorted.
        """
        low, high = 0, len(self._rows)
        for column, token in enumerate(pattern):
            values = self._rows[low:high, column]
            low, high = low + int(values.searchsorted(token)), low + int(values.searchsorted(token, side="right"))
        return self._rows[low:high]

    def continuation(self, pattern: Sequence[int], count: int) -> list[int]:
        """The most frequent continuation of a pattern, token by token.

        Args:
            pattern: Tokens, fewer than the depth.
            count: Most tokens.
        """
        places, tokens = self.find(pattern), list[int]()
        for column in range(len(pattern), min(len(pattern) + count, self._depth)):
            following = Counter(places[:, column].tolist())
            token = max(following, key=following.__getitem__, default=_BOUNDARY)
            if token == _BOUNDARY:
                break
            tokens.append(token)
            places = places[places[:, column] == token]
        return tokens


class RetrievalDrafter:
    """Drafts from a datastore.

    Args:
        datastore: The corpus, in the target's tokens.
        longest: Tokens of the longest ending that is looked for; shorter ones are tried until one occurs.
        shortest: Tokens of the shortest.

    Raises:
        SpeculativeError: If `shortest` is below 1 or above `longest`.
    """

    def __init__(self, datastore: Datastore, longest: int = 8, shortest: int = 2) -> None:
        if not 1 <= shortest <= longest:
            raise SpeculativeError(f"endings need 1 <= shortest <= longest, not {shortest} and {longest}")
        self._datastore, self._sizes = datastore, range(longest, shortest - 1, -1)
        self._text: list[int] = []

    def begin(self, tokens: Sequence[int], picker: Picker, prompt: Prompt | None = None) -> None:
        """Start a query; see `Drafter.begin`."""
        self._picker, self._text = picker, list(tokens)

    def draft(self, count: int) -> Draft:
        """Propose tokens; see `Drafter.draft`."""
        for size in self._sizes:
            tokens = self._datastore.continuation(self._text[-size:], count)
            if tokens:
                return self._picker.certain(tokens)
        return Draft([])

    def commit(self, tokens: Sequence[int]) -> None:
        """Learn what was appended; see `Drafter.commit`."""
        self._text = [*self._text[-self._sizes.start :], *tokens]

    def end(self) -> None:
        """Finish the query; see `Drafter.end`."""
        self._text = []
