"""Embeddings of texts, from the cache where they are known, else from the encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np

from ianvs_collab.modelserver.embedding_model import Vectors, load_encoder, locate_encoder
from ianvs_collab.modelserver.embedding_store import EmbeddingStore
from ianvs_collab.modelserver.locate import fingerprint

_FORM = "unit-length/1"
_CHUNK = 1024
"""Texts between two writes of the cache: what an interruption loses at most."""

_at_hand: ContextVar[dict[tuple[Embedder, tuple[str, ...]], Vectors] | None] = ContextVar("embeddings", default=None)


@contextmanager
def embedding_once() -> Iterator[None]:
    """Within this block the same texts go through the same encoder once, so that members of an ensemble share them."""
    token = _at_hand.set({})
    try:
        yield
    finally:
        _at_hand.reset(token)


@dataclass(frozen=True)
class Embedder:
    """An encoder by name, with its cache.

    Attributes:
        model: `minilm`, a folder, or `owner/name` of a hub.
        cache: Whether to keep embeddings on disk.
    """

    model: str = "minilm"
    cache: bool = True

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts.

        A lone text is always computed: it is a live query whose routing is being timed, and a time with an answer from
        a cache would be no measurement.

        Returns:
            Shape (len(texts), dimension), rows of unit length.

        Raises:
            ModelServerError: If the encoder cannot be had.
        """
        at_hand = _at_hand.get()
        if at_hand is None:
            return self._embed(texts)
        key = (self, tuple(texts))
        if key not in at_hand:
            at_hand[key] = self._embed(texts)
        return at_hand[key]

    def _embed(self, texts: Sequence[str]) -> Vectors:
        encoder = load_encoder(locate_encoder(self.model))
        if not self.cache or len(texts) <= 1:
            return encoder.encode(texts)
        store = self._store()
        known = store.get(texts)
        missing = sorted({text for text in texts if text not in known}, key=lambda text: (len(text), text))
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            fresh = dict(zip(chunk, encoder.encode(chunk), strict=True))
            store.put(fresh)
            known |= fresh
        return np.stack([known[text] for text in texts])

    def _store(self) -> EmbeddingStore:
        path = locate_encoder(self.model)
        encoder = load_encoder(path)
        identity = f"{fingerprint(path)} {encoder.pooling} {encoder.max_tokens} {_FORM}"
        return EmbeddingStore(identity, encoder.model.config.hidden_size)
