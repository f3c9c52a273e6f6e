"""From logits to the distribution that a token is drawn from: temperature, then top-k, then top-p, in float64.

The order and the treatment of ties are those of transformers' logits processors: all tokens as probable as the k-th
stay in, and of equally probable tokens at the edge of the nucleus those with the higher ids stay. Both sides of a
speculative decoder have to agree on the distribution to the last token, so this is the only place where it is made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ianvs_collab.modelserver.types import SamplingParams

Floats = NDArray[np.float64]


def as_array(logits: torch.Tensor | NDArray[Any]) -> NDArray[Any]:
    """Logits as an array in main memory, without a copy where that is possible."""
    return logits.detach().cpu().numpy() if isinstance(logits, torch.Tensor) else logits


def probabilities(logits: torch.Tensor | NDArray[Any], params: SamplingParams) -> Floats:
    """Probabilities of the next token.

    Top-p is the nucleus of Holtzman et al. 2020 (arXiv:1904.09751). At temperature 0 the most probable token (of
    several, the first) has probability 1.

    Args:
        logits: Shape (rows, vocabulary).
        params: Temperature, top-k and top-p.

    Returns:
        Shape (rows, vocabulary), each row with sum 1.
    """
    scores: Floats = as_array(logits).astype(np.float64)
    if params.greedy:
        certain: Floats = np.zeros_like(scores)
        certain[np.arange(len(scores)), scores.argmax(-1)] = 1
        return certain
    scores -= scores.max(-1, keepdims=True)  # first, so that a very small temperature does not overflow
    scores /= params.temperature
    if 0 < params.top_k < scores.shape[-1]:
        smallest = np.partition(scores, -params.top_k, axis=-1)[:, -params.top_k, None]
        scores[scores < smallest] = -np.inf
    weights = np.exp(scores)
    weights /= weights.sum(-1, keepdims=True)
    return weights if params.top_p == 1 else _nucleus(weights, scores, params.top_p)


def _nucleus(weights: Floats, scores: Floats, top_p: float) -> Floats:
    """The most probable tokens whose probability reaches `top_p`; the first of them always stays."""
    ascending = np.argsort(scores, axis=-1, kind="stable")
    cumulative = np.take_along_axis(weights, ascending, -1).cumsum(-1)
    out = cumulative <= 1 - top_p
    out[:, -1] = False
    removed = np.empty_like(out)
    np.put_along_axis(removed, ascending, out, -1)
    kept = np.where(removed, 0.0, weights)
    normalised: Floats = kept / kept.sum(-1, keepdims=True)
    return normalised


def draw(weights: Floats, level: float) -> int:
    """The token at a level of the cumulative distribution.

    Args:
        weights: Shape (vocabulary,), not negative, with a positive sum; they need not be normalised.
        level: Uniform in [0, 1).
    """
    cumulative = weights.cumsum()
    index = int(cumulative.searchsorted(level * cumulative[-1], side="right"))
    # The product may round up to the sum itself, which lies behind the last token.
    return index if index < len(weights) else int(weights.nonzero()[0][-1])
