"""One text at work in llama.cpp: tokens in, logits out, tokens taken back.

This is the low-level batch API: a batch says which positions are to have logits, and the key-value cache ("memory")
can be cut at any position.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ianvs_collab.modelserver.backends.llamacpp.library import complaint, forget, llama
from ianvs_collab.modelserver.backends.llamacpp.model import GgufModel
from ianvs_collab.modelserver.types import ModelServerError

_BATCH = 512  # tokens of one pass; longer prompts take several
_WITHOUT_FLASH_ATTENTION = 0  # enum llama_flash_attn_type of llama.h
_KV_TYPES = {"f32": 0, "f16": 1, "q8_0": 8}  # enum ggml_type of ggml.h
KV_PRECISIONS = tuple(_KV_TYPES)


@dataclass(frozen=True)
class Settings:
    """How to run a model.

    Attributes:
        context: Tokens that fit into the key-value cache.
        threads: Threads of one operation.
        kv: Precision of the key-value cache, one of `KV_PRECISIONS`.
    """

    context: int
    threads: int
    kv: str


class Context:
    """A text and its key-value cache.

    Args:
        model: The model, not closed.
        settings: How to run it.

    Attributes:
        length: Tokens in the cache.

    Raises:
        ModelServerError: If llama.cpp cannot make one, e.g. for want of memory.
    """

    def __init__(self, model: GgufModel, settings: Settings) -> None:
        self._model = model  # the context points into the model, which must therefore live as long
        self._settings = settings
        self._api = api = llama()
        self._vocabulary = model.vocabulary
        forget()
        self._handle: Any = api.llama_init_from_model(model.handle, _parameters(api, settings))
        if not self._handle:
            raise ModelServerError(
                f"llama.cpp cannot run {model.path} with a context of {settings.context} tokens and a key-value cache "
                f"in {settings.kv}: {complaint()}; give a smaller `context`"
            )
        self._release = weakref.finalize(self, api.llama_free, self._handle)
        self._memory = api.llama_get_memory(self._handle)
        self.length = 0

    def evaluate(self, tokens: Sequence[int], keep: int) -> NDArray[np.float32]:
        """Append tokens.

        Args:
            tokens: At least one, all in the vocabulary.
            keep: For how many of them, counted from the last, to give logits.

        Returns:
            Logits, shape (keep, vocabulary); row i is for the token after `tokens[len(tokens) - keep + i]`.

        Raises:
            ModelServerError: If llama.cpp fails; the text is then as it was before.
        """
        before = self.length
        rows = []
        for start in range(0, len(tokens), _BATCH):
            part = tokens[start : start + _BATCH]
            wanted = min(len(part), max(0, start + len(part) - (len(tokens) - keep)))
            try:
                rows.append(self._pass(part, wanted))
            except ModelServerError:
                self.truncate(before)
                raise
        return np.concatenate(rows) if len(rows) > 1 else rows[0]

    def truncate(self, length: int) -> None:
        """Forget everything after the first `length` tokens.

        Raises:
            ModelServerError: If the model cannot (a recurrent one), unless `length` is 0.
        """
        if length == 0:
            self._api.llama_memory_clear(self._memory, False)
        elif length < self.length and not self._api.llama_memory_seq_rm(self._memory, 0, length, -1):
            raise ModelServerError(
                f"{self._model.path} is of an architecture whose memory cannot be cut in the middle of a text; only "
                "all of it can be forgotten"
            )
        self.length = length

    def copy(self) -> Context:
        """An independent copy.

        Raises:
            ModelServerError: If there is not enough memory for it.
        """
        other = Context(self._model, self._settings)
        if self.length:
            size = self._api.llama_state_seq_get_size(self._handle, 0)
            state = (ctypes.c_uint8 * size)()
            self._api.llama_state_seq_get_data(self._handle, state, size, 0)
            if not self._api.llama_state_seq_set_data(other._handle, state, size, 0):
                raise ModelServerError(f"llama.cpp cannot copy a text of {self.length} tokens: {complaint()}")
            other.length = self.length
        return other

    def state_bytes(self) -> int:
        """Bytes that the text takes in the key-value cache, with llama.cpp's own book-keeping."""
        return int(self._api.llama_state_seq_get_size(self._handle, 0))

    def close(self) -> None:
        """Release the memory. Closing twice is harmless."""
        self._release()

    def _pass(self, tokens: Sequence[int], wanted: int) -> NDArray[np.float32]:
        count = len(tokens)
        ids = (ctypes.c_int32 * count)(*tokens)
        flags = (ctypes.c_int8 * count)(*[0] * (count - wanted), *[1] * wanted)
        batch = self._api.llama_batch_get_one(ids, count)
        batch.logits = ctypes.cast(flags, type(batch.logits))
        forget()
        status = self._api.llama_decode(self._handle, batch)
        if status != 0:
            raise ModelServerError(
                f"llama.cpp failed on {count} tokens after {self.length} (llama_decode: {status}): {complaint()}"
            )
        self.length += count
        if not wanted:
            return np.empty((0, self._vocabulary), np.float32)
        logits = self._api.llama_get_logits(self._handle)
        return np.ctypeslib.as_array(logits, (wanted, self._vocabulary)).copy()


def _parameters(api: Any, settings: Settings) -> Any:
    params = api.llama_context_default_params()
    params.n_ctx = settings.context
    params.n_batch = params.n_ubatch = min(_BATCH, settings.context)
    params.n_seq_max = 1
    params.n_threads = params.n_threads_batch = settings.threads
    params.type_k = params.type_v = _KV_TYPES[settings.kv]
    if settings.kv == "f32":
        # Fused attention sums in half precision on CPUs: over 500 tokens its
        # logits were off by 5e-3, without it by 5e-6.
        params.flash_attn_type = _WITHOUT_FLASH_ATTENTION
    params.swa_full = True  # a sliding window keeps what slid out of it, so that tokens can be taken back
    params.no_perf = True
    return params
