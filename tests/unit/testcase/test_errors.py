"""Queries that fail: how they are counted, what metrics see of them, and when a test case gives up."""

from __future__ import annotations

import pytest

from ianvs_collab.testcase.querylog import plain_list

MODELS = """
@ClassFactory.register(ClassType.GENERAL, alias="Edge")
class Edge:
    def __init__(self, **kwargs):
        os.environ["BACKEND_TYPE"] = "TORCH"
        os.environ["model_path"] = "some/model"
    def predict(self, data, **kwargs):
        trace("ask", data)
        {body}
        return {{"completion": data, "outcome": "unparsed" if data == "q0" else "ok"}}
"""
METRICS = """
@ClassFactory.register(ClassType.GENERAL, alias="Results")
def results(y_true, y_pred):
    return [[row[0], row[1].get("outcome"), row[1] == row[2], row[3]] for row in y_pred]
"""


def make_case(bench, body, **arguments):
    models = MODELS.format(body=body)
    return bench.case(models, metrics=METRICS, metric_names=("Results",), **arguments)


FAIL_ON_Q1 = 'if data == "q1": raise ValueError("model is gone")'
TIMEOUT_ON_Q1 = 'if data == "q1": raise TimeoutError("no answer in 3 s")'
SAYS_ERROR = 'if data == "q1": return {"completion": "", "outcome": "error", "error": "endpoint is down"}'
SAYS_ERROR_ONLY = 'if data == "q1": return {"completion": "", "outcome": "timeout"}'


@pytest.mark.parametrize(
    ("body", "message", "outcome", "recorded"),
    [
        (FAIL_ON_Q1, "model is gone", "error", "ValueError: model is gone"),
        (TIMEOUT_ON_Q1, "no answer in 3 s", "timeout", "TimeoutError: no answer in 3 s"),
        (SAYS_ERROR, "query 1: endpoint is down", "error", "endpoint is down"),
        (SAYS_ERROR_ONLY, "query 1: the answer says 'timeout' and not why", "timeout", "the answer says"),
    ],
)
def test_the_first_failure_ends_the_test_case(bench, body, message, outcome, recorded):
    case = make_case(bench, body)
    result = bench.run(case)
    assert result.result is None
    (failure,) = result.failures
    assert failure.message == (
        f"testcase(id={case.id}) runs failed, error: (paradigm=jointinference) pipeline runs failed, error: {message}"
    )
    assert bench.trace() == [["ask", "q0"], ["ask", "q1"]]
    assert ("while query 1 was answered" in failure.traceback) == ("raise" in body)
    records = bench.records(case)
    assert [record.outcome for record in records] == ["unparsed", outcome]
    assert records[1].error.startswith(recorded)
    assert records[1].gold == "a1"


@pytest.mark.parametrize("max_errors", [1, 5, 0.25, 0.9])
@pytest.mark.parametrize(
    ("body", "outcome"), [(FAIL_ON_Q1, "error"), (TIMEOUT_ON_Q1, "timeout"), (SAYS_ERROR, "error")]
)
def test_failures_that_are_allowed_stay_in_the_results(bench, capsys, max_errors, body, outcome):
    case = make_case(bench, body)
    result = bench.run(case, max_errors=max_errors)
    assert result.failures == ()
    rows = result.result.metrics["Results"]
    assert rows == [
        [False, "unparsed", True, None],
        [False, outcome, True, None],
        [False, "ok", True, None],
        [False, "ok", True, None],
    ]
    assert result.result.outcomes == {"unparsed": 1, outcome: 1, "ok": 2}
    assert "query 1 failed and is counted as wrong" in capsys.readouterr().err


def test_the_answer_of_a_failed_query_is_complete(bench):
    case = make_case(bench, FAIL_ON_Q1)
    bench.run(case, max_errors=1)
    record = bench.records(case)[1]
    answer = record.result[1]
    assert answer["usage"]["total_tokens"] == 0
    assert answer["perf"]["end_to_end_latency"] is None
    assert answer["error"] == "ValueError: model is gone"
    assert record.route is None
    assert record.result[2] == answer


@pytest.mark.parametrize(
    ("max_errors", "asked", "limit"),
    [(1, 2, "1"), (2, 3, "2"), (0.25, 2, "0.25 of 4"), (0.6, 3, "0.6 of 4"), (0.75, 4, "0.75 of 4")],
)
def test_one_failure_too_many(bench, max_errors, asked, limit):
    case = make_case(bench, 'raise ValueError("always")')
    (failure,) = bench.run(case, max_errors=max_errors).failures
    assert f"{asked} of 4 queries failed, more than --max-errors {limit} allows; the last: query" in failure.message
    assert "ValueError: always" in failure.message
    assert len(bench.records(case)) == asked


def test_names_of_failed_queries_come_from_the_data(bench):
    source = """
@ClassFactory.register(ClassType.GENERAL, alias="Processor")
class Processor:
    def __call__(self, dataset):
        dataset.x = [{"query_id": f"id{i}", "subject": "sums"} for i in range(len(dataset.x))]
        return dataset
"""
    from ianvs_collab.testcase.spec import ModuleSpec

    base = make_case(bench, "raise ValueError('always')")
    processor = ModuleSpec("dataset_processor", "Processor", bench.plugin("processor", source))
    case = make_case(bench, "", modules=(processor, *base.algorithm.modules))
    bench.run(case, max_errors=9)
    record = bench.records(case)[2]
    assert record.query_id == "id2"
    assert (record.result[1]["query_id"], record.result[1]["subject"]) == ("id2", "sums")


def test_a_plugin_that_exits_ends_its_test_case_only(bench):
    (failure,) = bench.run(make_case(bench, "raise SystemExit('enough')")).failures
    assert failure.message.endswith("error: enough")


def test_an_error_without_text(bench):
    case = make_case(bench, "raise ValueError")
    assert bench.run(case, max_errors=4).failures == ()
    assert {record.error for record in bench.records(case)} == {"ValueError"}


def test_an_interrupt_is_no_failed_query(bench):
    case = make_case(bench, 'if data == "q1": raise KeyboardInterrupt')
    with pytest.raises(KeyboardInterrupt):
        bench.run(case, max_errors=9)
    assert len(bench.records(case)) == 1


def test_golds_where_labels_are_fewer_or_more():
    import numpy as np
    import pandas as pd

    assert plain_list(np.array(["a", "b"]), 3) == ["a", "b", None]
    assert plain_list(pd.Series([1, 2, 3]), 2) == [1, 2]
    assert plain_list(None, 1) == [None]
    assert plain_list(["a"], 1) == ["a"]


def test_a_failing_metric_loses_no_record(bench):
    case = bench.case(metrics=METRICS.replace("return", "raise KeyError('x') #"), metric_names=("Results",))
    (failure,) = bench.run(case).failures
    assert "(paradigm=jointinference) pipeline runs failed, error: metric 'Results' failed: KeyError" in failure.message
    assert len(bench.records(case)) == 4


def test_shared_and_where_are_recorded(bench):
    body = 'return {"completion": data, "shared": data == "q1", "where": "cloud" if data == "q2" else "elsewhere"}'
    case = make_case(bench, body, count=3)
    assert bench.run(case).failures == ()
    assert [(record.shared, record.route) for record in bench.records(case)] == [
        (False, "edge"),
        (True, "edge"),
        (False, "cloud"),
    ]


def test_a_result_that_says_nothing_of_its_place(bench):
    case = make_case(bench, 'return (0, "text", None, None)', settings={"hard_example_mining_mode": "self-design"})
    case = bench.case(modules=case.algorithm.modules, metric_names=("Labels",), settings=case.algorithm.settings)
    assert bench.run(case).failures == ()
    assert {record.route for record in bench.records(case)} == {None}
    assert all(record.elapsed_s >= 0 for record in bench.records(case))
