"""Back-end `llamacpp`: a GGUF file in this process by llama.cpp, at precisions from float32 down to two bits.

It needs the extra `llamacpp`. Nothing of it is imported before a model is loaded, and no PyTorch is loaded for greedy
decoding, so that the memory measured on an edge device is that of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ianvs_collab.modelserver.backends.llamacpp.server import LlamaCppServer


def load(
    model: str,
    *,
    precision: str | None = None,
    context: int | None = None,
    threads: int | None = None,
    kv_precision: str = "f16",
    gpu_layers: int = 0,
    chat_template: str | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> LlamaCppServer:
    """Load a model and warm it up.

    Args:
        model: A `*.gguf` file; or a checkpoint (`zoo:edge`, a folder), which is converted once and kept in the cache.
        precision: What to make of a checkpoint: `f32`, `f16`, `bf16`, `q8_0`, `q5_0`, `q4_0`, `q4_k_m`, ...; None for
            `f16`. A file has the precision it has.
        context: Tokens that prompt and completion may have together; None for what the model was trained on, at most
            4096.
        threads: Threads for one operation; None for 1 with a small model and one for each core otherwise.
        kv_precision: Precision of the key-value cache: `f16`, `f32` or `q8_0`.
        gpu_layers: Layers to put on a GPU, if llama-cpp-python was built for one; -1 for all.
        chat_template: Jinja template for chats, instead of the file's own.
        chat_template_kwargs: Values for the chat template, e.g. `{"enable_thinking": False}`.

    Raises:
        ModelServerError: If the extra is not installed, or the model cannot be loaded.
    """
    from ianvs_collab.modelserver.backends.llamacpp.loading import open_server  # noqa: PLC0415 - loaded when asked for

    return open_server(
        model,
        precision=precision,
        context=context,
        threads=threads,
        kv_precision=kv_precision,
        gpu_layers=gpu_layers,
        chat_template=chat_template,
        chat_template_kwargs=chat_template_kwargs,
    )
