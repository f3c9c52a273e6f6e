"""What kind of question it is: its question word, how it ends, what it asks one to do."""

from __future__ import annotations

from ianvs_collab.routing.features.patterns import compiled, occurs
from ianvs_collab.routing.features.question import QuestionParts

_WORDS = compiled(
    what=r"\bwhat\b",
    which=r"\bwhich\b",
    which_of_the=r"which (?:one )?of (?:the|these)",
    following=r"following",
    who=r"\bwho(?:se|m)?\b",
    when=r"\bwhen\b",
    where=r"\bwhere\b",
    why=r"\bwhy\b",
    how=r"\bhow\b",
    how_many=r"how (?:many|much|long|far|often)",
    superlative=r"\b(?:most|best|primary|main|greatest|strongest)\b",
    truth=r"\b(?:true|correct)\b",
    definition=r"\b(?:called|known as|refers? to|defined|term|means?)\b",
    attribution=r"\b(?:according|argues|claims|thinks|believes|theory)\b",
)
_ENDS = compiled(
    blank=r"_",
    ends_question=r"\?\s*$",
    ends_colon=r":\s*$",
    ends_open=r"[^.?:_!\s]\s*$",
)


def form(parts: QuestionParts) -> dict[str, float]:
    """Question words, what is asked about, and how the stem ends."""
    return {**occurs(_WORDS, parts.lower), **occurs(_ENDS, parts.stem)}
