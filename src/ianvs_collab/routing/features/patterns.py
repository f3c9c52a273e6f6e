"""Features that ask whether a pattern occurs, as a table each group fills in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Patterns = Mapping[str, re.Pattern[str]]


def compiled(ignore_case: bool = False, **patterns: str) -> Patterns:
    """Compile a table of patterns; a feature is called what its pattern is."""
    flags = re.IGNORECASE if ignore_case else 0
    return {name: re.compile(pattern, flags) for name, pattern in patterns.items()}


def occurs(patterns: Patterns, text: str) -> dict[str, float]:
    """1 for each pattern that occurs in the text, else 0."""
    return {name: float(pattern.search(text) is not None) for name, pattern in patterns.items()}


def share(pattern: re.Pattern[str], texts: Sequence[str]) -> float:
    """Fraction of the texts in which a pattern occurs; 0 of none."""
    return sum(pattern.search(text) is not None for text in texts) / len(texts) if texts else 0.0


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of none."""
    return sum(values) / len(values) if values else 0.0
