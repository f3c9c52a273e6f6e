"""Numbers, formulae, units and code: whether there is something to calculate."""

from __future__ import annotations

import math
import re

from ianvs_collab.routing.features.patterns import compiled, occurs, share
from ianvs_collab.routing.features.question import QuestionParts

_DIGIT, _NUMBER = re.compile(r"\d"), re.compile(r"\d+")
_SYMBOL = re.compile(r"[=+^<>≤≥∑∫√πθλμ\\{}|∈⊃∨∀∃≡~·•]")
_NUMERIC_OPTION = re.compile(r"^(?=[^\d]*\d)[\s$€£≈~+\-−–.,\d%°/*^()xeπ√]+[a-zA-Z/%°^\d ]{0,12}$")
_STEM = compiled(calculate=r"\b(?:find|calculate|compute|determine|evaluate|simplify|solve|estimate)\b")
_WHOLE = compiled(
    latex=r"\\[a-z]+|\$[^$]+\$|[\^_]\{",
    code=r"\bPython\b|\bdef \b|\breturn\b|\bfor \w+ in\b|;\n|\(\)|\bint \b",
    unit=r"\d\s?(?:kg|cm|mm|km|m/s|mg|m[lL]|Hz|eV|mol|percent|%|°|[JNVWKmsgAΩ]|ohm|volts?|met(?:er|re)s?)(?!\w)",
    year=r"\b(?:1[5-9]\d\d|20[0-2]\d)\b",
    money=r"[$€£]",
    percent=r"percent|%",
)


def numbers(parts: QuestionParts) -> dict[str, float]:
    """How much of a question is numbers, and of what kind."""
    counted = _NUMBER.findall(parts.stem)
    return {
        "digit_share": len(_DIGIT.findall(parts.whole)) / max(len(parts.whole), 1),
        "stem_has_number": float(bool(counted)),
        "stem_numbers": math.log1p(len(counted)),
        "symbols": math.log1p(len(_SYMBOL.findall(parts.whole))),
        "numeric_options": share(_NUMERIC_OPTION, parts.options),
        "options_with_digit": share(_DIGIT, parts.options),
        **occurs(_STEM, parts.lower),
        **occurs(_WHOLE, parts.whole),
    }
