"""What is measured inside vLLM's worker processes; vLLM mixes this class into its own worker there."""

from __future__ import annotations

from typing import Any


class WeighingWorker:
    """Methods that vLLM's worker class gets (its argument `worker_extension_cls`); called by name from outside."""

    get_kv_cache_spec: Any  # of vLLM's worker

    def ianvs_kv_bytes_per_token(self) -> float:
        """Bytes of key-value cache for one more token, in this worker's layers, by the pages that vLLM has laid out."""
        pages = self.get_kv_cache_spec().values()
        return float(sum(page.page_size_bytes / page.block_size for page in pages))
