"""Measures the portfolio of a test case, once for all test cases of a process that need the same."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ianvs_collab.inference import queries
from ianvs_collab.link import Deployment
from ianvs_collab.precision.portfolio import Portfolio, PrecisionError
from ianvs_collab.precision.profile import (
    Failure,
    Item,
    Measured,
    Plan,
    build_portfolio,
    measure,
    prepare_variants,
    zoo_items,
)
from ianvs_collab.precision.profile.questions import items_sha256
from ianvs_collab.precision.variant import Variant

_measured: dict[tuple[Any, ...], tuple[list[Measured], list[Failure]]] = {}


@dataclass(frozen=True)
class Calibration:
    """What is measured, and on what.

    Attributes:
        model: The model all variants are made of.
        variants: Their names.
        deployment: The devices.
        data: `train` or `zoo`.
        questions: How many questions.
        max_tokens: Longest completion, in tokens.
        extractor: How the option is read from a completion.
    """

    model: str
    variants: tuple[str, ...]
    deployment: Deployment
    data: str
    questions: int
    max_tokens: int
    extractor: str

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if self.data not in ("train", "zoo") or self.questions < 1:
            raise PrecisionError(
                f"calibration_data is 'train' or 'zoo' and calibration at least 1, not {self.data!r}, "
                f"{self.questions!r}"
            )


def portfolio_of(wanted: Calibration, train_data: Any) -> Portfolio:
    """The portfolio of a calibration; what was measured before in this process is not measured again.

    Args:
        wanted: What is measured.
        train_data: Ianvs's training data, for `data="train"`.

    Raises:
        PrecisionError: If there are no questions, or no variant can be measured.
    """
    items = zoo_items(wanted.questions) if wanted.data == "zoo" else _training_items(train_data, wanted.questions)
    plan = Plan(max_tokens=wanted.max_tokens, extractor=wanted.extractor)
    key = (wanted.model, wanted.variants, items_sha256(items), plan)
    if key not in _measured:
        variants, left_out = prepare_variants(wanted.model, wanted.variants, _prompts())
        found, failures = measure(variants, items, plan)
        _measured[key] = found, [*(Failure(*each) for each in left_out.items()), *failures]
    found, failures = _measured[key]
    return build_portfolio(
        found,
        failures,
        wanted.deployment,
        plan,
        function=f"answer a question with {wanted.model}",
        data={"source": wanted.data, "questions": len(items), "sha256": items_sha256(items)},
    )


def variants_of(wanted: Calibration, names: Collection[str]) -> list[Variant]:
    """What is to be loaded for variants of a portfolio.

    Raises:
        PrecisionError: If one cannot be had.
    """
    made, left_out = prepare_variants(wanted.model, sorted(names), _prompts())
    if left_out:
        raise PrecisionError("; ".join(f"{name}: {reason}" for name, reason in left_out.items()))
    return made


def _prompts() -> list[str]:
    """Texts on which layers are judged for pruning: always the same, so that a pruned variant is."""
    return [item.prompt for item in zoo_items(51)]


def _training_items(train_data: Any, count: int) -> list[Item]:
    asked = queries(train_data, gold=True)[:count] if hasattr(train_data, "x") else []
    if not asked:
        raise PrecisionError("the training data hold no questions to calibrate on; give calibration_data 'zoo'")
    return [Item(one["query_id"], one["query"], one["choices"], one["gold"]) for one in asked]
