"""Arrays and settings of a learner on disk: safetensors and JSON, which cannot run code when they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.trace import Floats


def write_arrays(path: Path, arrays: dict[str, Floats]) -> None:
    """Write arrays by name as one safetensors file."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def read_arrays(path: Path) -> dict[str, Floats]:
    """Read them back.

    Raises:
        RouterError: If the file is missing or damaged.
    """
    try:
        return cast(dict[str, Floats], load_file(path))
    except (OSError, SafetensorError) as error:
        raise RouterError(f"{path} cannot be read: {error}; save the router again") from error


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read it back.

    Raises:
        RouterError: If the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RouterError(f"{path} cannot be read: {error}; save the router again") from error
