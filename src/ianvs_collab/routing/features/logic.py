"""Negation, conditions, and statements that have to be judged one by one."""

from __future__ import annotations

from ianvs_collab.routing.features.patterns import compiled, occurs
from ianvs_collab.routing.features.question import QuestionParts

_STEM = compiled(
    negation=r"\b(?:not|except|least|false|incorrect|never|no|cannot|isn't|untrue|unlikely)\b",
    condition=r"\bif\b",
    supposition=r"\b(?:suppose|assume|let|given|consider)\b",
    because=r"\bbecause\b",
)
_SHOUTED = compiled(shouted_negation=r"\b(?:NOT|EXCEPT|LEAST)\b")
_WHOLE = compiled(ignore_case=True, statements=r"\bII\b|\bstatements?\b|\bscenarios?\b")


def logic(parts: QuestionParts) -> dict[str, float]:
    """Words that turn a question around or make its answer depend on several judgements."""
    return {**occurs(_STEM, parts.lower), **occurs(_SHOUTED, parts.stem), **occurs(_WHOLE, parts.whole)}
