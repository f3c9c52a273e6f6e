"""What scorers read of their inputs, be they queries or answers that know their query."""

from __future__ import annotations

from collections.abc import Sequence

from ianvs_collab.inference import Query
from ianvs_collab.routing.scorer import Input
from ianvs_collab.routing.text import question_text


def texts_of(inputs: Sequence[Input]) -> list[str]:
    """The questions that a scorer reads."""
    return [question_text(Query.of(item)) for item in inputs]


def subjects_of(inputs: Sequence[Input]) -> list[str]:
    """Their subjects; empty where there is none."""
    return [str(Query.of(item).get("subject", "")) for item in inputs]
