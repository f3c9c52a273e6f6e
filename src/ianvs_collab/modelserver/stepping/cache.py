"""The key-value cache of a session: transformers' `DynamicCache`, made so that any number of tokens can be taken back.

Attention with a sliding window usually keeps only the window, and a token that has slid out of it cannot come back. So
such layers keep everything here; the model's own mask still hides what lies outside the window. Recurrent layers
(linear attention, state spaces) have no state to go back to: with one of them in the model a rollback empties the
cache, and the next call computes it again from the tokens.
"""

from __future__ import annotations

import copy
from typing import Any

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


class SessionCache:
    """Keys and values of the first `length` tokens of a session.

    Args:
        config: Configuration of the model, `model.config`.

    Attributes:
        values: What the model is given as `past_key_values`, and fills.
        length: Tokens in it.
    """

    def __init__(self, config: Any) -> None:
        self._config = config
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.length = 0
        self.values = DynamicCache(config=self._config)
        plain: Any = DynamicLayer
        layers: list[Any] = self.values.layers
        self.values.layers = [plain() if type(layer) is DynamicSlidingWindowLayer else layer for layer in layers]

    def crop(self, length: int) -> None:
        """Forget what comes after the first `length` tokens, or everything if that cannot be done exactly."""
        if length >= self.length:
            return
        if all(map(_is_plain, self.values.layers)):
            self.values.crop(length - self.length)
            self.length = length
        else:
            self.clear()

    def fork(self) -> SessionCache:
        """An independent copy.

        A plain layer's tensors are shared, because it never writes into them: it grows by making new ones.
        """
        other = copy.copy(self)
        other.values = copy.copy(self.values)
        other.values.layers = [
            copy.copy(layer) if _is_plain(layer) else copy.deepcopy(layer) for layer in self.values.layers
        ]
        return other

    def nbytes(self) -> int:
        """Bytes that the tensors hold, those shared with a fork included."""
        return cache_bytes(self.values)


def cache_bytes(values: Any) -> int:
    """Bytes of the keys and values in a cache of transformers."""
    tensors = [getattr(layer, kind, None) for layer in values.layers for kind in ("keys", "values")]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _is_plain(layer: Any) -> bool:
    """Whether a layer holds keys and values of every token, and nothing else."""
    return type(layer) is DynamicLayer
