"""What a loaded model takes: memory of weights and cache, and the process's peak."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from ianvs_collab.modelserver.memory import peak_rss_bytes
from ianvs_collab.modelserver.stepping.cache import cache_bytes
from ianvs_collab.modelserver.types import Footprint


def measure_footprint(model: Any, seconds: float) -> Footprint:
    """What a loaded model takes.

    Args:
        model: A causal language model of transformers, loaded and warmed up.
        seconds: How long that took.
    """
    return Footprint(
        weight_bytes=weight_bytes(model),
        kv_bytes_per_token=kv_bytes_per_token(model),
        load_s=seconds,
        peak_rss_bytes=peak_rss_bytes(),
    )


def weight_bytes(model: torch.nn.Module) -> int:
    """Bytes of a model's parameters and buffers as they are stored; what is shared (a tied embedding) counts once."""
    return sum(tensor.nbytes for whole in (*model.parameters(), *model.buffers()) for tensor in _stored(whole))


def kv_bytes_per_token(model: Any) -> int | None:
    """Bytes by which the cache grows with one more token, measured on two texts; None for a model without one."""
    sizes = []
    for count in (1, 2):
        tokens = torch.zeros(1, count, dtype=torch.long, device=model.device)
        with torch.inference_mode():
            values = getattr(model(input_ids=tokens, use_cache=True), "past_key_values", None)
        if not hasattr(values, "layers"):
            return None
        sizes.append(cache_bytes(values))
    return sizes[1] - sizes[0]


def _stored(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """The plain tensors that a tensor is kept in: itself, or the parts of a quantised one."""
    if not is_traceable_wrapper_subclass(tensor):
        yield tensor
        return
    names, _ = tensor.__tensor_flatten__()
    for name in names:
        yield from _stored(getattr(tensor, name))
