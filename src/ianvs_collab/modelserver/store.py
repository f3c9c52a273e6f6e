"""The store behind shared answers: a dictionary, and beside it an append-only file that several processes may write.

Each line of the file is one request with its answers. A line is written by one call under a lock, and a line that a
killed process left unfinished is closed off and skipped. When two processes answer the same request at once, the
first line counts.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ianvs_collab.modelserver.types import Generation, ModelServerError

_TUPLES = ("token_times", "logprobs", "token_ids", "link_bytes")


class AnswerStore:
    """Answers of one model in one run.

    Args:
        folder: Where the run keeps its answers; None for this process's memory only.
        identity: Fingerprint of the model, hexadecimal.

    Raises:
        ModelServerError: If the folder cannot be made.
    """

    def __init__(self, folder: str | None, identity: str) -> None:
        self._answers: dict[str, list[Generation]] = {}
        self._read = 0
        self._lock = threading.Lock()
        self._path: Path | None = None
        if folder is not None:
            host = re.sub(r"[^\w.-]", "_", socket.gethostname())
            self._path = Path(folder) / f"{host}-{identity[:16]}.jsonl"
            with _explained(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> list[Generation] | None:
        """The answers to a request, or None if it has not been answered in this run."""
        with self._lock:
            if key not in self._answers and self._path is not None and self._path.exists():
                with _explained(self._path), self._path.open("rb") as stream:
                    self._catch_up(stream)
            return self._answers.get(key)

    def put(self, key: str, answers: Sequence[Generation]) -> None:
        """Remember the answers to a request, unless somebody answered it first.

        Raises:
            ModelServerError: If the file cannot be written, e.g. because the disk is full.
        """
        with self._lock:
            if self._path is None:
                self._answers.setdefault(key, list(answers))
                return
            with _explained(self._path), self._path.open("a+b", buffering=0) as stream, _locked(stream):
                whole = self._catch_up(stream)
                if key not in self._answers:
                    line = _encode(key, answers)
                    _write(stream, line if whole else b"\n" + line)
                    self._answers[key] = list(answers)

    def _catch_up(self, stream: BinaryIO) -> bool:
        """Read the lines added since the last time; False if the file ends in an unfinished one."""
        stream.seek(self._read)
        new = stream.read()
        end = new.rfind(b"\n") + 1
        for line in new[:end].splitlines():
            for key, answers in _decode(line):
                self._answers.setdefault(key, answers)
        self._read += end
        return end == len(new)


def _encode(key: str, answers: Sequence[Generation]) -> bytes:
    content = {"key": key, "answers": [dataclasses.asdict(answer) for answer in answers]}
    return json.dumps(content, separators=(",", ":")).encode("ascii") + b"\n"


def _decode(line: bytes) -> Iterator[tuple[str, list[Generation]]]:
    """The request and answers of a line; nothing for a line that a killed process left unfinished."""
    try:
        content = json.loads(line)
        yield content["key"], [_generation(fields) for fields in content["answers"]]
    except (ValueError, KeyError, TypeError):
        return


def _generation(fields: dict[str, Any]) -> Generation:
    for name in _TUPLES:
        if fields[name] is not None:
            fields[name] = tuple(fields[name])
    return Generation(**fields)


def _write(stream: BinaryIO, line: bytes) -> None:
    written = os.write(stream.fileno(), line)
    if written != len(line):
        raise OSError(f"wrote {written} of {len(line)} bytes")


@contextmanager
def _locked(stream: BinaryIO) -> Iterator[None]:
    fcntl.flock(stream, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(stream, fcntl.LOCK_UN)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelServerError(
            f"the run's answers cannot be kept in {path}: {error}; free some space or make the folder writable, "
            "then go on with `--resume`"
        ) from error
