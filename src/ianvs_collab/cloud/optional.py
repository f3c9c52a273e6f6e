"""The packages of the extra `cloud`, imported when they are first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ianvs_collab.cloud.errors import CloudError


def need(module: str, package: str) -> Any:
    """Import a module of the extra `cloud`.

    Args:
        module: Its name, e.g. `grpc`.
        package: The package it comes with, e.g. `grpcio`.

    Raises:
        CloudError: If it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise CloudError(
            f'the cloud worker and its client need the Python package {package!r}; type: pip install "ianvs-collab'
            '[cloud]"'
        ) from error
