"""The llama.cpp library by llama-cpp-python's low-level API: loaded when first needed, its log kept and not printed.

The package is an optional extra, so nothing here imports it before a model is asked for. What llama.cpp would print
on the terminal goes into a short memory instead, from which an error message is made when something fails.
"""

from __future__ import annotations

import ctypes
from collections import deque
from functools import cache
from importlib import import_module
from typing import Any

from ianvs_collab.modelserver.types import ModelServerError

INSTALL = 'pip install "ianvs-collab[llamacpp]"'
_WARNING, _ERROR = 3, 4  # GGML_LOG_LEVEL_WARN and GGML_LOG_LEVEL_ERROR of ggml.h
_said: deque[tuple[int, str]] = deque(maxlen=8)
_callbacks: list[Any] = []  # llama.cpp keeps a bare pointer to the callback, so it must never be collected


@cache
def llama() -> Any:
    """The module `llama_cpp`, ready for use.

    Raises:
        ModelServerError: If the package is not installed, or its library cannot be loaded.
    """
    api = optional("llama_cpp", "llama-cpp-python")
    api.llama_backend_init()
    _callbacks.append(api.llama_log_callback(_listen))
    api.llama_log_set(_callbacks[-1], ctypes.c_void_p(0))
    return api


def optional(module: str, package: str) -> Any:
    """A module of the extra `llamacpp`.

    Args:
        module: Name to import.
        package: Name to install.

    Raises:
        ModelServerError: If it is missing or broken, with the line that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModelServerError(
            f"back-end 'llamacpp' needs the Python package {package!r}, which is not installed; type: {INSTALL}"
        ) from error
    except (OSError, RuntimeError) as error:
        raise ModelServerError(
            f"the Python package {package!r} is installed, but its library cannot be loaded ({error}); build it anew "
            f"on this machine: pip install --force-reinstall --no-cache-dir --no-deps {package}"
        ) from error


def forget() -> None:
    """Forget what llama.cpp has said so far; call it before what may fail."""
    _said.clear()


def complaint() -> str:
    """What llama.cpp has complained of since `forget`, errors if there are any, else warnings."""
    level = max((level for level, _ in _said), default=_ERROR)
    texts = [text for at, text in _said if at == level]
    return "; ".join(dict.fromkeys(texts)) or "nothing"


def _listen(level: int, text: bytes, _: Any) -> None:
    words = text.decode("utf-8", "replace").strip()
    if level in (_WARNING, _ERROR) and words:
        _said.append((level, words))
