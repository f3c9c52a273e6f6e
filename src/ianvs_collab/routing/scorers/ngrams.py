"""TF-IDF features of words, signs and letters, computed for one text in a fraction of a millisecond.

They equal scikit-learn's `TfidfVectorizer` (words and signs, 1- and 2-grams; letters within words, 2- to 4-grams;
sublinear counts, smoothed inverse document frequencies, unit length of each of the two blocks). Its analysers build a
string for every n-gram of every text anew; here the numbers of a word's letter n-grams are remembered, because words
recur.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.trace import Floats

Indices = NDArray[np.int64]
_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
"""A sign is a word of its own: `+` and `×` tell a router more than most nouns."""
_LETTERS = range(2, 5)
_REMEMBERED_WORDS = 100_000


class NgramFeatures:
    """A vocabulary with a weight for each term.

    Attributes:
        words: Words, signs and pairs of them, sorted.
        letters: Letter n-grams, sorted.
        weights: Inverse document frequencies, first of words, then of letters, shape (d,).
    """

    def __init__(self, words: Sequence[str], letters: Sequence[str], weights: Floats) -> None:
        if len(words) + len(letters) != len(weights):
            raise ValueError(f"{len(words)} + {len(letters)} terms and {len(weights)} weights")
        self.words, self.letters, self.weights = words, letters, weights
        self._number = {term: number for number, term in enumerate(words)}
        self._letter_number = {term: number for number, term in enumerate(letters, start=len(words))}
        self._of_word: dict[str, Indices] = {}

    @classmethod
    def fit(cls, texts: Sequence[str], min_texts: int = 2) -> Self:
        """Collect the terms of texts.

        Args:
            texts: Training texts.
            min_texts: In how many of them a term must occur to count.

        Raises:
            RouterError: If no term occurs as often.
        """
        sides = [_frequent(rows_of(texts), min_texts) for rows_of in (_word_rows, _letter_rows)]
        words, letters = (sorted(side) for side in sides)
        if not words and not letters:
            raise RouterError(
                f"no word or letter group occurs in {min_texts} of the {len(texts)} training questions, so their texts "
                "tell nothing about new ones; give more queries"
            )
        occurrences = np.array([*(sides[0][t] for t in words), *(sides[1][t] for t in letters)], dtype=float)
        return cls(words, letters, np.log((1 + len(texts)) / (1 + occurrences)) + 1)

    def __len__(self) -> int:
        """Number of terms d."""
        return len(self.weights)

    def of_text(self, text: str) -> tuple[Indices, Floats]:
        """Numbers of a text's terms, ascending, and their values."""
        known, words = self._number, text.lower()
        tokens = _WORD_OR_SIGN.findall(words)
        found = [known[term] for term in chain(tokens, map(" ".join, pairwise(tokens))) if term in known]
        of_words = [self._letters_of(word) for word in words.split()]
        numbers, counts = np.unique(np.concatenate([np.array(found, np.int64), *of_words]), return_counts=True)
        values = (1 + np.log(counts)) * self.weights[numbers]
        border = int(np.searchsorted(numbers, len(self.words)))
        return numbers, np.concatenate([_unit(values[:border]), _unit(values[border:])])

    def matrix(self, texts: Sequence[str]) -> Any:
        """Features of texts as a CSR matrix, shape (len(texts), d)."""
        rows = [self.of_text(text) for text in texts]
        ends = np.cumsum([0, *(len(numbers) for numbers, _ in rows)])
        numbers = np.concatenate([np.empty(0, np.int64), *(numbers for numbers, _ in rows)])
        values = np.concatenate([np.empty(0), *(values for _, values in rows)])
        return sp.csr_matrix((values, numbers, ends), shape=(len(texts), len(self)))

    def _letters_of(self, word: str) -> Indices:
        if (remembered := self._of_word.get(word)) is not None:
            return remembered
        known = self._letter_number
        numbers = np.array([known[term] for term in letter_ngrams(word) if term in known], np.int64)
        if len(self._of_word) >= _REMEMBERED_WORDS:
            self._of_word.clear()
        self._of_word[word] = numbers
        return numbers


def letter_ngrams(word: str) -> list[str]:
    """Letter n-grams of a word with a blank at either end."""
    padded = f" {word} "
    terms = []
    for size in _LETTERS:
        terms += [padded[i : i + size] for i in range(max(len(padded) - size, 0) + 1)]
        if len(padded) <= size:  # longer groups would be the whole word again
            break
    return terms


def _word_rows(texts: Iterable[str]) -> Iterator[set[str]]:
    """The words, signs and pairs of neighbours of each text."""
    for text in texts:
        tokens = _WORD_OR_SIGN.findall(text.lower())
        yield {*tokens, *map(" ".join, pairwise(tokens))}


def _letter_rows(texts: Iterable[str]) -> Iterator[set[str]]:
    """The letter n-grams of each text."""
    ngrams = lru_cache(maxsize=_REMEMBERED_WORDS)(letter_ngrams)
    for text in texts:
        yield set().union(*map(ngrams, set(text.lower().split())))


def _frequent(rows: Iterable[set[str]], min_texts: int) -> dict[str, int]:
    """Terms that occur in enough texts, with the number of those."""
    counts: Counter[str] = Counter()
    for terms in rows:
        counts.update(terms)
    return {term: count for term, count in counts.items() if count >= min_texts}


def _unit(block: Floats) -> Floats:
    return block / (np.sqrt(block @ block) or 1.0)
