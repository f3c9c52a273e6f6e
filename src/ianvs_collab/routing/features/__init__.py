"""Features of a question that mean the same in every subject: what a router can carry over to subjects it has not seen.

The words of a question tell mainly its subject, and what is learned about one subject is of little use in another.
Whether one has to calculate, judge statements one by one or recall a fact can be asked of any. The patterns are
English ones; of other languages only lengths, numbers and option counts are seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from ianvs_collab.inference import Query
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.features.form import form
from ianvs_collab.routing.features.logic import logic
from ianvs_collab.routing.features.numbers import numbers
from ianvs_collab.routing.features.options import options
from ianvs_collab.routing.features.question import QuestionParts, parts_of
from ianvs_collab.routing.features.scene import scene
from ianvs_collab.routing.features.size import size
from ianvs_collab.routing.features.style import style
from ianvs_collab.routing.traces.trace import Floats

__all__ = ["GROUPS", "QuestionParts", "feature_names", "parts_of", "question_features"]

GROUPS: dict[str, Callable[[QuestionParts], dict[str, float]]] = {
    "size": size,
    "form": form,
    "logic": logic,
    "numbers": numbers,
    "options": options,
    "scene": scene,
    "style": style,
}
"""Feature groups by name."""


def feature_names(groups: Sequence[str] = tuple(GROUPS)) -> list[str]:
    """Names of the features of some groups, `group.feature`, in the order of the columns.

    Raises:
        RouterError: If there is no such group.
    """
    return list(_names(tuple(_checked(groups))))


def question_features(queries: Sequence[Query], groups: Sequence[str] = tuple(GROUPS)) -> Floats:
    """Features of queries.

    Those of a batch are kept in memory, of all groups, since cross-validation asks for the same ones again and again. A
    lone query is always computed: it is a live one whose routing is being timed.

    Returns:
        Shape (len(queries), len(feature_names(groups))), all finite.

    Raises:
        RouterError: If there is no such group.
    """
    chosen = tuple(_checked(groups))
    if len(queries) == 1:
        return _row(parts_of(queries[0]), chosen)[None]
    names = _names(tuple(GROUPS))
    table = np.empty((len(queries), len(names)))
    for row, query in zip(table, queries, strict=True):
        row[:] = _kept_row(parts_of(query))
    return table if chosen == tuple(GROUPS) else table[:, [names.index(name) for name in _names(chosen)]]


def _row(parts: QuestionParts, groups: tuple[str, ...]) -> Floats:
    return np.array([value for group in groups for value in GROUPS[group](parts).values()])


@lru_cache(maxsize=20_000)
def _kept_row(parts: QuestionParts) -> Floats:
    return _row(parts, tuple(GROUPS))


@lru_cache
def _names(groups: tuple[str, ...]) -> tuple[str, ...]:
    nothing = QuestionParts("")
    return tuple(f"{group}.{name}" for group in groups for name in GROUPS[group](nothing))


def _checked(groups: Sequence[str]) -> Sequence[str]:
    unknown = [group for group in groups if group not in GROUPS]
    if unknown or not groups or len(set(groups)) < len(groups):
        raise RouterError(f"feature groups must be some of {', '.join(GROUPS)}, each once, not {list(groups)!r}")
    return groups
