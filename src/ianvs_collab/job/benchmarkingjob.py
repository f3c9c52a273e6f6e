"""Runs a job that has been read: test cases, leaderboard after each of them, report at the end."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ianvs_collab import compat
from ianvs_collab.compat.logs import make_logger
from ianvs_collab.job.fingerprint import data_digests, file_digest, fingerprint
from ianvs_collab.job.jobfile import JobFile
from ianvs_collab.job.leaderboard import hyperparameters, rank_row, summaries
from ianvs_collab.job.lock import locked
from ianvs_collab.job.provenance import command_line, git_revision
from ianvs_collab.job.runfile import ResumeError, Run, run_to_resume
from ianvs_collab.job.sharedanswers import answers_shared, cache_folder, remove_answers
from ianvs_collab.machine import machine, versions
from ianvs_collab.story import RankConfig, StoryManager
from ianvs_collab.story.report import write_report
from ianvs_collab.testcase.controller import CaseFailure, TestCaseController
from ianvs_collab.testcase.plugins import plugin_files
from ianvs_collab.testcase.spec import RunOptions, TestCaseResult, TestCaseSpec

LOGGER = make_logger("ianvs")
TRUST = "IANVS_COLLAB_TRUST_REMOTE_CODE"  # set by the command line for this process and its children


class JobFailedError(RuntimeError):
    """Some test cases failed; everything else has been saved.

    Attributes:
        failures: What failed, in the order of the test cases.
        summary: How many of how many failed, as a sentence.
    """

    def __init__(self, failures: Sequence[CaseFailure], total: int) -> None:
        self.failures = list(failures)
        self.summary = f"{len({failure.spec.id for failure in failures})} of {total} test cases failed."
        super().__init__(self.failures[0].message)


class BenchmarkingJob:
    """A job, ready to run."""

    def __init__(self, file: JobFile, options: RunOptions, workspace: str | None = None) -> None:
        """Makes the test cases.

        Args:
            file: The job.
            options: How to run it.
            workspace: Folder for results in place of the job's own `workspace`.
        """
        self.file = file
        self.options = options
        self.workspace = file.workspace(workspace)
        testenv = file.testenv_spec()
        self.cases = [
            TestCaseSpec(str(uuid.uuid1()), algorithm, testenv, self.workspace) for algorithm in file.algorithm_specs()
        ]
        self._results: dict[str, TestCaseResult] = {}

    @property
    def report(self) -> str:
        """Path of the report."""
        return os.path.join(self.workspace, "report.md")

    def run(self) -> None:
        """Runs all test cases, saving the leaderboard after each of them; then shows it and writes the report.

        Raises:
            WorkspaceError: If another run is going on in the workspace, or it cannot be written.
            ResumeError: If a run is to be resumed that does not exist or was begun with other things.
            JobFailedError: If test cases failed.
            StoryError: If leaderboard or report cannot be made.
            RecordError: If results cannot be written.
            RunFileError: If run.json cannot be written.
        """
        compat.install()
        with locked(self.workspace):
            self._run()

    def _run(self) -> None:
        # an old leaderboard that cannot be read comes to light here, not after hours of work
        story = StoryManager(RankConfig.from_mapping(self.file.rank), os.path.join(self.workspace, "rank"))
        run = self._begin(story.earlier_columns)
        story.earlier_columns = run.earlier_columns
        urls = [case.output_dir for case in self.cases]

        def save(result: TestCaseResult) -> None:
            self._results[result.spec.id] = result
            story.save([rank_row(result) for result in self._finished()], urls)

        with answers_shared(self.workspace, run.id) as cache:
            failures = TestCaseController(self.file.job.name, self.workspace, self.cases, self.options, save).run()
            run.failed = list(dict.fromkeys(failure.spec.id for failure in failures))
            run.ended = _now()
            run.save(self.workspace)
            self._tell(story, run)
            if failures:
                raise JobFailedError(failures, len(self.cases))
        remove_answers(cache)

    def _begin(self, columns: list[str]) -> Run:
        """Returns the run that starts here, or the one that is resumed, and keeps it in the workspace."""
        files = self._files()
        digest = fingerprint((case.algorithm for case in self.cases), self.cases[0].testenv, files, self.options)
        if self.options.resume:
            run = run_to_resume(self.workspace, digest, self.cases)
            pairs = zip(self.cases, run.case_ids, strict=True)
            self.cases = [replace(case, id=known) for case, known in pairs]
            run.resumed.append(_now())
            run.ended = ""
        else:
            _give_up_earlier(self.workspace)
            cases = [_case_entry(case) for case in self.cases]
            provenance = self._provenance(files)
            run = Run(str(uuid.uuid1()), self.file.job.name, _now(), digest, cases, provenance, columns)
        run.save(self.workspace)
        return run

    def _files(self) -> dict[str, str]:
        """Returns the digests of data and plug-in files, helpers beside the plug-ins included, by path."""
        modules = [module for case in self.cases for module in case.algorithm.modules]
        packages = [p["url"] for case in self.cases for p in case.algorithm.settings["third_party_packages"]]
        urls = [*(m.url for m in modules), *(m.url for m in self.cases[0].testenv.metrics), *packages]
        folders = {os.path.dirname(os.path.abspath(url)) for url in urls if url}
        plugins = [file for file in plugin_files() if any(file.is_relative_to(folder) for folder in folders)]
        digests = {os.path.relpath(file): file_digest(file) for file in plugins}
        return {**data_digests(self.cases[0].testenv.dataset), **digests}

    def _provenance(self, files: Mapping[str, str]) -> dict[str, Any]:
        return {
            "command": command_line(),
            "working_directory": os.getcwd(),
            "options": asdict(self.options),
            "seed": self.options.seed,
            "trust_remote_code": os.environ.get(TRUST) == "1",
            "configuration": {document.path: document.text for document in self.file.documents()},
            "files_sha256": dict(files),
            "versions": versions(),
            "machine": machine(),
            "git": git_revision(),
        }

    def _finished(self) -> list[TestCaseResult]:
        return [self._results[case.id] for case in self.cases if case.id in self._results]

    def _tell(self, story: StoryManager, run: Run) -> None:
        """Shows the leaderboard of the test cases that finished and writes the report on them."""
        finished = self._finished()
        if not finished:
            return
        try:
            story.show()
        finally:  # a picture that cannot be drawn takes no report away
            write_report(self.report, summaries(finished), run.summary(), story.config.sort_by)


def _case_entry(case: TestCaseSpec) -> dict[str, Any]:
    return {"id": case.id, "algorithm": case.algorithm.name, "hyperparameters": hyperparameters(case)}


def _give_up_earlier(workspace: str) -> None:
    """Makes room for a new run: what the earlier one would have been resumed with goes."""
    try:
        earlier = Run.load(workspace)
    except ResumeError:
        return
    if earlier is not None:
        remove_answers(cache_folder(workspace, earlier.id))
        if not earlier.ended:
            text = "the run of %s in %s did not end; it can no longer be resumed, its records stay"
            LOGGER.warning(text, earlier.started, workspace)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
