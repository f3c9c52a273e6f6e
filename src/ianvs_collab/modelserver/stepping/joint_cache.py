"""The key-value caches of several sessions as one, for the length of a forward pass.

Row by row, keys and values lie like this, padding as dots, cached tokens as c, new ones as n:

    ....ccccnn.
    ..ccccccnnn
    ccccccccn..

The new tokens of all rows begin in one column, so that the model's own mask, causal or of a sliding window, is right
for every row by columns alone; what lies to the left of a text is masked, and nothing looks at what lies to the right.

Copying one layer of one session at a time would take a small model as long as the pass itself, and a copy of all
layers at once would take a large one too much memory. So layers are copied in runs, as many at once as `_RUN` holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_RUN = 2**26
"""Bytes of padded keys, and as many of values, that are copied at once."""


@dataclass(frozen=True)
class Span:
    """One text in a joint cache.

    Attributes:
        layers: Layers of its cache, each a plain `DynamicLayer`.
        held: Tokens in them.
        new: Tokens that come, at least 1.
    """

    layers: Sequence[Any]
    held: int
    new: int


def join(spans: Sequence[Span]) -> DynamicCache:
    """A cache of transformers over several texts, for one forward pass; what it is given, it puts into their layers."""
    cache = DynamicCache()
    cache.layers = []
    depth, scratch = len(spans[0].layers), dict[str, torch.Tensor]()
    while len(cache.layers) < depth:
        start = len(cache.layers)
        run = _Run(spans, start, start + _length(spans, start), scratch)
        cache.layers += [_JointLayer(run, index) for index in range(run.length)]
    return cache


class _Run:
    """Layers of one shape that are copied at once.

    Args:
        spans: The texts.
        start: First layer.
        end: Behind the last.
        scratch: Memory that the runs of a pass use one after the other: fresh memory costs more than the copying.
    """

    def __init__(self, spans: Sequence[Span], start: int, end: int, scratch: dict[str, torch.Tensor]) -> None:
        self._spans, self._scratch = spans, scratch
        self._layers = [span.layers[start:end] for span in spans]
        self._done = 0
        self._joint: tuple[torch.Tensor, torch.Tensor] | None = None
        self.longest = max(span.held for span in spans)
        self.length = end - start

    def update(self, index: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Put in what is new in a layer; returns its keys and values of all texts, padded.

        Args:
            index: Of the layer in the run.
            keys: Of the new tokens, shape (rows, key heads, columns, head size).
            values: The same for values.
        """
        if self._joint is None:
            self._joint = self._joined("keys", keys), self._joined("values", values)
        found = self._joint[0][index], self._joint[1][index]
        found[0][:, :, self.longest :] = keys
        found[1][:, :, self.longest :] = values
        self._done += 1
        if self._done == self.length:
            self._put_back(*self._joint)
            self._joint = None
        return found

    def _joined(self, kind: str, new: torch.Tensor) -> torch.Tensor:
        rows, heads, columns, size = new.shape
        joint = self._room(kind, new, (self.length, rows, heads, self.longest + columns, size))
        for row, (span, layers) in enumerate(zip(self._spans, self._layers, strict=True)):
            # Zeros, not whatever memory holds: a masked NaN would still be one after the product with its weight 0.
            joint[:, row, :, : self.longest - span.held] = 0
            if span.held:
                there = joint[:, row, :, self.longest - span.held : self.longest]
                torch.cat([getattr(layer, kind) for layer in layers], out=there)
        return joint

    def _room(self, kind: str, new: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        count, room = math.prod(shape), self._scratch.get(kind)
        if room is None or len(room) < count or (room.dtype, room.device) != (new.dtype, new.device):
            room = self._scratch[kind] = new.new_empty(count)
        return room[:count].view(shape)

    def _put_back(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Give each text its own copy, without padding; a view would keep the others' memory alive."""
        for row, (span, layers) in enumerate(zip(self._spans, self._layers, strict=True)):
            columns = slice(self.longest - span.held, self.longest + span.new)
            own = (joint[:, row, :, columns].clone().chunk(self.length) for joint in (keys, values))
            for layer, *pair in zip(layers, *own, strict=True):
                if not layer.is_initialized:
                    layer.lazy_initialization(*pair)
                layer.keys, layer.values = pair


class _JointLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer of a joint cache, as the model sees it."""

    def __init__(self, run: _Run, index: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._run, self._index = run, index

    def get_seq_length(self) -> int:
        """Columns in front of the new tokens."""
        return self._run.longest

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Put in what is new; see `_Run.update`."""
        return self._run.update(self._index, key_states, value_states)


def _length(spans: Sequence[Span], start: int) -> int:
    """How many layers from one on can be a run; one if nothing is known of their shapes."""
    full = next((span for span in spans if span.held), None)
    if full is None:
        return 1
    shapes = [_shape(layer) for layer in full.layers[start:]]
    columns = max(span.held for span in spans) + max(span.new for span in spans)
    token: int = full.layers[start].keys[0, :, 0].nbytes
    most = max(1, _RUN // (token * columns * len(spans)))
    alike = next((index for index, shape in enumerate(shapes) if shape != shapes[0]), len(shapes))
    return min(most, alike)


def _shape(layer: Any) -> tuple[object, ...]:
    """What layers have in common that can be copied at once."""
    parts = (layer.keys, layer.values)
    return tuple((part.shape[1], part.shape[3], part.dtype, part.device) for part in parts)
