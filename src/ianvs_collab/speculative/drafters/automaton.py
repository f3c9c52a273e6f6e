"""Suffix automaton: the longest ending of the text that occurred before, of any length, in this text or earlier ones.

The automaton of a text accepts all its substrings and grows by a token in constant time on average (Blumer et al. 1985,
"The smallest automaton recognizing the subwords of a text"). Walking along it with the text gives the longest match at
every moment, again in constant time. Drafting from such matches: Hu et al. 2024, "SAM Decoding" (arXiv:2411.10666).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class State:
    """A class of substrings that end at the same places.

    Attributes:
        length: Of its longest substring.
        link: State of the longest of its suffixes that ends at more places; -1 for none.
        after: Index of the token behind the first place where it ends.
        steps: State that each next token leads to.
    """

    length: int
    link: int
    after: int
    steps: dict[int, int] = field(default_factory=dict)


class SuffixAutomaton:
    """All substrings of a growing text.

    Attributes:
        text: The text so far.
    """

    def __init__(self) -> None:
        self.text: list[int] = []
        self._states = [State(0, -1, 0)]
        self._last = 0

    def extend(self, token: int) -> None:
        """Append a token."""
        states = self._states
        self.text.append(token)
        new = len(states)
        states.append(State(states[self._last].length + 1, 0, len(self.text)))
        at = self._last
        while at >= 0 and token not in states[at].steps:
            states[at].steps[token] = new
            at = states[at].link
        if at >= 0:
            states[new].link = self._split(at, token)
        self._last = new

    def walk(self, at: int, matched: int, token: int) -> tuple[int, int]:
        """Follow a text by one token.

        Args:
            at: State of the longest match before, 0 at the start.
            matched: Its length.
            token: The next token of the text that is followed.

        Returns:
            State and length of the longest match now.
        """
        while at and token not in self._states[at].steps:
            at = self._states[at].link
            matched = self._states[at].length
        if token in self._states[at].steps:
            return self._states[at].steps[token], matched + 1
        return 0, 0

    def continuation(self, at: int, count: int) -> list[int]:
        """What followed the first occurrence of a state's substrings.

        Args:
            at: The state.
            count: Most tokens.
        """
        start = self._states[at].after
        return self.text[start : start + count]

    def _split(self, at: int, token: int) -> int:
        """The state that holds exactly the longest substring of `at`, followed by the token."""
        states = self._states
        target = states[at].steps[token]
        if states[target].length == states[at].length + 1:
            return target
        copy = len(states)
        states.append(
            State(states[at].length + 1, states[target].link, states[target].after, dict(states[target].steps))
        )
        while at >= 0 and states[at].steps.get(token) == target:
            states[at].steps[token] = copy
            at = states[at].link
        states[target].link = copy
        return copy


def followed(automaton: SuffixAutomaton, tokens: Sequence[int], at: int = 0, matched: int = 0) -> tuple[int, int]:
    """Follow several tokens; see `SuffixAutomaton.walk`."""
    for token in tokens:
        at, matched = automaton.walk(at, matched, token)
    return at, matched
