"""Checks that the data of a test environment exist, have a format that Ianvs reads, and are not empty."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ianvs_collab import compat
from ianvs_collab.configuration.problems import Place
from ianvs_collab.testenv.schema import DatasetSpec

FORMATS = ("csv", "txt", "json", "jsonl")
METADATA = "metadata.json"
KINDS = ("index", "data", "data_info")


@dataclass(frozen=True)
class Use:
    """What the algorithms of a job do with the data.

    Attributes:
        train: Whether any of them reads the training data.
        question_keys: Whether lines of JSONL need the keys `question` and `answer`; federated fine-tuning takes any.
    """

    train: bool
    question_keys: bool = True


def check_dataset(dataset: DatasetSpec, use: Use, place: Place) -> None:
    """Notes what is wrong with the data that a testenv file names.

    Args:
        dataset: The section `dataset` of the file.
        use: What the algorithms read.
        place: Where the section stands.
    """
    given: dict[str, str] = {key: value for key, value in dataset if value and key != "label"}
    usable = {
        key for key, path in given.items() if _check_path(path, key.startswith("test") or use.train, place.at(key))
    }
    for part in ("train", "test"):
        key = next((f"{part}_{kind}" for kind in KINDS if f"{part}_{kind}" in given), "")
        if not key:
            place.error(_missing(part, place.document.value["testenv"]["dataset"]))
        elif key.endswith("info") and Path(given[key]).name != METADATA:
            place.at(key).error(f"must name a file called exactly {METADATA}, not {given[key]!r}")
        elif (part == "test" or use.train) and key in usable:
            wrong = _wrong_format(key, given[key])
            if wrong and part == "train":
                place.at(key).warn(f"{wrong}; the algorithm is given None to train on")
            elif problem := wrong or _unreadable(given[key], use):
                place.at(key).error(problem)


def _missing(part: str, section: Mapping[str, object]) -> str:
    old = f"{part}_url" in section
    advice = f"`{part}_url` is not read, rename it to" if old else "add"
    return f"names no {part} data; {advice} `{part}_data: <file>.jsonl` (or `{part}_index: <file>.txt`)"


def _check_path(path: str, needed: bool, place: Place) -> bool:
    """Returns whether there is a file of a known format, and notes it where there is none."""
    if not Path(path).is_file():
        where = "" if os.path.isabs(path) else f" in the working directory {os.getcwd()}"
        # Ianvs looks for relative paths only; an absolute one that nobody reads is worth a warning.
        report = place.error if needed or not os.path.isabs(path) else place.warn
        report(f"there is no file {path!r}{where}{place.where_else(path) or '; correct the path'}")
        return False
    if Path(path).name != METADATA and Path(path).suffix[1:] not in FORMATS:
        known = ", ".join(f".{name}" for name in FORMATS)
        place.error(f"{path!r} has no known format; use {known} or {METADATA}")
        return False
    return True


def _wrong_format(key: str, path: str) -> str:
    """Returns why a file of a known format cannot be read under this key, or an empty text."""
    form = Path(path).suffix[1:]
    if key.endswith("index") and form != "txt":
        return f"{path!r} cannot be read as an index, which is a .txt file; JSONL belongs under `{key[:-5]}data`"
    if key.endswith("data") and form != "jsonl":
        return f"{path!r} cannot be read as data, which is a .jsonl file; an index belongs under `{key[:-4]}index`"
    return ""


def _unreadable(path: str, use: Use) -> str:
    """Returns what the data's own parser has against the file, or an empty text."""
    try:
        count = _count(path, use)
    except Exception as error:
        return f"{path!r} cannot be read: {type(error).__name__}: {error}"
    return "" if count else f"{path!r} is empty; there must be at least one item"


def _count(path: str, use: Use) -> int:
    sources = compat.datasources()
    if Path(path).name == METADATA:
        source = sources.JSONMetaDataParse(data_type="test")
    elif path.endswith(".jsonl") and use.question_keys:
        source = sources.JsonlDataParse(data_type="test")
    else:
        return sum(1 for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip())
    source.parse(path)
    return len(source.x)
