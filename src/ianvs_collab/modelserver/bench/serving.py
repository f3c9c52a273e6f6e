"""How back-ends serve several requests: what decides whether a load queues, and must be said beside its figures."""

from __future__ import annotations

from ianvs_collab.modelserver.bench.loads import Load
from ianvs_collab.modelserver.types import ModelInfo

_BATCHES = ("transformers", "vllm")
_ONE_AT_A_TIME = ("transformers", "llamacpp", "vllm")


def in_process(info: ModelInfo) -> bool:
    """Whether the model runs in this process, so that its memory is this process's."""
    return info.device != "remote"


def batch_size(backend: str, load: Load, requests: int, wanted: int | None) -> int | None:
    """Most requests of one `generate_batch` call, or None where each request is sent on its own.

    Args:
        backend: Name of the back-end.
        load: Only `offline` makes such calls, and only where a batch runs as one; a server behind HTTP makes its own
            batches of what it is sent at once.
        requests: Of the load.
        wanted: What the user asked for; None for all at once.
    """
    return (wanted or requests) if load.kind == "offline" and backend in _BATCHES else None


def remarks(backend: str, load: Load, batch: int | None) -> list[str]:
    """What a reader must know about how this back-end met this load."""
    if batch is not None:
        return [f"offline: `generate_batch` with up to {batch} requests, run as one batch; all were due at the start"]
    several = load.kind != "single"
    if backend in _ONE_AT_A_TIME and several:
        return [
            f"the back-end {backend!r} holds one model in this process and answers one request at a time: requests "
            "queue before it, and that wait is in TTFT and E2E"
        ]
    if load.kind == "offline":
        return [
            "offline: every request was sent on its own at the start; whether they are batched is the server's affair"
        ]
    return []
