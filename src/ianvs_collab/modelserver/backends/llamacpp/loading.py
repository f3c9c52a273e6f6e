"""Loads a model for the llama.cpp back-end: finds the file, decides what the user left open, writes its provenance."""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections.abc import Mapping
from typing import Any

from ianvs_collab.modelserver.backends.llamacpp.chat import ChatTemplate
from ianvs_collab.modelserver.backends.llamacpp.context import KV_PRECISIONS, Settings
from ianvs_collab.modelserver.backends.llamacpp.files import gguf_file
from ianvs_collab.modelserver.backends.llamacpp.library import llama
from ianvs_collab.modelserver.backends.llamacpp.model import GgufModel
from ianvs_collab.modelserver.backends.llamacpp.precisions import precision_of
from ianvs_collab.modelserver.backends.llamacpp.server import LlamaCppServer
from ianvs_collab.modelserver.locate import file_sha256
from ianvs_collab.modelserver.types import ModelInfo, ModelServerError

_SMALL_PARAMETERS = 20_000_000  # below, a second thread waits longer than it works
_USUAL_CONTEXT = 4096  # the key-value cache is made at once, and models trained on 128 k tokens would fill the memory


def open_server(
    name: str,
    *,
    precision: str | None,
    context: int | None,
    threads: int | None,
    kv_precision: str,
    gpu_layers: int,
    chat_template: str | None,
    chat_template_kwargs: Mapping[str, Any] | None,
) -> LlamaCppServer:
    """Load a model; the arguments are the options of `load`.

    Raises:
        ModelServerError: If it cannot be loaded.
    """
    start = time.perf_counter()
    model = GgufModel(gguf_file(name, precision), gpu_layers=gpu_layers)
    settings = _settings(name, model, context, threads, kv_precision)
    source = chat_template if chat_template is not None else model.note("tokenizer.chat_template")
    values = {
        "bos_token": model.token_text("tokenizer.ggml.bos_token_id"),
        "eos_token": model.token_text("tokenizer.ggml.eos_token_id"),
        **(chat_template_kwargs or {}),
    }
    template = ChatTemplate(name, source, values)
    info = _info(name, model, settings, gpu_layers, bool(template))
    server = LlamaCppServer(info, model, settings, template)
    server.warm_up()
    server.weigh(start)
    return server


def _settings(name: str, model: GgufModel, context: int | None, threads: int | None, kv: str) -> Settings:
    if context is None:
        context = min(model.context, _USUAL_CONTEXT)
    if not 1 <= context <= model.context:
        raise ModelServerError(
            f"context {context!r} is out of range: model {name!r} was trained on texts of up to {model.context} tokens"
        )
    if kv not in KV_PRECISIONS:
        raise ModelServerError(f"kv_precision {kv!r} is unknown; known are {', '.join(KV_PRECISIONS)}")
    if threads is None:
        threads = 1 if model.parameters < _SMALL_PARAMETERS else len(os.sched_getaffinity(0))
    if threads < 1:
        raise ModelServerError(f"threads must be at least 1, not {threads!r}")
    return Settings(context, threads, kv)


def _info(name: str, model: GgufModel, settings: Settings, gpu_layers: int, chat: bool) -> ModelInfo:
    return ModelInfo(
        model=name,
        backend="llamacpp",
        revision=f"sha256:{file_sha256(model.path)}",
        dtype=precision_of(model.note("general.file_type")),
        parameters=model.parameters,
        device="gpu" if gpu_layers and llama().llama_supports_gpu_offload() else "cpu",
        extra={
            "threads": settings.threads,
            "context_length": settings.context,
            "kv_precision": settings.kv,
            "gpu_layers": gpu_layers,
            "chat_template": chat,
            "architecture": model.note("general.architecture"),
            "llama_cpp_python": importlib.metadata.version("llama-cpp-python"),
        },
    )
