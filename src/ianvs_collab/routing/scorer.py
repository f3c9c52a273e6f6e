"""A scorer learns from labelled queries how much each wants the cloud; a router is a scorer with a threshold.

Scorers are dataclasses: their fields are their settings, so `fresh` can make an untrained twin for another fold, and a
saved one says how it was made. What they learn is kept in other attributes, which end in an underscore.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.hints import did_you_mean
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats

Input = Query | Answer
"""What a scorer looks at: a query, or for a cascade the edge's answer to it. The right answer is in neither."""


class Scorer(ABC):
    """Scores queries; higher means that the cloud is worth more.

    Attributes:
        name: Under which it is registered.
        reads_answer: Whether it looks at the edge's answers; it is then given those instead of queries.
    """

    name: ClassVar[str] = ""
    reads_answer: ClassVar[bool] = False

    @abstractmethod
    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Learn from labelled queries; returns itself.

        Raises:
            RouterError: If they do not show what there is to learn, e.g. have all the same label.
        """

    @abstractmethod
    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Scores, shape (len(inputs),); many are scored as one batch."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what was learned into an existing folder; never as bare pickle."""

    @abstractmethod
    def restore(self, folder: Path) -> None:
        """Read back what `save` wrote.

        Raises:
            RouterError: If a file is missing or damaged.
        """

    def settings(self) -> dict[str, Any]:
        """Settings by name, as JSON can hold them."""
        return asdict(cast(Any, self))

    def fresh(self) -> Self:
        """An untrained twin with the same settings."""
        return type(self)(**self.settings())


SHIPPED = {
    "causal-lm": "scorers.causal_lm",
    "embedding-gb": "scorers.embedding",
    "embedding-knn": "scorers.embedding",
    "embedding-lr": "scorers.embedding",
    "embedding-subject-lr": "scorers.embedding",
    "encoder": "scorers.encoder",
    "learned-cascade": "scorers.learned_cascade",
    "length": "scorers.length",
    "mean-ensemble": "scorers.ensemble",
    "online-ridge": "online.ridge",
    "question-features": "scorers.features",
    "rank-ensemble": "scorers.ensemble",
    "subject-prior": "scorers.prior",
    "tfidf": "scorers.tfidf",
    "tfidf-subject": "scorers.tfidf_subject",
}
"""Module of each shipped scorer within this package, so that naming one imports only what it needs."""

_registered: dict[str, type[Scorer]] = {}
_S = TypeVar("_S", bound=type[Scorer])


def scorer(name: str) -> Callable[[_S], _S]:
    """Decorator: register a scorer, which must be a dataclass, under a name."""

    def register(kind: _S) -> _S:
        kind.name = name
        _registered[name] = kind
        return kind

    return register


def scorer_names() -> list[str]:
    """Names that `make_scorer` knows, sorted."""
    return sorted({*SHIPPED, *_registered})


def make_scorer(name: str, **settings: Any) -> Scorer:
    """Make an untrained scorer.

    Args:
        name: Under which it is registered.
        **settings: Its settings; the others keep their defaults.

    Raises:
        RouterError: If there is no such scorer, or it has no such setting.
    """
    if name not in _registered and name in SHIPPED:
        import_module(f"{__package__}.{SHIPPED[name]}")
    if name not in _registered:
        raise RouterError(f"there is no scorer {name!r}{_nearest(name, scorer_names())}")
    kind = _registered[name]
    known: list[str] = [item.name for item in fields(cast(Any, kind)) if item.init] if is_dataclass(kind) else []
    for given in settings:
        if given not in known:
            raise RouterError(f"scorer {name!r} has no setting {given!r}{_nearest(given, known)}")
    return kind(**settings)


def _nearest(name: str, known: Sequence[str]) -> str:
    return f"{did_you_mean(name, known) or '.'} There are: {', '.join(known)}"
