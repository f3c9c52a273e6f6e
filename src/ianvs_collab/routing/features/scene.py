"""Whether a question tells a story about people or refers to a passage, as cases and hypotheticals do."""

from __future__ import annotations

from ianvs_collab.routing.features.patterns import compiled, occurs
from ianvs_collab.routing.features.question import QuestionParts

_STEM = compiled(
    passage=r"refers to the following|passage|excerpt",
    patient=r"\byear[- ]old\b",
    court=r"\b(?:plaintiff|defendant|statute|court|sued?|guilty|crime|contract|negligence|motion|jury)\b",
    person=r"\b(?:he|she|his|her|him|they|man|woman|boy|girl)\b",
    addressed=r"\b(?:you|your|i|my)\b",
    american=r"\b(?:united states|u\.s\.|american?|us)\b",
)
_WHOLE = compiled(quotation=r"[\"“]", brackets=r"\(")


def scene(parts: QuestionParts) -> dict[str, float]:
    """Persons, courts, patients, passages and quotations."""
    return {**occurs(_STEM, parts.lower), **occurs(_WHOLE, parts.whole)}
