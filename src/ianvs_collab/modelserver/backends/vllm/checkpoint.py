"""A checkpoint as vLLM wants it: no weights in the folder but the model's own; and how large it is.

transformers reads `model.safetensors`, or what its index lists, and leaves other files alone. vLLM takes every
`*.safetensors` for a part of the model, and fails on weights that the model has no place for, such as exit heads that
lie beside it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"


def weight_files(folder: Path) -> list[Path]:
    """Files that hold the model's own weights, as transformers finds them; sorted.

    Args:
        folder: A checkpoint; without `model.safetensors` and without its index, all safetensors count.
    """
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    if (folder / _INDEX).is_file():
        listed = json.loads((folder / _INDEX).read_text("utf-8"))["weight_map"].values()
        return sorted({folder / name for name in listed})
    return sorted(folder.glob("*.safetensors"))


def is_plain(folder: Path) -> bool:
    """Whether vLLM would load nothing from the folder but the model's own weights."""
    return (folder / _INDEX).is_file() or sorted(folder.glob("*.safetensors")) == weight_files(folder)


def plain_checkpoint(folder: Path, target: Path) -> Path:
    """Make a folder of links to all files of a checkpoint but the weights that are not the model's own.

    Args:
        folder: A checkpoint.
        target: An empty folder, or one that does not exist yet.

    Returns:
        `target`, which vLLM can load or serve as long as `folder` stays where it is.

    Raises:
        OSError: If the links cannot be made.
    """
    own = weight_files(folder)
    target.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.suffix != ".safetensors" or file in own:
            (target / file.name).symlink_to(file.resolve())
    return target


def stored_size(folder: Path) -> tuple[int, int]:
    """How many numbers a checkpoint's weight files hold, and in how many bytes; tied matrices are stored once.

    Source: the safetensors format: eight bytes with the length of a JSON header, little-endian, then the header.
    """
    tensors = [tensor for file in weight_files(folder) for tensor in _tensors(file)]
    numbers = sum(math.prod(tensor["shape"]) for tensor in tensors)
    return numbers, sum(tensor["data_offsets"][1] - tensor["data_offsets"][0] for tensor in tensors)


def _tensors(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    yield from header.values()
