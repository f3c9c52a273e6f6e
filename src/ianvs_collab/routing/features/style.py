"""How it is written: long words, repeated words, names, signs outside ASCII."""

from __future__ import annotations

import re

from ianvs_collab.routing.features.patterns import mean
from ianvs_collab.routing.features.question import QuestionParts

_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
_LONG = 10


def style(parts: QuestionParts) -> dict[str, float]:
    """Readability in the manner of its classical formulae, which rest on word length, and the share of names."""
    words, count = parts.words, max(len(parts.words), 1)
    return {
        "stem_word_length": mean([len(word) for word in parts.stem_words]),
        "long_words": sum(len(word) >= _LONG for word in words) / count,
        "type_token_ratio": len({word.lower() for word in words}) / count,
        "names": sum(len(_NAME.findall(text)) for text in (parts.stem, *parts.options)) / count,
        "beyond_ascii": float(not parts.whole.isascii()),
    }
