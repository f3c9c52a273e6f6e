"""Nano models and tiny random checkpoints as GGUF files, made once for the session."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.modelserver import ModelServer
from ianvs_collab.modelserver.backends.llamacpp import load


@pytest.fixture(scope="session")
def extra() -> None:
    """Skips what needs llama.cpp where the extra is not installed."""
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")


@pytest.fixture(scope="session")
def converted(extra: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Function that gives the GGUF file of a checkpoint at a precision: `converted("zoo:edge", "f32")`."""
    from ianvs_collab.modelserver.convert.gguf_file import convert_to_gguf

    made: dict[tuple[str, str], Path] = {}

    def file(checkpoint: str | Path, precision: str) -> Path:
        key = (str(checkpoint), precision)
        if key not in made:
            (result,) = convert_to_gguf(key[0], tmp_path_factory.mktemp("gguf"), [precision])
            made[key] = result.path
        return made[key]

    return file


@pytest.fixture(scope="session")
def edge(converted: Callable[..., Path]) -> Path:
    """The nano edge model in float32."""
    return converted("zoo:edge", "f32")


@pytest.fixture(scope="session")
def edge_server(edge: Path) -> ModelServer:
    """The nano edge model with weights and key-value cache in float32."""
    return load(str(edge), kv_precision="f32")


@pytest.fixture(scope="session")
def edited() -> Callable[..., Path]:
    """Function that copies a checkpoint with other values in one of its JSON files."""
    import shutil

    def copy(source: Path, target: Path, file: str, **values: Any) -> Path:
        shutil.copytree(source, target)
        content = json.loads((target / file).read_text("utf-8"))
        content.update(values)
        (target / file).write_text(json.dumps(content), "utf-8")
        return target

    return copy
