"""What a model under vLLM takes of the machine: weights, key-value cache, and the memory of all its processes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import psutil

from ianvs_collab.modelserver.backends.vllm.checkpoint import stored_size
from ianvs_collab.modelserver.memory import peak_rss_bytes
from ianvs_collab.modelserver.types import Footprint

_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def weight_bytes(folder: Path, dtype: str, quantization: str | None, stored: bool) -> int | None:
    """Bytes of the weights as vLLM keeps them, without the copies that some kernels make of them.

    Args:
        folder: The checkpoint.
        dtype: Precision of what is not quantised.
        quantization: vLLM's word for how they are quantised, or None.
        stored: Whether they are so in the checkpoint already.

    Returns:
        None where vLLM quantises them itself, and does not say how large they have become.
    """
    numbers, stored_bytes = stored_size(folder)
    if quantization is not None:
        return stored_bytes if stored else None
    return numbers * _DTYPE_BYTES[dtype]


def footprint(engine: Any, weights: int | None, others: Collection[int], seconds: float) -> Footprint | None:
    """What a loaded model takes; None if the size of its weights is unknown.

    Args:
        engine: vLLM's engine, ready.
        weights: Bytes of the weights, or None.
        others: Ids of the processes that this one had before loading.
        seconds: How long loading took.
    """
    if weights is None:
        return None
    per_token = round(sum(engine.collective_rpc("ianvs_kv_bytes_per_token")))
    return Footprint(
        weight_bytes=weights,
        kv_bytes_per_token=per_token or None,
        load_s=seconds,
        peak_rss_bytes=peak_rss_bytes() + sum(_peak(process) for process in children() - set(others)),
    )


def children() -> set[int]:
    """Ids of the processes that this one started, and they in turn."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def _peak(process: int) -> int:
    """Largest resident memory that a process has had, in bytes; 0 if it has ended, or the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_text("utf-8")
    except OSError:
        return 0
    kib = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")]
    return 1024 * sum(kib)
