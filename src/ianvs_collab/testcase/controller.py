"""Runs the test cases of a job, one after the other or side by side; one that fails costs no other."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ianvs_collab.compat.logs import make_logger
from ianvs_collab.testcase.environment import restore_environment
from ianvs_collab.testcase.spec import RunOptions, TestCaseResult, TestCaseSpec
from ianvs_collab.testcase.testcase import CaseFailure, CaseOutcome, run_case

__all__ = ["CaseFailure", "TestCaseController"]

LOGGER = make_logger("ianvs")
PARENT_CHECK_SECONDS = 0.5


class TestCaseController:
    """Runs test cases and hands over each result as soon as it is there."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(
        self,
        job_name: str,
        workspace: str,
        cases: Sequence[TestCaseSpec],
        options: RunOptions,
        on_result: Callable[[TestCaseResult], None],
    ) -> None:
        """Prepares a run.

        Args:
            job_name: Name of the job, for messages.
            workspace: Where results go, for messages.
            cases: The test cases, in the order in which they are to run.
            options: How to run them.
            on_result: Called in this process with each result: in the order of `cases`, or, with several jobs, in the
                order of finishing.
        """
        self._name = job_name or workspace
        self._cases = tuple(cases)
        self._options = options
        self._on_result = on_result

    def run(self) -> list[CaseFailure]:
        """Runs all test cases.

        Returns:
            The failures, in the order of the test cases; empty if all went well.

        Raises:
            RecordError: If results cannot be written, for instance because the disk is full.
        """
        LOGGER.info("job %s: %d test cases", self._name, len(self._cases))
        failures: list[CaseFailure] = []
        for outcome in self._outcomes():
            if outcome.result is not None:
                self._on_result(outcome.result)
            for failure in outcome.failures:
                LOGGER.error("%s", failure.message)
                failures.append(failure)
        order = {case.id: place for place, case in enumerate(self._cases)}
        return sorted(failures, key=lambda failure: order[failure.spec.id])

    def _outcomes(self) -> Iterable[CaseOutcome]:
        if self._options.jobs > 1 and len(self._cases) > 1:
            return _side_by_side(self._cases, self._options)
        return (run_case(case, self._options) for case in self._cases)


def _side_by_side(cases: Sequence[TestCaseSpec], options: RunOptions) -> Iterable[CaseOutcome]:
    """Runs test cases in worker processes.

    Should a worker die (a crash in native code, no memory left), joblib gives up all of them; those that had not
    finished are then run again one at a time, so that only the one at fault is lost.
    """
    from joblib.externals.loky.process_executor import TerminatedWorkerError  # noqa: PLC0415 - only for several jobs

    LOGGER.warning("test cases side by side slow one another down: use --jobs 1 for latencies that you want to report")
    unfinished = {case.id: case for case in cases}
    try:
        for outcome in _in_workers(cases, options):
            _forget(unfinished, outcome)
            yield outcome
    except TerminatedWorkerError:
        LOGGER.warning("a worker process died; the test cases not finished are run again one at a time")
        for case in list(unfinished.values()):
            yield _alone(case, options)


def _alone(case: TestCaseSpec, options: RunOptions) -> CaseOutcome:
    from joblib.externals.loky.process_executor import TerminatedWorkerError  # noqa: PLC0415 - as above

    try:
        (outcome,) = _in_workers([case], replace(options, resume=True))
    except TerminatedWorkerError as error:
        return CaseOutcome(None, (CaseFailure.of(case, error),))
    return outcome


def _in_workers(cases: Sequence[TestCaseSpec], options: RunOptions) -> Iterable[CaseOutcome]:
    from joblib import Parallel, delayed  # noqa: PLC0415 - takes a tenth of a second that one process at a time saves

    workers = max(2, min(options.jobs, len(cases)))  # joblib would run a single one in this process
    parallel = Parallel(
        n_jobs=workers,
        backend="loky",
        return_as="generator_unordered",
        batch_size=1,
        initializer=_end_with,
        initargs=(os.getpid(),),
    )
    here = _Process(os.getcwd(), dict(os.environ), tuple(sys.path))
    outcomes: Iterable[CaseOutcome] = parallel(delayed(_in_worker)(case, options, here) for case in cases)
    return outcomes


@dataclass(frozen=True)
class _Process:
    """What a worker takes over from the process that it works for."""

    folder: str
    environment: dict[str, str]
    search_path: tuple[str, ...]


def _in_worker(spec: TestCaseSpec, options: RunOptions, parent: _Process) -> CaseOutcome:
    """Runs a test case in a process that may have been started earlier, elsewhere, with another environment."""
    os.chdir(parent.folder)
    threads = {name: value for name, value in os.environ.items() if name.endswith("_THREADS")}
    restore_environment(parent.environment | threads)  # joblib shares the cores out among workers by these
    sys.path[:] = parent.search_path
    LOGGER.setLevel("WARNING" if options.quiet else "DEBUG" if options.verbose else "INFO")
    return run_case(spec, replace(options, quiet=True))  # bars of several processes would overwrite one another


def _end_with(parent: int) -> None:
    """Ends this worker soon after its parent was killed: it would go on writing what a resumed run writes as well.

    It is called as the worker starts, before any test case comes: the parent may be gone by then already.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _forget(unfinished: dict[str, TestCaseSpec], outcome: CaseOutcome) -> None:
    spec = outcome.result.spec if outcome.result is not None else outcome.failures[0].spec
    del unfinished[spec.id]
