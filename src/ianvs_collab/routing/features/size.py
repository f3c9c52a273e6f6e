"""How long a question is: counts, as logarithms because they span three orders of magnitude."""

from __future__ import annotations

import math
import re

from ianvs_collab.routing.features.patterns import mean
from ianvs_collab.routing.features.question import QuestionParts

_SENTENCE_END = re.compile(r"[.?!。？！](?:\s|$)")


def size(parts: QuestionParts) -> dict[str, float]:
    """Length of stem and options in characters, words, sentences and lines."""
    return {
        "stem_characters": math.log1p(len(parts.stem)),
        "stem_words": math.log1p(len(parts.stem_words)),
        "stem_sentences": math.log1p(len(_SENTENCE_END.findall(parts.stem))),
        "stem_lines": math.log1p(parts.stem.count("\n")),
        "option_characters": math.log1p(sum(map(len, parts.options))),
        "option_words": math.log1p(mean([len(option.split()) for option in parts.options])),
    }
