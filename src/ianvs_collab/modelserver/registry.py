"""Back-ends by name: the shipped ones, those a program registers, and those an installed package offers.

A back-end is a function `load(model, **options) -> ModelServer`. It is imported when it is first asked for, so that a
job which calls an API does not load torch, and a missing optional package is an error only for the job that needs it.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar

from ianvs_collab.modelserver.types import ModelServer, ModelServerError

Loader = Callable[..., ModelServer]
_L = TypeVar("_L", bound=Loader)

ENTRY_POINTS = "ianvs_collab.backends"
_SHIPPED = {
    "cloud": "ianvs_collab.cloud.backend",
    "transformers": "ianvs_collab.modelserver.backends.hf",
    "llamacpp": "ianvs_collab.modelserver.backends.llamacpp",
    "openai": "ianvs_collab.modelserver.backends.openai_api",
    "replay": "ianvs_collab.modelserver.backends.replay",
    "vllm": "ianvs_collab.modelserver.backends.vllm",
}
_registered: dict[str, Loader] = {}


def register_backend(name: str) -> Callable[[_L], _L]:
    """Decorator: offer a function `load(model, **options) -> ModelServer` as the back-end `name`.

    Registering the same function again is harmless (a module may be imported twice).

    Raises:
        ValueError: If another back-end has that name.
    """

    def register(loader: _L) -> _L:
        other = _registered.get(name)
        if name in _SHIPPED or (other is not None and _origin(other) != _origin(loader)):
            raise ValueError(f"a back-end {name!r} exists already; register yours under another name")
        _registered[name] = loader
        return loader

    return register


def backend_names() -> list[str]:
    """Names that `load_model` knows, sorted."""
    return sorted({*_SHIPPED, *_registered, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def load_model(backend: str, model: str, **options: Any) -> ModelServer:
    """Load a model.

    Args:
        backend: Name of the back-end, e.g. `transformers`.
        model: What the back-end takes for a model: a locator (see `ianvs_collab.modelserver.locate`), a name that an
            API knows, or a file of recorded answers.
        **options: The back-end's own options, e.g. `dtype` or `base_url`.

    Raises:
        ModelServerError: If there is no such back-end, it does not know an option, it needs a package that is not
            installed, or it cannot load the model.
    """
    loader = _find(backend)
    _check_options(backend, loader, options)
    try:
        return loader(model, **options)
    except ModuleNotFoundError as error:
        raise _missing_package(backend, error) from error


def _find(backend: str) -> Loader:
    if backend in _registered:
        return _registered[backend]
    try:
        if backend in _SHIPPED:
            loader: Loader = import_module(_SHIPPED[backend]).load
            return loader
        for point in entry_points(group=ENTRY_POINTS, name=backend):
            found: Loader = point.load()
            return found
    except ModuleNotFoundError as error:
        raise _missing_package(backend, error) from error
    known = backend_names()
    near = difflib.get_close_matches(backend, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ModelServerError(f"there is no back-end {backend!r}{hint} Known back-ends: {', '.join(known)}")


def _check_options(backend: str, loader: Loader, options: dict[str, Any]) -> None:
    parameters = inspect.signature(loader).parameters.values()
    named = {parameter.name: parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    for option, parameter in named.items():
        if parameter.default is parameter.empty and option not in options:
            raise ModelServerError(f"back-end {backend!r} needs the option {option!r}; add it to the module")
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    for option in options:
        if option not in named:
            near = difflib.get_close_matches(option, named, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ModelServerError(f"back-end {backend!r} has no option {option!r}{hint} It has: {', '.join(named)}")


def _missing_package(backend: str, error: ModuleNotFoundError) -> ModelServerError:
    package = (error.name or str(error)).partition(".")[0]
    return ModelServerError(
        f"back-end {backend!r} needs the Python package {package!r}, which is not installed; type: pip install "
        f"{package}"
    )


def _origin(loader: Loader) -> tuple[str, str]:
    return loader.__module__, loader.__qualname__
