"""`run.json`: what a run is made of, and what is needed to resume it.

It stands in `<workspace>/<job name>/` and is written before the first test case starts, so that even a run that is
killed at once can be resumed: the test cases keep their ids, and with them their folders and records.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ianvs_collab.job.fingerprint import differences

FILE = "run.json"


class RunFileError(RuntimeError):
    """The file of a run cannot be written; the message says why and what to do."""


class ResumeError(RuntimeError):
    """There is no run that could be resumed, or it was another one."""


@dataclass
class Run:
    """A run of a job.

    Attributes:
        id: UUID (version 1) of the run.
        name: Name of the job.
        started: Local time of the start, `YYYY-mm-dd HH:MM:SS`.
        fingerprint: What decides the results, part by part.
        cases: Ids of the test cases in order, with algorithm and hyperparameters for people to read.
        provenance: Configuration files verbatim, digests, versions, machine, command line, options.
        earlier_columns: Columns of the leaderboard before the run.
        resumed: Local times at which the run was resumed.
        ended: Local time of the end; empty while it runs, or if it was killed.
        failed: Ids of the test cases that failed.
    """

    id: str
    name: str
    started: str
    fingerprint: dict[str, str]
    cases: list[dict[str, Any]]
    provenance: dict[str, Any]
    earlier_columns: list[str]
    resumed: list[str] = field(default_factory=list)
    ended: str = ""
    failed: list[str] = field(default_factory=list)

    @property
    def case_ids(self) -> list[str]:
        """Ids of the test cases in order."""
        return [str(case["id"]) for case in self.cases]

    def summary(self) -> dict[str, Any]:
        """Returns what a report tells of the run: everything but the long texts."""
        told = {key: value for key, value in self.provenance.items() if key != "configuration"}
        return {"run": self.id, "started": self.started, "resumed": self.resumed, "ended": self.ended, **told}

    def save(self, folder: str) -> None:
        """Writes the run into a folder, which is made; another run's file there is replaced in one step.

        Raises:
            RunFileError: If that cannot be done, e.g. because the disk is full.
        """
        path = Path(folder) / FILE
        draft = path.with_name(f".{FILE}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(asdict(self), indent=2, ensure_ascii=False, default=repr)
            draft.write_text(f"{text}\n", encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise RunFileError(
                f"{path}: cannot be written ({error.strerror}); make room, or choose another folder with --workspace"
            ) from error

    @classmethod
    def load(cls, folder: str) -> Run | None:
        """Reads the run of a folder; None if there is none.

        Raises:
            ResumeError: If the file is not a run's.
        """
        path = Path(folder) / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            uuid.UUID(content["id"])  # it names folders
            return cls(**{key.name: content[key.name] for key in fields(cls)})
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResumeError(f"{path} is damaged ({error}), so its run cannot be resumed; {_AFRESH}") from error


_AFRESH = "run without --resume to start afresh"


def run_to_resume(folder: str, fingerprint: Mapping[str, str], cases: Sequence[object]) -> Run:
    """Returns the run of a folder if it was begun with the same things.

    Args:
        folder: `<workspace>/<job name>`.
        fingerprint: What decides the results now.
        cases: The test cases there would be now.

    Raises:
        ResumeError: If there is no run, or it differs; the message says in what.
    """
    run = Run.load(folder)
    if run is None:
        raise ResumeError(f"there is no run to resume in {folder} (no {FILE}); {_AFRESH}")
    changed = differences(run.fingerprint, fingerprint)
    if changed or len(run.cases) != len(cases):
        what = ", ".join(changed) or "the number of test cases"
        raise ResumeError(
            f"the run of {run.started} in {folder} cannot be resumed, for since then there changed: {what}; "
            f"undo the change, or {_AFRESH}"
        )
    return run
