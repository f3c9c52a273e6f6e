"""What speculative decoding drafted, how much of it stood, and what its messages weighed.

Answers of speculative decoding tell of their drafts under `speculation`; an answer without it, or without a part of it,
does not count there, and where none counts the metric is empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ianvs_collab.metrics.predictions import mean, number, predictions

_DIGITS = 3
_Part = Callable[[Mapping[str, Any]], float | None]


def acceptance_rate(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Of the drafted tokens that were looked at, those that stood, in per cent: α of the formulas.

    After the first token of a block that does not stand the others are not looked at.
    """
    return _ratio(y_pred, _field("stood"), _field("offered"), 100)


def used_drafts(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Of all drafted tokens, those that stood, in per cent."""
    return _ratio(y_pred, _field("accepted"), _field("drafted"), 100)


def tokens_per_round(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Tokens that blocks with a draft committed ÷ such blocks."""
    return _ratio(y_pred, _field("committed"), _field("rounds"))


def streamed_tokens(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Of all output tokens, those that the cloud sent because nothing was drafted, in per cent."""
    return _ratio(y_pred, _field("streamed"), _output, 100)


def payload_up(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Bytes of the messages with drafts, without framing ÷ output tokens."""
    return _ratio(y_pred, _payload("uplink"), _output)


def payload_down(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Bytes of the verdicts, without framing ÷ output tokens."""
    return _ratio(y_pred, _payload("downlink"), _output)


def round_trips(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """Mean over queries of the messages to the cloud that asked for an answer."""
    trips = [number(one.result.get("link"), "round_trips") for one in predictions(y_pred) if not one.failed]
    found = mean([count for count in trips if count is not None])
    return None if found is None else round(found, _DIGITS)


def smallest_margin(_: Sequence[Any], y_pred: Sequence[Any]) -> float | None:
    """How near the nearest verdict of the run was to another one: distance of the two best scores of the target."""
    margins = [number(told, "smallest_margin") for told in _told(y_pred)]
    return min((margin for margin in margins if margin is not None), default=None)


METRICS: dict[str, Callable[[Sequence[Any], Sequence[Any]], float | None]] = {
    "Acceptance Rate": acceptance_rate,
    "Used Drafts": used_drafts,
    "Tokens per Round": tokens_per_round,
    "Streamed Tokens": streamed_tokens,
    "Payload Up per Token": payload_up,
    "Payload Down per Token": payload_down,
    "Round Trips": round_trips,
    "Smallest Margin": smallest_margin,
}
"""Name in test environments and leaderboards -> the metric."""


def _told(y_pred: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    for one in predictions(y_pred):
        told = one.result.get("speculation")
        if isinstance(told, Mapping):
            yield told


def _output(told: Mapping[str, Any]) -> float | None:
    """Output tokens of a query, by block or streamed."""
    counts = number(told, "committed"), number(told, "streamed")
    return None if None in counts else math.fsum(count for count in counts if count is not None)


def _ratio(y_pred: Sequence[Any], above: _Part, below: _Part, factor: float = 1) -> float | None:
    """Factor × sum over queries ÷ sum over queries, of those that tell both."""
    pairs = [(above(told), below(told)) for told in _told(y_pred)]
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    total = math.fsum(other for _, other in known)
    return round(factor * math.fsum(one for one, _ in known) / total, _DIGITS) if total else None


def _field(name: str) -> _Part:
    return lambda told: number(told, name)


def _payload(direction: str) -> _Part:
    return lambda told: number(told.get("payload_bytes"), direction)
