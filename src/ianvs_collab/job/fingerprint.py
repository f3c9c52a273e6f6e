"""Digests of everything that decides a run's results, so that a run is only resumed with what it was begun with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import ianvs_collab
from ianvs_collab.testcase.spec import AlgorithmSpec, RunOptions, TestEnvSpec
from ianvs_collab.testenv.schema import DatasetSpec


def file_digest(path: str | Path) -> str:
    """Returns the SHA-256 of a file's content as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_digests(dataset: DatasetSpec) -> dict[str, str]:
    """Returns the digests of the data files, and of the files that an index or a metadata.json leads to.

    Args:
        dataset: Where the data are; files that do not exist are left out.
    """
    named = [path for path in (dataset.train, dataset.test) if path and Path(path).is_file()]
    return {path: file_digest(path) for path in dict.fromkeys([*named, *_behind(named)])}


def fingerprint(
    algorithms: Iterable[AlgorithmSpec], testenv: TestEnvSpec, files: Mapping[str, str], options: RunOptions
) -> dict[str, str]:
    """Returns what decides the results of a run, part by part, so that a difference can be named.

    How many test cases run side by side, how many errors they survive and how the leaderboard is sorted decide nothing
    about an answer, so a run can be resumed with other values of these.

    Args:
        algorithms: All test cases' algorithms in order.
        testenv: The test environment.
        files: Digests of data and plug-in files by path.
        options: Options of the command line.
    """
    parts: dict[str, str] = {"test environment": _digest(asdict(testenv))}
    for algorithm in algorithms:
        key = f"algorithm {algorithm.name!r}"
        parts[key] = _digest([parts.get(key), asdict(algorithm)])
    parts |= {f"file {path}": digest for path, digest in files.items()}
    return {
        **parts,
        "--limit": str(options.limit),
        "--seed": str(options.seed),
        "ianvs-collab": ianvs_collab.__version__,
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns what differs between two fingerprints, in words; an empty list if nothing does."""
    found = []
    for part in dict.fromkeys([*before, *now]):
        old, new = before.get(part), now.get(part)
        if old is None or new is None:
            found.append(f"{part} ({'added' if old is None else 'removed'})")
        elif old != new:
            found.append(f"{part} (was {old}, is {new})" if _short(part) else f"{part} (changed)")
    return found


def _short(part: str) -> bool:
    return part.startswith("--") or part == "ianvs-collab"


def _behind(named: Iterable[str]) -> list[str]:
    """Returns the data files that other files name: `data.jsonl` beside a metadata.json, first words of an index."""
    found: list[Path] = []
    for path in map(Path, named):
        if path.name == "metadata.json":
            found.append(path.with_name("data.jsonl"))
        elif path.suffix == ".txt":
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [path.parent / line.split()[0] for line in lines if line.strip()]
    return [str(path) for path in found if path.is_file()]


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=False, default=repr, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
