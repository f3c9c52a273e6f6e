"""What scorers learn, on disk: numbers as safetensors, words and settings as JSON; nothing that runs code when read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ianvs_collab.routing.base import RouterError

ARRAYS, FACTS = "learned.safetensors", "learned.json"


def write_learned(folder: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write arrays and JSON-able facts into a folder."""
    save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, folder / ARRAYS)
    (folder / FACTS).write_text(json.dumps(facts, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Give whatever goes wrong while a scorer is read back one form.

    Raises:
        RouterError: If anything is missing or does not fit together.
    """
    try:
        yield
    except OSError as error:
        raise RouterError(f"{error.filename or folder}: {error.strerror or error}; train the router again") from error
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError) as error:
        raise RouterError(f"{folder}: damaged ({error!r}); train the router again") from error


def read_learned(folder: Path, shapes: Mapping[str, int]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read back what `write_learned` wrote; to be called inside `reading`.

    Args:
        folder: Where it was written.
        shapes: Arrays that must be there, with their number of dimensions.

    Raises:
        OSError, SafetensorError, ValueError, KeyError: If something is missing or damaged.
    """
    arrays = load_file(folder / ARRAYS)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    if not isinstance(facts, dict):
        raise ValueError(f"{FACTS} must hold an object")
    for name, dimensions in shapes.items():
        if arrays[name].ndim != dimensions:
            raise ValueError(f"{name!r} has {arrays[name].ndim} dimensions, not {dimensions}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name!r} holds values that are no finite numbers")
    return arrays, facts


def fitted(learned: Any, name: str) -> Any:
    """What a scorer has learned.

    Raises:
        RouterError: If it has not learned anything yet.
    """
    if learned is None:
        raise RouterError(f"the scorer {name!r} has not been trained; call `fit` or `restore` first")
    return learned
