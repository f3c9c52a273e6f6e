"""A GGUF file in memory: its weights, its description and its vocabulary."""

from __future__ import annotations

import ctypes
import weakref
from pathlib import Path
from typing import Any

from ianvs_collab.modelserver.backends.llamacpp.library import complaint, forget, llama
from ianvs_collab.modelserver.types import ModelServerError

_MAGIC = b"GGUF"


class GgufModel:
    """A model as llama.cpp loads it.

    Args:
        path: The GGUF file.
        gpu_layers: Layers to put on a GPU; -1 for all. A build without GPU support ignores it.

    Attributes:
        handle: llama.cpp's pointer to the model.

    Raises:
        ModelServerError: If the file is not there, is no GGUF file, is damaged, or is of an architecture that llama.cpp
            does not know.
    """

    def __init__(self, path: Path, *, gpu_layers: int = 0) -> None:
        _check_file(path)
        self.path = path
        self._api = api = llama()
        params = api.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        forget()
        self.handle: Any = api.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise ModelServerError(
                f"llama.cpp cannot load {path}: {complaint()}. If the file was copied or fetched, its end may be "
                "missing: compare its size and copy it again; or make it anew with `ianvs model convert`"
            )
        self._release = weakref.finalize(self, api.llama_model_free, self.handle)
        self._vocabulary = api.llama_model_get_vocab(self.handle)
        self._pieces: dict[int, bytes] = {}

    def close(self) -> None:
        """Release the memory. Closing twice is harmless."""
        self._release()

    def note(self, key: str) -> str | None:
        """An entry of the file's description as text, or None if it has none such."""
        size = self._api.llama_model_meta_val_str(self.handle, key.encode(), None, 0)
        if size < 0:
            return None
        buffer = ctypes.create_string_buffer(size + 1)
        self._api.llama_model_meta_val_str(self.handle, key.encode(), buffer, size + 1)
        return buffer.value.decode("utf-8", "replace")

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return int(self._api.llama_vocab_n_tokens(self._vocabulary))

    @property
    def context(self) -> int:
        """Tokens of the longest text that the model was trained for."""
        return int(self._api.llama_model_n_ctx_train(self.handle))

    @property
    def layers(self) -> int:
        """Number of layers."""
        return int(self._api.llama_model_n_layer(self.handle))

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return int(self._api.llama_model_n_params(self.handle))

    @property
    def nbytes(self) -> int:
        """Bytes of all weights as they are stored."""
        return int(self._api.llama_model_size(self.handle))

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a completion: the file's own, and those that llama.cpp knows by their text."""
        ends = (token for token in range(self.vocabulary) if self._api.llama_vocab_is_eog(self._vocabulary, token))
        return frozenset(ends)

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text. Special tokens written out in it are taken for what they are.

        Args:
            text: Any text.
            special: Whether to add the tokens that the model wants before and after a text.

        Raises:
            ModelServerError: If the text holds half of a character (a lone surrogate), which has no bytes.
        """
        try:
            raw = text.encode()
        except UnicodeEncodeError as error:
            raise ModelServerError(
                f"the prompt holds half of a character at position {error.start}; replace it, e.g. by "
                'text.encode("utf-8", "replace").decode()'
            ) from error
        room = len(raw) + 2  # a token holds at least one byte; two may be added
        buffer = (ctypes.c_int32 * room)()
        count = self._api.llama_tokenize(self._vocabulary, raw, len(raw), buffer, room, special, True)
        if count < 0:
            raise ModelServerError(f"llama.cpp cannot tokenise a text of {len(raw)} bytes: {complaint()}")
        return buffer[:count]

    def decode(self, token_ids: list[int], /, *, skip_special_tokens: bool = True) -> str:
        """Text of tokens; special ones have none, and half characters show as U+FFFD."""
        return b"".join(map(self._piece, token_ids)).decode("utf-8", "replace")

    def token_text(self, key: str) -> str:
        """Text of the special token that an entry names, e.g. `tokenizer.ggml.bos_token_id`; empty without one."""
        number = self.note(key)
        if number is None:
            return ""
        return str(self._api.llama_vocab_get_text(self._vocabulary, int(number)).decode("utf-8", "replace"))

    def _piece(self, token: int) -> bytes:
        piece = self._pieces.get(token)
        if piece is None:
            size = -self._api.llama_token_to_piece(self._vocabulary, token, None, 0, 0, False)
            buffer = ctypes.create_string_buffer(max(size, 1))
            self._api.llama_token_to_piece(self._vocabulary, token, buffer, size, 0, False)
            piece = self._pieces[token] = buffer.raw[:size]
        return piece


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ModelServerError(
            f"there is no file {path.absolute()}; give a *.gguf file, or a checkpoint (a folder, `zoo:edge`), which is "
            "converted"
        )
    with path.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise ModelServerError(
                f"{path} is not a GGUF file (it does not begin with {_MAGIC.decode()!r}); make one from a checkpoint "
                "with `ianvs model convert FOLDER --to gguf`"
            )
