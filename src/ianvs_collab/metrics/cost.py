"""What a run consumed: tokens on either side, money in the cloud, energy; of failed queries as far as they went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from ianvs_collab.metrics.predictions import FAILED, mean, number, predictions
from ianvs_collab.metrics.registry import metric


@metric("Edge Prompt Tokens", unit="tokens")
def edge_prompt_tokens(_: Sequence[Any], y_pred: Sequence[Any]) -> int:
    """Prompt tokens the edge model read, over all queries."""
    return _tokens(y_pred, "edge", "prompt_tokens")


@metric("Edge Completion Tokens", unit="tokens")
def edge_completion_tokens(_: Sequence[Any], y_pred: Sequence[Any]) -> int:
    """Tokens the edge model wrote, over all queries."""
    return _tokens(y_pred, "edge", "completion_tokens")


@metric("Cloud Prompt Tokens", unit="tokens", better="lower")
def cloud_prompt_tokens(_: Sequence[Any], y_pred: Sequence[Any]) -> int:
    """Prompt tokens the cloud model read, over all queries."""
    return _tokens(y_pred, "cloud", "prompt_tokens")


@metric("Cloud Completion Tokens", unit="tokens", better="lower")
def cloud_completion_tokens(_: Sequence[Any], y_pred: Sequence[Any]) -> int:
    """Tokens the cloud model wrote, over all queries."""
    return _tokens(y_pred, "cloud", "completion_tokens")


@metric("Cloud Cost", unit="currency of the deployment", better="lower", digits=9)
def cloud_cost(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Price of all cloud answers: Σ prompt tokens × price + completion tokens × price; None if one has no price."""
    answers = [one.cloud for one in predictions(y_pred) if one.cloud is not None]
    costs = [number(answer, "cost") for answer in answers]
    # a failed call is billed for nothing that is known
    if any(cost is None and answer.get("outcome") not in FAILED for cost, answer in zip(costs, answers, strict=True)):
        return None
    return math.fsum(cost for cost in costs if cost is not None)


@metric("Energy", unit="J/query", better="lower", digits=6)
def energy(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Mean energy of a query on both sides, over the queries where it is known; read it with "Energy Source"."""
    joules = [number(one.result.get("energy"), "joules") for one in predictions(y_pred)]
    return mean([value for value in joules if value is not None])


@metric("Energy Source")
def energy_source(_: Sequence[Any], y_pred: Sequence[Any]) -> str:
    """Where the energy figures come from: `measured`, `modelled` or `unavailable`; several are joined by `+`."""
    sources = {_source(one.result.get("energy")) for one in predictions(y_pred)}
    return "+".join(sorted(sources)) or "unavailable"


def _source(value: Any) -> str:
    return "unavailable" if number(value, "joules") is None else str(value.get("source") or "unavailable")


def _tokens(y_pred: Sequence[Any], side: Literal["edge", "cloud"], key: str) -> int:
    answers = [one.edge if side == "edge" else one.cloud for one in predictions(y_pred)]
    asked = [answer for answer in answers if answer is not None]
    # a router that asked the model again for samples notes their tokens beside those of the answer
    return int(sum(number(answer.get(part), key) or 0 for answer in asked for part in ("usage", "samples")))
