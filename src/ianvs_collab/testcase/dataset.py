"""Loads the data of a test environment the way Ianvs does, limited to the first items where the user asks for that."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ianvs_collab import compat
from ianvs_collab.testenv.schema import DatasetSpec

METADATA = "metadata.json"


class Dataset:
    """Train and test data of a test case.

    Attributes:
        train_file: The training file in effect.
        test_file: The test file in effect. Federated fine-tuning puts a copy with renamed keys in its place.
    """

    def __init__(self, spec: DatasetSpec, scratch: Path, limit: int | None = None) -> None:
        """Finds the files in effect and makes the paths in relative indices absolute.

        Args:
            spec: Where the data are.
            scratch: Folder for rewritten indices.
            limit: Load this many test items at most; None for all.
        """
        self._label = spec.label or None
        self._limit = limit
        self._labels: tuple[str, Any] | None = None
        self.train_file = _prepare(spec.train, "train", scratch)
        self.test_file = _prepare(spec.test, "test", scratch)

    def load(self, file: str, data_type: str) -> Any:
        """Parses a file into a data source.

        Args:
            file: Its path; the ending decides on the parser.
            data_type: `train`, `inference`, `eval` or `eval overall`.

        Raises:
            ValueError: If no parser takes files of this format.
        """
        sources = compat.datasources()
        match file_format(file):
            case "csv":
                source = sources.CSVDataParse(data_type=data_type)
                source.parse(file, label=self._label)
            case "txt":
                source = sources.TxtDataParse(data_type=data_type)
                source.parse(file)
            case "json":
                source = sources.JSONDataParse(data_type=data_type)
                source.parse(file)
            case "jsonl":
                source = sources.JsonlDataParse(data_type=data_type)
                source.parse(file)
            case "metadata.json":
                source = sources.JSONMetaDataParse(data_type=data_type)
                source.parse(file)
            case other:
                raise ValueError(f"dataset file({file})'s format({other}) is not supported.")
        return source

    def load_test(self, data_type: str) -> Any:
        """Parses the test file and keeps its first `limit` items.

        Args:
            data_type: As for `load`.
        """
        source = self.load(self.test_file, data_type)
        if self._limit is not None:
            _truncate(source, self._limit)
        return source

    def y_true(self) -> Any:
        """Returns the labels of the test data, parsed for this purpose: no processor and no algorithm touches them."""
        if self._labels is None or self._labels[0] != self.test_file:
            self._labels = self.test_file, self.load_test("eval overall").y
        return self._labels[1]


def file_format(file: str) -> str:
    """Returns Ianvs's word for the format of a data file: its ending, or `metadata.json` for a file of that name.

    Args:
        file: Its path.
    """
    path = Path(file)
    return METADATA if path.name == METADATA else path.suffix.removeprefix(".")


def _truncate(source: Any, limit: int) -> None:
    """Shortens every parallel array of a data source."""
    length = len(source.x)
    for name, value in vars(source).items():
        if _is_column(value) and len(value) == length:
            setattr(source, name, value[:limit])


def _is_column(value: Any) -> bool:
    sized = isinstance(value, Sequence) or hasattr(value, "__array__")
    return sized and not isinstance(value, str | bytes) and getattr(value, "shape", True) != ()


def _prepare(file: str | None, part: str, scratch: Path) -> str:
    if not file:
        raise ValueError(f"not one of {part}_index/{part}_data/{part}_data_info: the testenv file names no {part} data")
    is_index = file_format(file) == "txt" and os.path.isfile(file)
    return _absolute_index(Path(file), scratch / part) if is_index else file


def _absolute_index(index: Path, scratch: Path) -> str:
    """Rewrites an index with relative paths into a scratch file; returns the file to read.

    As in Ianvs, every word becomes absolute, relative to the index's folder, labels included: a label `0` becomes
    `/folder/0`. An index whose paths are absolute is read as it is, which is the way to keep its labels.
    """
    with index.open(encoding="utf-8") as lines:
        rows = [row for row in map(str.split, lines) if row]
    if all(os.path.isabs(row[0]) for row in rows):
        return str(index)
    folder = os.path.abspath(index.parent)
    scratch.mkdir(parents=True, exist_ok=True)
    rewritten = scratch / "index.txt"
    with rewritten.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(" ".join(os.path.normpath(os.path.join(folder, word)) for word in row) + "\n")
    return str(rewritten)
