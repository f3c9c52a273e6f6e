"""Writes a trace row by row, so that a recording that is killed loses at most the query it was at."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.file import ABOUT, ROWS, check_rows, read_about, read_rows, write_about
from ianvs_collab.routing.traces.rows import encode_row
from ianvs_collab.routing.traces.trace import TraceRow


class TraceWriter:
    """Appends rows to a trace; each is on its way to the disk when `append` returns. Make one with `new` or `resume`.

    While it is open no other recording can write to the folder.

    Attributes:
        about: What `trace.json` says.
        rows: Rows of the recording that is resumed.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], flags: int) -> None:
        self.about = dict(about)
        self.rows: list[TraceRow] = []
        self._folder = folder
        self._path = folder / ROWS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | flags, 0o644)
        except OSError as error:
            raise RouterError(f"{self._path}: {error.strerror}; choose another folder with --to") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise RouterError(f"{self._path}: another recording is writing to it; wait, or choose another --to") from (
                error
            )

    @classmethod
    def new(cls, folder: Path, about: Mapping[str, Any]) -> Self:
        """Begin a trace.

        Raises:
            RouterError: If the folder holds one already or cannot be written.
        """
        if any((folder / name).exists() for name in (ROWS, ABOUT)):
            raise RouterError(f"{folder} holds a trace already; go on with it by --resume, or choose another --to")
        writer = cls(folder, about, os.O_CREAT)
        write_about(folder, about)
        return writer

    @classmethod
    def resume(cls, folder: Path) -> Self:
        """Go on with a trace; a last line that is not complete is cut off.

        Raises:
            RouterError: If there is none, it is damaged elsewhere than at its end, or another recording is at it.
        """
        writer = cls(folder, read_about(folder), os.O_CREAT)
        try:
            writer._take_over()
        except RouterError:
            writer.close()
            raise
        return writer

    def append(self, row: TraceRow) -> None:
        """Write one row.

        Raises:
            RouterError: If it cannot be stored or the disk is full; the rows before it stay, and no part of this one.
        """
        line = encode_row(row)
        size = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):  # a disk that is about to be full takes a part; the rest says why
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            os.ftruncate(self._descriptor, size)
            raise RouterError(
                f"{self._path}: a row cannot be written ({error.strerror}); the rows before it are kept. Make room on "
                "the disk, then go on with --resume"
            ) from error

    def finish(self, **about: Any) -> None:
        """Add to what `trace.json` says.

        Raises:
            RouterError: If it cannot be written.
        """
        self.about |= about
        write_about(self._folder, self.about)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self.close()

    def _take_over(self) -> None:
        self.rows, torn = read_rows(self._folder)
        if self.rows:
            check_rows(self.rows, self._path)
        os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - torn)
