"""What the options look like and how much alike they are."""

from __future__ import annotations

import math
import re
import statistics
from itertools import combinations

from ianvs_collab.routing.features.patterns import mean, share
from ianvs_collab.routing.features.question import QuestionParts

_TOKEN = re.compile(r"\w+")
_PAIR = re.compile(r"^\s*[\w’' ]{2,18}[,;] ?(?:and )?[\w’' ]{2,18}(?:, ?[\w ]{2,18})?\s*$")
_TRUTH = re.compile(r"\b(?:true|false|wrong|yes|no|valid|invalid)\b", re.IGNORECASE)
_YES_NO = re.compile(r"^\s*(?:yes|no)\b", re.IGNORECASE)
_REASON = re.compile(r"because| if ", re.IGNORECASE)
_ALL_OR_NONE = re.compile(r"\b(?:both|neither|all|none)\b", re.IGNORECASE)
_OF_THE_ABOVE = re.compile(r"(?:all|both|none|neither|any) (?:of )?(?:the |these|above)", re.IGNORECASE)
_CAPITAL = re.compile(r"^\s*[A-Z]")
_ONE_WORD = re.compile(r"^\s*\S*\s*$")


def options(parts: QuestionParts) -> dict[str, float]:
    """Kinds of options, and overlaps of their words (Jaccard) with each other and the stem."""
    given, joined = parts.options, " ".join(parts.options)
    tokens = [set(_TOKEN.findall(option.lower())) for option in given]
    stem = set(_TOKEN.findall(parts.lower))
    lengths = [math.log1p(len(option)) for option in given]
    return {
        "options": float(len(given)),
        "length_spread": statistics.pstdev(lengths) if given else 0.0,
        "one_word_options": share(_ONE_WORD, given),
        "paired_options": share(_PAIR, given),
        "truth_options": share(_TRUTH, given),
        "yes_no_options": share(_YES_NO, given),
        "reasoned_options": share(_REASON, given),
        "capital_options": share(_CAPITAL, given),
        "all_or_none": float(bool(_ALL_OR_NONE.search(joined))),
        "of_the_above": float(bool(_OF_THE_ABOVE.search(joined))),
        "same_beginning": float(bool(given) and len({_first_word(option) for option in given}) <= 2),  # noqa: PLR2004
        "option_overlap": mean([len(a & b) / max(len(a | b), 1) for a, b in combinations(tokens, 2)]),
        "stem_overlap": mean([len(each & stem) / max(len(each), 1) for each in tokens]),
    }


def _first_word(option: str) -> str:
    return (option.split() or [""])[0].lower()
