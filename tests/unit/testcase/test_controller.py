from __future__ import annotations

import os
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from ianvs_collab.records import RecordError
from ianvs_collab.testcase import controller
from ianvs_collab.testcase.controller import TestCaseController
from ianvs_collab.testcase.spec import AlgorithmSpec, RunOptions

MODELS = """
@ClassFactory.register(ClassType.GENERAL, alias="Edge")
class Edge:
    def __init__(self, fail=None, **kwargs):
        trace("init", os.getpid(), os.environ.get("LEAK"))
        os.environ["BACKEND_TYPE"] = "OTHER"
        os.environ["model_path"] = "some/model"
        os.environ["LEAK"] = "yes"
        self.fail = fail
    def predict(self, data):
        if self.fail == "raise":
            raise ValueError("this one fails")
        if self.fail == "die" and data == "q1":
            os._exit(9)
        return {"completion": f"edge {data} {self.fail}"}
"""


def make_cases(bench, *fails):
    base = bench.case(MODELS)
    edge, *others = base.algorithm.modules
    cases = []
    for fail in fails:
        modules = (replace(edge, hyperparameters={"fail": fail}), *others)
        algorithm = AlgorithmSpec("algorithm", "jointinference", modules)
        cases.append(replace(base, id=str(uuid.uuid1()), algorithm=algorithm))
    return cases


def run(cases, **options):
    results = []
    here = os.getpid()

    def on_result(result):
        assert os.getpid() == here
        results.append(result)

    failures = TestCaseController("job", "workspace/job", cases, RunOptions(quiet=True, **options), on_result).run()
    return results, failures


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_that_fails_costs_no_other(bench, jobs, capsys):
    cases = make_cases(bench, None, "raise", "never", "raise")
    results, failures = run(cases, jobs=jobs)
    assert {result.spec.id for result in results} == {cases[0].id, cases[2].id}
    assert [failure.spec.id for failure in failures] == [cases[1].id, cases[3].id]
    assert "this one fails" in failures[0].message
    assert 'raise ValueError("this one fails")' in failures[0].traceback
    assert cases[1].id in capsys.readouterr().err


def test_results_come_in_order_and_each_at_once(bench):
    cases = make_cases(bench, "a", "b", "c")
    seen = []

    def on_result(result):
        seen.append((result.spec.id, len([call for call in bench.trace() if call[0] == "init"])))

    TestCaseController("", "workspace", cases, RunOptions(quiet=True), on_result).run()
    assert seen == [(case.id, number) for number, case in enumerate(cases, 1)]


def test_two_jobs_equal_one(bench):
    cases = make_cases(bench, *"abcd")
    one, _ = run(cases)
    copies = [replace(case, workspace="workspace/parallel") for case in cases]
    two, _ = run(copies, jobs=2)
    assert sorted((result.spec.id, result.metrics, result.outcomes) for result in two) == sorted(
        (result.spec.id, result.metrics, result.outcomes) for result in one
    )
    pids = {call[1] for call in bench.trace()}
    assert pids > {os.getpid()}  # and the workers'; how many of them depends on which starts first
    assert all(Path(case.output_dir, "records.jsonl").stat().st_size for case in copies)


def test_workers_follow_the_working_directory_and_environment(bench, tmp_path, monkeypatch):
    run(make_cases(bench, "a", "b"), jobs=2)  # workers of joblib stay, with what they were started with
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    monkeypatch.setenv("LEAK", "from the parent")
    bench.trace_file.unlink()
    _, failures = run(make_cases(bench, "a", "b"), jobs=2)
    assert failures == []
    assert (other / "workspace" / "job" / "algorithm").is_dir()
    assert [call[2] for call in bench.trace()] == ["from the parent"] * 2


def test_environment_does_not_leak_into_the_next_test_case(bench):
    run(make_cases(bench, "a", "b"))
    assert [call[2] for call in bench.trace()] == [None, None]
    assert "LEAK" not in os.environ


def test_a_worker_that_dies_costs_its_own_test_case_only(bench):
    cases = make_cases(bench, "a", "die", "b", "c")
    results, failures = run(cases, jobs=2)
    assert {result.spec.id for result in results} == {cases[0].id, cases[2].id, cases[3].id}
    (failure,) = failures
    assert failure.spec.id == cases[1].id
    assert len(bench.records(cases[1])) == 1


def test_resumed_results_are_handed_over_without_running(bench):
    cases = make_cases(bench, "a", "b")
    first, _ = run(cases)
    bench.trace_file.unlink()
    again, failures = run(cases, resume=True)
    assert again == first
    assert failures == []
    assert bench.trace() == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_concerns_all_test_cases_ends_the_run(bench, jobs):
    cases = make_cases(bench, "a", "b")
    for case in cases:
        Path(case.output_dir).mkdir(parents=True)
        Path(case.output_dir, "records.jsonl").mkdir()  # nothing can be written there
    with pytest.raises(RecordError, match="cannot be opened for writing"):
        run(cases, jobs=jobs)


def test_an_error_of_the_listener_is_not_swallowed(bench):
    def on_result(result):
        raise OSError("leaderboard")

    with pytest.raises(OSError, match="leaderboard"):
        TestCaseController("job", "w", make_cases(bench, "a"), RunOptions(quiet=True), on_result).run()


@pytest.mark.parametrize(("options", "level"), [({"quiet": True}, 30), ({"verbose": True}, 10), ({}, 20)])
def test_workers_log_as_the_command_line_says(bench, monkeypatch, options, level):
    previous = controller.LOGGER.level
    here = controller._Process(os.getcwd(), dict(os.environ), tuple(sys.path))
    (case,) = make_cases(bench, "a")
    try:
        outcome = controller._in_worker(case, RunOptions(**options), here)
        assert controller.LOGGER.level == level
        assert outcome.failures == ()
    finally:
        controller.LOGGER.setLevel(previous)


def test_failures_say_at_least_their_kind(bench):
    case = make_cases(bench, "a")[0]
    source = MODELS.replace('return {"completion"', 'raise AssertionError\n        return {"completion"')
    modules = bench.case(source).algorithm.modules
    case = replace(case, algorithm=AlgorithmSpec("algorithm", "jointinference", modules))
    _, (failure,) = run([case])
    assert failure.message.endswith("pipeline runs failed, error: AssertionError")
