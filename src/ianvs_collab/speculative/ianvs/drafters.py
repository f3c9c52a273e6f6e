"""Drafters by the name that stands in an algorithm file, with their options; others can be registered.

A drafter is made from the two sides, because most need the target's tokens and some a model of their own:

    @register_drafter("echo")
    class Echo:
        def __init__(self, sides: Sides, *, length: int = 3) -> None: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ianvs_collab.modelserver import Stepper
from ianvs_collab.speculative.drafters import (
    AlignedDrafter,
    Datastore,
    Drafter,
    ModelDrafter,
    PromptLookup,
    RetrievalDrafter,
    SuffixDrafter,
    early_exit,
)
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.ianvs.corpus import read_corpus
from ianvs_collab.speculative.verification.base import common_prefix

Factory = Callable[..., Drafter]
_F = TypeVar("_F", bound=Factory)


@dataclass(frozen=True)
class Sides:
    """What a drafter may be made of.

    Attributes:
        target: The cloud's model.
        draft: Loads the draft model that the algorithm file names.
    """

    target: Stepper
    draft: Callable[[], Stepper]


_FACTORIES: dict[str, Factory] = {}
_NEEDED = {"pre-draft": "retract", "asynchronous": "retract", "branches": "fork"}
"""What a drafter has to be able to do, by pipelining."""


def register_drafter(name: str) -> Callable[[_F], _F]:
    """Decorator: offer a drafter under a name.

    What is decorated is called as `factory(sides, **options)`, where the options are its keyword arguments and stand in
    the algorithm file. Registering a name again replaces it, for a plug-in file may be imported twice.

    Raises:
        SpeculativeError: When it decorates what takes no arguments.
    """

    def register(factory: _F) -> _F:
        if not inspect.signature(factory).parameters:
            raise SpeculativeError(f"drafter {name!r} has to take the sides as its first argument")
        _FACTORIES[name] = factory
        return factory

    return register


def drafter_names() -> list[str]:
    """Names of all drafters, sorted."""
    return sorted(_FACTORIES)


def check_drafter(name: str, options: Mapping[str, Any], pipelining: str = "synchronous") -> None:
    """Refuse what cannot be made.

    Args:
        name: Of the drafter.
        options: Its own.
        pipelining: How it is to draft.

    Raises:
        SpeculativeError: If there is no such drafter, it has no such option, lacks one, or cannot draft that way.
    """
    if name not in _FACTORIES:
        raise SpeculativeError(f"there is no drafter {name!r}; choose one of {', '.join(drafter_names())}")
    _, *known = inspect.signature(_FACTORIES[name]).parameters.values()
    unknown = sorted(options.keys() - {option.name for option in known})
    missing = [option.name for option in known if option.default is option.empty and option.name not in options]
    if unknown or missing:
        raise SpeculativeError(
            f"drafter {name!r} {'knows no ' + ', '.join(unknown) if unknown else 'needs ' + ', '.join(missing)}; "
            f"its options are: {', '.join(option.name for option in known) or 'none'}"
            f"{'; nor is that a hyperparameter of the strategy (draft_length, ...)' if unknown else ''}"
        )
    needed = _NEEDED.get(pipelining, "draft")
    if not _has(_FACTORIES[name], needed):
        able = ", ".join(other for other in drafter_names() if _has(_FACTORIES[other], needed))
        lacking = "be copied for branches" if needed == "fork" else "take back what it drafted ahead"
        raise SpeculativeError(f"drafter {name!r} cannot {lacking}; use pipelining 'synchronous', or one of {able}")


def make_drafter(name: str, sides: Sides, options: Mapping[str, Any]) -> Drafter:
    """Make a drafter that `check_drafter` has nothing against.

    Raises:
        SpeculativeError: If the value of an option is out of range.
        ModelServerError: If its model cannot be loaded.
    """
    return _FACTORIES[name](sides, **options)


@register_drafter("model")
def _model(sides: Sides, *, confidence: float = 0.0) -> ModelDrafter:
    target = sides.target
    return ModelDrafter(sides.draft(), target.vocabulary, end_tokens=target.end_tokens, confidence=confidence)


@register_drafter("prompt-lookup")
def _prompt_lookup(_: Sides, *, longest: int = 3, shortest: int = 1) -> PromptLookup:
    return PromptLookup(longest, shortest)


@register_drafter("suffix")
def _suffix(_: Sides, *, shortest: int = 2, history: int = 100_000) -> SuffixDrafter:
    return SuffixDrafter(shortest, history)


@register_drafter("retrieval")
def _retrieval(
    sides: Sides, *, corpus: str, field: str = "explanation", longest: int = 8, shortest: int = 2
) -> RetrievalDrafter:
    lead = common_prefix(sides.target.encode("a"), sides.target.encode("z"))  # what stands in front of every text
    texts = [sides.target.encode(text)[lead:] for text in read_corpus(Path(corpus), field)]
    return RetrievalDrafter(Datastore(texts), longest, shortest)


@register_drafter("early-exit")
def _early_exit(sides: Sides, *, layers: int = 4, confidence: float = 0.0) -> ModelDrafter:
    target = sides.target
    draft = early_exit(target, layers)
    return ModelDrafter(draft, target.vocabulary, end_tokens=target.end_tokens, confidence=confidence)


@register_drafter("aligned")
def _aligned(sides: Sides, *, ratio: float = 1.0) -> AlignedDrafter:
    return AlignedDrafter(sides.draft(), sides.target, ratio)


def _has(factory: Factory, method: str) -> bool:
    """Whether what a factory makes has a method: a class, or a function that says what it returns."""
    made = factory if inspect.isclass(factory) else inspect.get_annotations(factory, eval_str=True).get("return")
    return hasattr(made, method) or method == "draft"
