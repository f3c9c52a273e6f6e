from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ianvs_collab.testcase.spec import ModuleSpec
from ianvs_collab.testenv.schema import DatasetSpec

SETTING = {
    "train_ratio": 1.0,
    "splitting_method": "default",
    "data_partition": "iid",
    "non_iid_ratio": 0.6,
    "label_data_ratio": 1.0,
}

FEDERATION = """
import threading

@ClassFactory.register(ClassType.GENERAL, alias="Client")
class Client:
    def __init__(self):
        os.environ["BACKEND_TYPE"] = "OTHER"
        trace("init")
    def train(self, *args, **kwargs):
        data = kwargs.get("train_data") or args[0]
        self.seen = [type(data).__name__, len(data[0]), sorted(set(map(str, data[1])))]
        trace("train", threading.current_thread() is threading.main_thread(), len(args), args[1:],
              {{k: v for k, v in kwargs.items() if k != "train_data"}}, self.seen)
        self.weights = [float(len(data[0]))]
        {body}
        self.info = {{"num_samples": len(data[0])}}
        return self.info
    def get_weights(self):
        return self.weights
    def set_weights(self, weights):
        trace("set_weights", weights)
        self.weights = weights
    def predict(self, *args, **kwargs):
        trace("predict", type(args[0]).__name__, list(map(str, args[0])), kwargs, self.weights, self.info)
        return [str(item) for item in args[0]]

@ClassFactory.register(ClassType.FL_AGG, alias="Mean")
class Mean:
    def aggregate(self, clients):
        trace("aggregate", [(c.num_samples, c.weights) for c in sorted(clients, key=lambda c: c.num_samples)],
              sorted({{type(c).__name__ for c in clients}}))
        return [sum(c.weights[0] for c in clients)]

@ClassFactory.register(ClassType.GENERAL, alias="Labels")
def labels(y_true, y_pred):
    return " ".join(map(str, y_true))
"""


def make_case(bench, dataset, body="pass", setting=SETTING, modules=None, **options):
    source = FEDERATION.format(body=body)
    url = bench.plugin("federation", source)
    modules = modules or (ModuleSpec("basemodel", "Client", url), ModuleSpec("aggregation", "Mean", url))
    return bench.case(
        modules=modules,
        paradigm="federatedlearning",
        metrics=source,
        metric_names=("Labels",),
        settings={"fl_data_setting": setting},
        options={"round": 2, "client_number": 2, **options},
        dataset=dataset,
    )


@pytest.fixture
def arrays(bench) -> DatasetSpec:
    """Three files of 4, 2 and 4 samples; the last one is of the class of the first."""
    lines = []
    for index, (label, count) in enumerate([(0, 4), (1, 2), (0, 4)]):
        np.save(bench.folder / f"{index}.npy", np.full((count, 3), index))
        lines.append(f"{bench.folder / f'{index}.npy'} {label}\n")
    (bench.folder / "index.txt").write_text("".join(lines))
    return DatasetSpec(train_index="index.txt", test_index="index.txt")


@pytest.fixture
def texts(bench) -> DatasetSpec:
    rows = [{"instruction": f"q{i}", "output": f"a{i}", "more": i} for i in range(5)]
    for name in ("train.jsonl", "test.jsonl"):
        (bench.folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DatasetSpec(train_data="train.jsonl", test_data="test.jsonl")


def test_rounds_with_arrays(bench, arrays):
    case = make_case(bench, arrays)
    outcome = bench.run(case, seed=1)
    assert outcome.failures == ()
    calls = bench.trace()
    assert calls[0] == ["init"]
    for number, start in enumerate((1, 6)):
        assert [call[:5] for call in calls[start : start + 2]] == [["train", False, 2, [None], {"round": number}]] * 2
        assert [call[5][:2] for call in calls[start : start + 2]] == [["list", 5]] * 2
        assert calls[start + 2] == ["aggregate", [[5, [5.0]], [5, [5.0]]], ["AggClient"]]
        assert calls[start + 3 : start + 5] == [["set_weights", [10.0]]] * 2
    files = [str(bench.folder / f"{i}.npy") for i in range(3)]
    assert calls[11] == ["predict", "ndarray", files, {"kwargs": {}}, [10.0], {"num_samples": 5, "client_id": 0}]
    assert len(calls) == 12
    assert outcome.result.metrics == {"Labels": "0 1 0"}
    assert [record.result for record in bench.records(case)] == files
    written = sorted(path.name for path in Path(case.output_dir, "dataset").iterdir())
    assert written == ["model_eval-1.txt", "model_train-1.txt"]


def test_rounds_with_texts(bench, texts):
    before = (bench.folder / "test.jsonl").read_bytes(), (bench.folder / "train.jsonl").read_bytes()
    case = make_case(bench, texts, if_mode_llm=True, gpu_num=1)
    outcome = bench.run(case, seed=1)
    assert outcome.failures == ()
    calls = bench.trace()
    for start in (1, 6):
        trained = calls[start : start + 2]
        assert [call[:4] for call in trained] == [["train", False, 0, []]] * 2
        assert [call[4] for call in trained] == [{"valid_data": None, "device_id": 0, "client_id": i} for i in range(2)]
        assert [call[5][:2] for call in trained] == [["tuple", 3], ["tuple", 2]]
    assert calls[-1][:4] == ["predict", "list", ["q0", "q1", "q2", "q3", "q4"], {"kwargs": {}}]
    assert outcome.result.metrics == {"Labels": "a0 a1 a2 a3 a4"}
    assert before == ((bench.folder / "test.jsonl").read_bytes(), (bench.folder / "train.jsonl").read_bytes())
    renamed = Path(case.output_dir, "dataset", "model_train-1.jsonl").read_text().splitlines()
    assert json.loads(renamed[0]) == {"more": 0, "question": "q0", "answer": "a0"}


def test_devices_share_the_clients(bench, texts):
    case = make_case(bench, texts, if_mode_llm=True, gpu_num=3, client_number=5, round=1)
    assert bench.run(case).failures == ()
    trained = [call for call in bench.trace() if call[0] == "train"]
    assert sorted(call[4]["client_id"] for call in trained) == [0, 1, 2, 3, 4]
    assert {call[4]["device_id"] for call in trained} <= {0, 1, 2}


@pytest.mark.parametrize("llm", [False, True])
def test_a_failing_client_is_named_with_its_round(bench, arrays, texts, llm):
    body = 'if kwargs.get("client_id", 1 if self.seen[1] == 6 else 0) == 1: raise ValueError("no memory")'
    setting = {**SETTING, "data_partition": "iid"}
    dataset = texts if llm else arrays
    case = make_case(bench, dataset, body if llm else 'raise ValueError("no memory")', setting, if_mode_llm=llm)
    (failure,) = bench.run(case).failures
    if llm:
        assert "client 1 failed in round 0: ValueError: no memory" in failure.message
    else:
        assert "client 0 failed in round 0 (and so did client 1): ValueError: no memory" in failure.message
    assert "(paradigm=federatedlearning) pipeline runs failed" in failure.message
    assert not any(call[0] == "aggregate" for call in bench.trace())
    assert 'raise ValueError("no memory")' in failure.traceback


def test_a_client_without_num_samples_fails(bench, arrays):
    (failure,) = bench.run(make_case(bench, arrays, "return {}")).failures
    assert "failed in round 0" in failure.message
    assert "KeyError: 'num_samples'" in failure.message


def test_no_client_begins_on_a_device_after_one_failed(bench, texts):
    case = make_case(bench, texts, 'raise ValueError("first")', if_mode_llm=True, client_number=5)
    (failure,) = bench.run(case).failures
    assert "client 0 failed in round 0: ValueError: first" in failure.message
    assert len([call for call in bench.trace() if call[0] == "train"]) == 1


def test_an_aggregation_needs_a_url(bench, arrays):
    modules = (make_case(bench, arrays).algorithm.modules[0], ModuleSpec("aggregation", "FedAvg"))
    (failure,) = bench.run(make_case(bench, arrays, modules=modules)).failures
    assert "aggregation 'FedAvg' has no url" in failure.message


@pytest.mark.parametrize("missing", ["basemodel", "aggregation"])
def test_required_modules(bench, arrays, missing):
    modules = tuple(m for m in make_case(bench, arrays).algorithm.modules if m.type != missing)
    (failure,) = bench.run(make_case(bench, arrays, modules=modules)).failures
    assert f"federatedlearning needs the module {missing}" in failure.message


def test_a_backend_that_is_not_installed_is_missed(bench, arrays):
    case = make_case(bench, arrays)
    path = Path(case.algorithm.modules[0].url)
    path.write_text(path.read_text().replace('"OTHER"', '"MINDSPORE"'))
    (failure,) = bench.run(case).failures
    assert "No module named 'mindspore'" in failure.message


def test_llm_mode_wants_jsonl(bench, arrays):
    (failure,) = bench.run(make_case(bench, arrays, if_mode_llm=True)).failures
    assert "LLM Unsupported file format: txt. Only jsonl is supported." in failure.message


def test_limit_applies_to_the_test_data_alone(bench, arrays):
    case = make_case(bench, arrays, round=1)
    assert bench.run(case, limit=1).failures == ()
    assert [call[5][1] for call in bench.trace() if call[0] == "train"] == [5, 5]
    assert len(bench.records(case)) == 1


@pytest.mark.parametrize("value", [0, -1, "2", 1.5, True, None])
@pytest.mark.parametrize("key", ["client_number", "round", "gpu_num"])
def test_counts_must_be_counts(bench, texts, key, value):
    (failure,) = bench.run(make_case(bench, texts, if_mode_llm=True, **{key: value})).failures
    assert f"{key} must be a whole number of at least 1, not {value!r}" in failure.message


def test_progress(bench, arrays, capsys):
    from ianvs_collab.testcase.spec import RunOptions
    from ianvs_collab.testcase.testcase import run_case

    assert run_case(make_case(bench, arrays), RunOptions()).failures == ()
    assert "algorithm: 100%" in capsys.readouterr().err
