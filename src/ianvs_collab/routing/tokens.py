"""Batches of token ids, and log-likelihoods read off a model's logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.trace import Floats

Rows = Sequence[Sequence[int]]
"""Token ids of several texts."""


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices in batches of similar length, shortest first, so that little is padding."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def padded(rows: Rows, pad: int, device: Any) -> tuple[Tensor, Tensor]:
    """Ids padded on the right and the mask of what is no padding, both of shape (n, longest) and whole numbers."""
    lengths = torch.tensor([len(row) for row in rows])
    width = int(lengths.max())
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
    mask = (torch.arange(width) < lengths[:, None]).long()
    return ids.to(device), mask.to(device)


def likelihoods(logits: Tensor, labels: Tensor, counted: Tensor, *, mean: bool) -> Floats:
    """Log-probabilities of the labels that count, summed or averaged by row, shape (n,)."""
    chosen = logits.float().log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    total = (chosen.double() * counted).sum(dim=1)
    result: Floats = (total / counted.sum(dim=1) if mean else total).cpu().numpy()
    return result


def check_lengths(**given: Sequence[Any]) -> None:
    """See that two lists belong together.

    Raises:
        RouterError: If their lengths differ; the message has their names.
    """
    (first, some), (second, others) = given.items()
    if len(some) != len(others):
        raise RouterError(f"{len(some)} {first} and {len(others)} {second} do not belong together")
