"""Texts for the retrieval drafter, from a file of lines or of objects."""

from __future__ import annotations

import json
from pathlib import Path

from ianvs_collab.speculative.errors import SpeculativeError


def read_corpus(path: Path, field: str) -> list[str]:
    """Texts of a corpus.

    Args:
        path: A `.jsonl` file with an object on each line, or a text file with a text on each line.
        field: Of the objects.

    Raises:
        SpeculativeError: If the file cannot be read, holds no text, or a line is no object with a text in that field.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpeculativeError(f"corpus {str(path)!r} cannot be read: {error}") from error
    texts = [_text(path, number, line, field) for number, line in enumerate(lines, 1) if line.strip()]
    if not texts:
        raise SpeculativeError(f"corpus {str(path)!r} holds no text")
    return texts


def _text(path: Path, number: int, line: str, field: str) -> str:
    if path.suffix != ".jsonl":
        return line
    try:
        text = json.loads(line)[field]
    except (ValueError, KeyError, TypeError, IndexError):
        text = None
    if not isinstance(text, str) or not text:
        raise SpeculativeError(f"{path}:{number}: expected an object with a text in the field {field!r}")
    return text
