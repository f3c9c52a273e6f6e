"""Loads a checkpoint into vLLM: finds it, starts the engine, explains what fails."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from ianvs_collab.modelserver.backends.vllm.checkpoint import is_plain, plain_checkpoint
from ianvs_collab.modelserver.backends.vllm.library import environment, on_cpu, vllm
from ianvs_collab.modelserver.backends.vllm.log import captured, root_cause
from ianvs_collab.modelserver.backends.vllm.memory import children, footprint, weight_bytes
from ianvs_collab.modelserver.backends.vllm.options import Options, llm_arguments
from ianvs_collab.modelserver.backends.vllm.provenance import describe
from ianvs_collab.modelserver.backends.vllm.server import VllmServer
from ianvs_collab.modelserver.locate import hub_advice, resolve_model
from ianvs_collab.modelserver.types import ModelServerError


def open_server(name: str, options: Options) -> VllmServer:
    """Load a model.

    Args:
        name: What the user calls it, see `ianvs_collab.modelserver.locate.resolve_model`.
        options: How.

    Raises:
        ModelServerError: If vLLM is not here, or the model cannot be loaded.
    """
    start, others = time.perf_counter(), children()
    path = resolve_model(name)
    scratch = tempfile.TemporaryDirectory(prefix="ianvs-vllm-")
    log = Path(scratch.name) / "vllm.log"
    try:
        llm = _start(name, path, options, log)
    except BaseException:
        scratch.cleanup()
        raise
    if "VLLM_LOGGING_LEVEL" not in os.environ:
        logging.getLogger("vllm").setLevel(logging.WARNING)  # it would tell on the terminal how it shuts down
    folder = _folder(path, options.revision)
    server = VllmServer(describe(name, folder, llm, options), llm, options, scratch, log)
    server.warm_up()
    server.weigh(
        lambda engine, dtype: footprint(engine, _weights(folder, llm, dtype), others, time.perf_counter() - start)
    )
    return server


def _start(name: str, path: str, options: Options, log: Path) -> Any:
    """An `LLM` of vLLM with its processes, which print into `log`, a file in a folder of our own."""
    if Path(path).is_dir() and not is_plain(Path(path)):
        path = str(plain_checkpoint(Path(path), log.parent / "checkpoint"))
    settings = {} if options.threads is None else _threads(options.threads)
    try:
        with captured(log), environment(settings):
            return vllm().LLM(**llm_arguments(path, options, cpu=on_cpu()))
    except ModelServerError:
        raise
    except Exception as error:  # of whatever kind; vLLM has dozens, and none is of use to who wrote the job
        raise ModelServerError(_explain(name, path, error, log)) from error


def _threads(count: int) -> dict[str, str]:
    return {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(count)}


def _explain(name: str, path: str, error: Exception, log: Path) -> str:
    words = str(error).strip()
    if "trust_remote_code" in words:
        return (
            f"model {name!r} needs code that comes with its checkpoint; if you trust it, run `ianvs "
            "--trust-remote-code -f ...`, which is recorded in the results"
        )
    if isinstance(error, OSError) and not os.path.isdir(path):
        return f"model {name!r} cannot be loaded: {hub_advice(name)}"
    cause = root_cause(log) if isinstance(error, RuntimeError) else None
    reason = cause or " ".join(words.split()) or type(error).__name__
    return f"vLLM cannot load model {name!r}: {reason}"


def _folder(path: str, revision: str | None) -> Path | None:
    """The checkpoint's folder; that of a hub model in the hub's cache, None if it is not there."""
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only for hub names
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(snapshot_download(path, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        return None


def _weights(folder: Path | None, llm: Any, dtype: str) -> int | None:
    if folder is None:
        return None
    stored = getattr(llm.model_config.hf_config, "quantization_config", None) is not None
    return weight_bytes(folder, dtype, llm.model_config.quantization, stored)
