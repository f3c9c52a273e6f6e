"""The options of the back-end, checked, and in the words of vLLM."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ianvs_collab.modelserver.types import ModelServerError

TRUST_VARIABLE = "IANVS_COLLAB_TRUST_REMOTE_CODE"
_DTYPES = ("auto", "float32", "bfloat16", "float16")
_GIB = 1 << 30
_OURS = ("model", "tokenizer", "runner", "disable_log_stats", "trust_remote_code", "worker_extension_cls")


@dataclass(frozen=True)
class Options:
    """The options of `load`, under the same names."""

    dtype: str
    quantization: str | None
    max_model_len: int | None
    max_num_seqs: int | None
    enforce_eager: bool | None
    gpu_memory_utilization: float | None
    kv_cache_memory_gb: float | None
    kv_cache_dtype: str
    enable_prefix_caching: bool
    tensor_parallel_size: int
    threads: int | None
    revision: str | None
    chat_template: str | None
    chat_template_kwargs: Mapping[str, Any]
    engine_args: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            ModelServerError: If a value is out of its range, or `engine_args` names what has an option of its own.
        """
        if self.dtype not in _DTYPES:
            raise ModelServerError(f"dtype {self.dtype!r} is unknown; known are {', '.join(_DTYPES)}")
        for name in ("max_model_len", "max_num_seqs", "kv_cache_memory_gb", "tensor_parallel_size", "threads"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ModelServerError(f"{name} must be more than 0, not {value!r}")
        for name in self.engine_args:
            if name in _OURS:
                raise ModelServerError(f"engine_args cannot hold {name!r}: this back-end sets it; leave it out")
            if name in self.__dataclass_fields__:
                raise ModelServerError(f"engine_args holds {name!r}, which is an option of its own; give it as that")


def llm_arguments(path: str, options: Options, *, cpu: bool) -> dict[str, Any]:
    """Arguments of vLLM's `LLM`; what the user left to vLLM is left out.

    Args:
        path: Folder or hub name.
        options: The user's.
        cpu: Whether vLLM runs on the CPU.
    """
    kv_cache = options.kv_cache_memory_gb
    if kv_cache is None and cpu and not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        kv_cache = 1.0  # vLLM would take nine tenths of the machine's memory
    wishes = {
        "dtype": "float32" if cpu and options.dtype == "auto" else options.dtype,
        "quantization": options.quantization,
        "max_model_len": options.max_model_len,
        "max_num_seqs": options.max_num_seqs,
        "enforce_eager": cpu if options.enforce_eager is None else options.enforce_eager,
        "gpu_memory_utilization": options.gpu_memory_utilization,
        "kv_cache_memory_bytes": None if kv_cache is None else int(kv_cache * _GIB),
        "kv_cache_dtype": options.kv_cache_dtype,
        "enable_prefix_caching": options.enable_prefix_caching,
        "tensor_parallel_size": options.tensor_parallel_size,
        "revision": options.revision,
        **options.engine_args,
    }
    return {
        **{name: value for name, value in wishes.items() if value is not None},
        "model": path,
        "runner": "generate",
        "trust_remote_code": os.environ.get(TRUST_VARIABLE) == "1",
        "disable_log_stats": False,  # without it, requests carry no metrics
        "worker_extension_cls": "ianvs_collab.modelserver.backends.vllm.worker.WeighingWorker",
    }
