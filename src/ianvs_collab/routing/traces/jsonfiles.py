"""JSON files of other people's making: read with file and line in every complaint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ianvs_collab.modelserver import locate
from ianvs_collab.routing.base import RouterError


def json_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a JSON Lines file, or of a `.json` file that holds a list, each with its place.

    Lines end at a line feed alone, and a long JSON Lines file is never in memory as a whole.

    Raises:
        RouterError: If the file cannot be read or something in it is no JSON object.
    """
    values = _listed(path) if path.suffix == ".json" else _lines(path)
    for where, value in values:
        if not isinstance(value, dict):
            raise RouterError(f"{where}: expected a JSON object, found {str(value)[:40]!r}")
        yield where, value


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal.

    Raises:
        RouterError: If the file cannot be read.
    """
    try:
        return locate.file_sha256(path)
    except OSError as error:
        raise RouterError(f"{path}: {error.strerror}; check the path") from error


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path}:{number}", _parsed(line, f"{path}:{number}")
    except OSError as error:
        raise RouterError(f"{path}: {error.strerror}; check the path") from error


def _listed(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RouterError(f"{path}: {error.strerror}; check the path") from error
    values = _parsed(content, str(path))
    if not isinstance(values, list):
        raise RouterError(f"{path}: expected a list, found {str(values)[:40]!r}")
    for number, value in enumerate(values, start=1):
        yield f"{path}: element {number}", value


def _parsed(content: bytes, where: str) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise RouterError(f"{where}: not JSON ({error}); the file is damaged or cut off") from error
