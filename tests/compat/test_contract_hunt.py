"""Small jobs whose calls, rank files and exit statuses are pinned to what upstream Ianvs does with the same files.

Every job runs in this process from a folder of its own. Its plug-ins write each call that they get as a line of a file
`trace`, so a test compares calls, their arguments and their order with upstream's, and not how the engine is built.
"""

from __future__ import annotations

import ast
import io
import json
import os
import random
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ianvs_collab.cli import main

HEAD = """
import os
import numpy as np
from sedna.common.class_factory import ClassFactory, ClassType

def show(value):
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return type(value)(show(item) for item in value)
    if isinstance(value, dict):
        return {key: show(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (int, float)) else type(value).__name__

def note(*what):
    with open("trace", "a") as file:
        file.write(repr(show(what)) + "\\n")
"""
METRIC = """
@ClassFactory.register(ClassType.GENERAL, alias="m1")
def m1(*a, **k): note("m1", a, k); return 1 / 3
"""
JOINT = (
    METRIC
    + """
os.environ["BACKEND_TYPE"] = "PYTORCH"
@ClassFactory.register(ClassType.GENERAL, alias="E")
class E:
    def __init__(self, **k): note("E.init", k); os.environ["model_path"] = "owner/name"
    def load(self, *a, **k): note("E.load", a, k)
    def predict(self, data, mining_mode=None): note("E.predict", data, mining_mode); return {"e": str(data)}
    def cleanup(self): note("E.cleanup")
@ClassFactory.register(ClassType.GENERAL, alias="C")
class C:
    def __init__(self, **k): note("C.init", k)
    def inference(self, *a, **k): note("C.inference", a, k); return {"c": str(a[0])}
    def cleanup(self): note("C.cleanup")
@ClassFactory.register(ClassType.HEM, alias="H")
class H:
    def __init__(self, **k): note("H.init", k)
    def __call__(self, *a, **k): note("H.call", a, k); return "q1" in str(a[0])
    def cleanup(self): note("H.cleanup")
"""
)
PREDICT = 'def predict(self, data, mining_mode=None): note("E.predict", data, mining_mode); return {"e": str(data)}'
SINGLE = (
    METRIC
    + """
ENV = ("LOCAL_TEST", "RESULT_SAVED_URL", "BASE_MODEL_URL")
env = lambda: {name: os.environ.get(name) for name in ENV}
@ClassFactory.register(ClassType.GENERAL, alias="B")
class B:
    def __init__(self, **k): note("init", k, env())
    def preprocess(self, *a, **k): note("preprocess", a, k); return None
    def train(self, *a, **k): note("train", a[0].data_type, a[0].x, a[0].y, len(a), k, env()); return "trained"
    def save(self, *a, **k): note("save", a, k); return "saved/model"
    def load(self, *a, **k): note("load", a, k, env())
    def predict(self, *a, **k): note("predict", a, k, env()); return ["r"]
"""
)
FEDERATED = (
    METRIC
    + """
os.environ["BACKEND_TYPE"], os.environ["model_path"] = "ONNX", "owner/name"
@ClassFactory.register(ClassType.GENERAL, alias="B")
class B:
    def __init__(self, **k):
        import random
        np.random.seed(5)
        random.seed(5)
    def train(self, *a, **k): note("train", a, k); self.info = {"num_samples": 2}; return self.info
    def get_weights(self): return [1.0]
    def set_weights(self, *a, **k): note("set_weights", a, k, self.info)
    def predict(self, *a, **k): note("predict", a, k); return ["p"]
@ClassFactory.register(ClassType.FL_AGG, alias="A")
class A:
    def __init__(self, **k): note("A.init", k)
    def aggregate(self, *a, **k):
        note("aggregate", [(type(c).__name__, vars(c)) for c in a[0]], len(a), k)
        return [2.0]
"""
)
SERIES = """
SERIES = iter({values})
@ClassFactory.register(ClassType.GENERAL, alias="s1")
def s1(*a): return next(SERIES)
"""


def module(kind: str, name: str, url: str = "p.py", **hyperparameters: object) -> dict[str, Any]:
    """An entry of `modules`; each keyword is a hyperparameter with its list of values."""
    entry: dict[str, Any] = {"type": kind, "name": name, "url": url}
    if hyperparameters:
        entry["hyperparameters"] = [{key: {"values": values}} for key, values in hyperparameters.items()]
    return entry


@dataclass
class Job:
    """Files of a job, how to run it, and what came of it."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    plugin: str = JOINT
    files: dict[str, str | bytes] = field(default_factory=dict)
    job: dict[str, Any] = field(
        default_factory=lambda: {
            "name": "n",
            "workspace": "ws",
            "testenv": "testenv.yaml",
            "test_object": {"type": "algorithms", "algorithms": [{"name": "a", "url": "algorithm.yaml"}]},
            "rank": {},
        }
    )
    testenv: dict[str, Any] = field(
        default_factory=lambda: {
            "dataset": {"train_data": "d.jsonl", "test_data": "d.jsonl"},
            "metrics": [{"name": "m1", "url": "p.py"}],
        }
    )
    algorithm: dict[str, Any] = field(
        default_factory=lambda: {
            "paradigm_type": "jointinference",
            "modules": [module("edgemodel", "E"), module("cloudmodel", "C"), module("hard_example_mining", "H")],
        }
    )
    output: str = ""
    error: str = ""

    def run(self) -> int:
        """Writes the files, runs the job and returns its exit status."""
        data = '{"question": "q1", "answer": "A"}\n{"question": "q2", "answer": "B"}\n'
        texts: dict[str, str | bytes] = {"d.jsonl": data, "p.py": HEAD + self.plugin, **self.files}
        for name, section in (("benchmarkingjob", self.job), ("testenv", self.testenv), ("algorithm", self.algorithm)):
            file = "job.yaml" if name == "benchmarkingjob" else f"{name}.yaml"
            texts.setdefault(file, yaml.safe_dump({name: section}, sort_keys=False))
        for name, text in texts.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        (self.folder / "trace").unlink(missing_ok=True)
        status = main(["-f", "job.yaml"])
        printed = self.capsys.readouterr()
        self.output, self.error = printed.out, printed.err.rstrip().rpartition("\n")[2]
        return status

    def trace(self, *names: str) -> list[tuple[Any, ...]]:
        """The calls, or those of the methods named."""
        file = self.folder / "trace"
        calls = map(ast.literal_eval, file.read_text().splitlines() if file.exists() else [])
        return [call for call in calls if not names or call[0] in names]

    def rank(self, name: str = "all_rank") -> list[list[str]]:
        """The rows of a rank file with its header, split at the commas, without `time` and `url` of a row."""
        text = (self.folder / "ws" / "n" / "rank" / f"{name}.csv").read_text()
        return [re.sub(r",\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,ws/n/.*", "", row).split(",") for row in text.splitlines()]

    def single(self, *modules: dict[str, Any], **attributes: object) -> Job:
        """Makes it single-task learning."""
        self.plugin, name = SINGLE, "singletasklearning"
        self.algorithm = {"paradigm_type": name, "modules": list(modules) or [module("basemodel", "B")], **attributes}
        return self

    def series(self, values: str, hyperparameters: Sequence[object], **rank: object) -> Job:
        """Makes the metric s1 return the values, one per test case."""
        self.single(module("basemodel", "B", k=list(hyperparameters)))
        self.plugin += SERIES.format(values=values)
        self.testenv["metrics"] = [{"name": "s1", "url": "p.py"}]
        self.job["rank"] = rank
        return self


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Job]:
    """A joint-inference job in the working directory; the environment is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    for name in ("BACKEND_TYPE", "model_path", "MODEL_PATH"):
        os.environ.pop(name, None)
    yield Job(tmp_path, capsys)
    os.environ.clear()
    os.environ.update(before)


START: list[tuple[Any, ...]] = [("E.init", {}), ("C.init", {}), ("H.init", {})]
END = [("E.cleanup",), ("C.cleanup",), ("H.cleanup",)]


def cloud(query: str, mode: str) -> tuple[Any, ...]:
    """The call that the cloud model must get for a query."""
    return ("C.inference", (query,), {"post_process": None, "mining_mode": mode})


def test_mining_then_inference_is_the_default(job: Job) -> None:
    assert job.run() == 0
    mode = "mining-then-inference"
    hard = [("H.call", ("q1",), {}), cloud("q1", mode), ("H.call", ("q2",), {}), ("E.predict", "q2", mode)]
    result = [[True, {"c": "q1"}, None, {"c": "q1"}], [False, {"e": "q2"}, {"e": "q2"}, None]]
    assert job.trace() == [*START, *hard, *END, ("m1", (["A", "B"], result), {})]


def test_inference_then_mining(job: Job) -> None:
    mode = "inference-then-mining"
    job.testenv["hard_example_mining_mode"] = mode
    assert job.run() == 0
    first = [("E.predict", "q1", mode), ("H.call", ({"e": "q1"},), {}), cloud("q1", mode)]
    second = [("E.predict", "q2", mode), ("H.call", ({"e": "q2"},), {})]
    result = [[True, {"c": "q1"}, {"e": "q1"}, {"c": "q1"}], [False, {"e": "q2"}, {"e": "q2"}, None]]
    assert job.trace() == [*START, *first, *second, *END, ("m1", (["A", "B"], result), {})]


@pytest.mark.parametrize(
    ("returned", "status", "ending"),
    [("(0, 1, 2, None)", 0, "successfully."), ('{"e": 1}', 1, "error: 2."), ("[0, 1]", 1, "list index out of range.")],
)
def test_self_design_hands_on_what_the_edge_returned(job: Job, returned: str, status: int, ending: str) -> None:
    job.testenv["hard_example_mining_mode"] = "self-design"
    job.plugin = JOINT.replace('return {"e": str(data)}', f"return {returned}")
    assert job.run() == status
    assert job.error.endswith(ending)
    assert not job.trace("H.call")
    if not status:
        assert job.trace("m1")[0][1][1] == [(0, 1, 2, None)] * 2


@pytest.mark.parametrize(
    ("signature", "options"),
    [
        ("data", {}),
        ("data, mining_mode", {"mining_mode": "inference-then-mining"}),
        ("data, **kwargs", {"kwargs": {"mining_mode": "inference-then-mining"}}),
        ("data, **kw", {"kw": {}}),
        ("data, x=3", {"x": 3}),
    ],
)
def test_edge_is_told_the_mode_only_if_its_signature_names_it(
    job: Job, signature: str, options: Mapping[str, object]
) -> None:
    body = 'note("E.predict", {name: value for name, value in locals().items() if name != "self"}); return 1'
    job.plugin = JOINT.replace(PREDICT, f"def predict(self, {signature}): {body}")
    job.testenv["hard_example_mining_mode"] = "inference-then-mining"
    assert job.run() == 0
    assert job.trace("E.predict")[0] == ("E.predict", {"data": "q1", **options})


@pytest.mark.parametrize("load", ['note("E.load", a, k)', 'note("E.load", a, k); raise ValueError("unreadable")'])
def test_torch_edge_is_loaded_before_the_miner_is_built(job: Job, monkeypatch: pytest.MonkeyPatch, load: str) -> None:
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    job.plugin = JOINT.replace('"PYTORCH"', '"TORCH"').replace('note("E.load", a, k)', load)
    assert job.run() == 0
    assert job.trace("E.load", "H.init", "C.init") == [("C.init", {}), ("E.load", (), {}), ("H.init", {})]


def test_torch_edge_always_gets_the_mode(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    job.plugin = JOINT.replace('"PYTORCH"', '"TORCH"').replace("data, mining_mode=None", "data")
    job.plugin = job.plugin.replace("data, mining_mode)", "data)")
    assert job.run() == 1
    assert job.error.endswith("unexpected keyword argument 'mining_mode'.")


@pytest.mark.parametrize("kind", [None, "TENSORFLOW", "KERAS", "MINDSPORE"])
def test_backends_that_are_not_installed(job: Job, kind: str | None) -> None:
    setting = 'os.environ.pop("BACKEND_TYPE", None)' if kind is None else f'os.environ["BACKEND_TYPE"] = "{kind}"'
    job.plugin = JOINT.replace('os.environ["BACKEND_TYPE"] = "PYTORCH"', setting)
    assert job.run() == 1
    assert f"No module named '{'mindspore' if kind == 'MINDSPORE' else 'tensorflow'}'" in job.error


@pytest.mark.parametrize(
    ("path", "status"),
    [("owner/name", 0), ("o-w/n.a-me", 0), ("model", 0), ("miss", 1), ("a/b/c", 1), ("_a/b", 1), ("a.b/c", 1), ("", 1)],
)
def test_model_path_must_exist_or_name_a_hub_model(job: Job, path: str, status: int) -> None:
    job.files["model"] = "weights"
    job.plugin = JOINT.replace("owner/name", path)
    assert job.run() == status
    assert bool(job.trace("E.load")) == (path == "model")
    if status:
        assert (f"error: {path} miss" if path else "'lstrip'") in job.error


def test_callable_edge_is_replaced_by_what_it_returns(job: Job) -> None:
    real = 'class Real:\n    def predict(self, data): return "real"\n'
    called = '    def __call__(self): note("called"); return Real()\n'
    cleanup = '    def cleanup(self): note("E.cleanup")\n'
    job.plugin = JOINT.replace(cleanup, cleanup + called + real)
    assert job.run() == 0
    assert job.trace("called") == [("called",)]
    assert job.trace("m1")[0][1][1][1] == [False, "real", "real", None]


@pytest.mark.parametrize("value", ["7", "0", "None", "''", "[1]"])
def test_the_miners_value_stays_as_it_is(job: Job, value: str) -> None:
    job.plugin = JOINT.replace('return "q1" in str(a[0])', f"return {value}")
    assert job.run() == 0
    hard = ast.literal_eval(value)
    assert [(row[0], row[3] is not None) for row in job.trace("m1")[0][1][1]] == [(hard, bool(hard))] * 2


def test_edge_answer_survives_a_miner_that_changes_it(job: Job) -> None:
    job.testenv["hard_example_mining_mode"] = "inference-then-mining"
    job.plugin = JOINT.replace('note("H.call", a, k); return "q1" in str(a[0])', "a[0].clear(); return True")
    assert job.run() == 0
    assert job.trace("m1")[0][1][1][0] == [True, {"c": "q1"}, {"e": "q1"}, {"c": "q1"}]


def test_answers_need_a_truth_value(job: Job) -> None:
    job.plugin = JOINT.replace('return {"e": str(data)}', "return np.array([1, 2])")
    assert job.run() == 1
    assert "truth value of an array" in job.error


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("mode", ["mining-then-inference", "self-design"])
def test_all_three_modules_are_needed_in_every_mode(job: Job, missing: int, mode: str) -> None:
    job.testenv["hard_example_mining_mode"] = mode
    kind = job.algorithm["modules"].pop(missing)["type"]
    assert job.run() == 1
    assert kind in job.error


@pytest.mark.parametrize("name", ["IBT", "CrossEntropy", "Threshold", "Random"])
def test_built_in_miners_need_no_url(job: Job, name: str) -> None:
    job.algorithm["modules"][2] = {"type": "hard_example_mining", "name": name}
    assert job.run() == 0
    assert job.rank()[1][-1] == name


def test_oracle_router_is_given_both_models(job: Job) -> None:
    job.plugin = JOINT.replace('alias="H"', 'alias="OracleRouter"')
    job.algorithm["modules"][2] = module("hard_example_mining", "OracleRouter", k=[1])
    assert job.run() == 0
    assert job.trace("H.init") == [("H.init", {"k": 1, "edgemodel": "E", "cloudmodel": "C"})]


PROCESSOR = """
@ClassFactory.register(ClassType.GENERAL, alias="D")
class D:
    def __call__(self, data):
        note("D", type(data).__name__, data.data_type, data.x, data.y, sorted(os.listdir("ws/n")))
        return type("Few", (), {"x": ["q1"]})()
    def cleanup(self): note("D.cleanup")
"""


def test_dataset_processor_runs_before_the_miner_is_built_and_y_is_read_afresh(job: Job) -> None:
    job.plugin = JOINT + PROCESSOR
    job.algorithm["modules"].insert(1, module("dataset_processor", "D"))
    assert job.run() == 0
    names = [call[0] for call in job.trace()]
    assert names[:4] == ["E.init", "C.init", "D", "H.init"]
    assert names[-5:] == ["E.cleanup", "D.cleanup", "C.cleanup", "H.cleanup", "m1"]
    (processed,) = job.trace("D")
    assert processed[1:5] == ("JsonlDataParse", "inference", ["q1", "q2"], ["A", "B"])
    assert "a" in processed[5]
    assert job.trace("m1")[0][1] == (["A", "B"], [[True, {"c": "q1"}, None, {"c": "q1"}]])


def test_modules_are_made_in_file_order_and_later_hyperparameters_vary_fastest(job: Job) -> None:
    job.algorithm["modules"] = [
        module("cloudmodel", "C", c=["x", "y"]),
        module("hard_example_mining", "H"),
        module("edgemodel", "E", e=[1, 2.5]),
    ]
    assert job.run() == 0
    made = [(call[0], *call[1].values()) for call in job.trace("C.init", "E.init")]
    assert made == [(n, v) for c in "xy" for e in (1, 2.5) for n, v in (("C.init", c), ("E.init", e))]
    assert job.rank()[0][3:] == [
        *("paradigm", "cloudmodel", "hard_example_mining", "edgemodel"),
        *("cloudmodel-c", "edgemodel-e", "time", "url"),
    ]


def test_single_task_learning_calls(job: Job) -> None:
    assert job.single(module("basemodel", "B", lr=[0.1]), initial_model_url="init").run() == 0
    url = re.search(r"ws/n/a/[0-9a-f-]{36}", (job.folder / "ws/n/rank/all_rank.csv").read_text())
    assert url is not None
    base = {"LOCAL_TEST": "TRUE", "RESULT_SAVED_URL": None, "BASE_MODEL_URL": "init"}
    later = base | {"RESULT_SAVED_URL": f"{url[0]}/output/inference/"}
    assert job.trace() == [
        ("init", {"lr": 0.1}, dict.fromkeys(base)),
        ("preprocess", (), {}),
        ("train", "train", ["q1", "q2"], ["A", "B"], 1, {}, base),
        ("save", (f"{url[0]}/output/train/",), {}),
        ("load", ("saved/model",), {}, later),
        ("predict", (["q1", "q2"],), {}, later),
        ("m1", (["A", "B"], ["r"]), {}),
    ]
    assert not (job.folder / url[0] / "output").exists()


@pytest.mark.parametrize(
    ("old", "new", "attributes", "loaded"),
    [
        ('"saved/model"', "None", {"initial_model_url": "init"}, "init"),
        ('"saved/model"', "None", {}, ""),
        ('"saved/model"', "''", {"initial_model_url": "init"}, ""),
        ("", "", {"mode": "with_compression", "quantization_type": "q4"}, None),
        ("", "", {"mode": "no_compression"}, "saved/model"),
    ],
)
def test_the_model_that_is_loaded(
    job: Job, old: str, new: str, attributes: Mapping[str, object], loaded: str | None
) -> None:
    job.single(**attributes).plugin = SINGLE.replace(old, new) if old else SINGLE
    assert job.run() == 0
    assert job.trace("load")[0][1] == (loaded,)


def test_preprocess_is_called_again_if_it_returned_something(job: Job) -> None:
    job.single().plugin = SINGLE.replace('note("preprocess", a, k); return None', 'note("preprocess"); return 1')
    assert job.run() == 0
    assert len(job.trace("preprocess")) == 2


def federate(job: Job, **setting: object) -> Job:
    """Makes it federated learning of two clients on four files of two rows, labelled 0, 1, 0, 1."""
    job.plugin, index = FEDERATED, []
    for number in range(4):
        buffer = io.BytesIO()
        np.save(buffer, np.array([[number], [number + 10]]))
        job.files[f"x{number}.npy"] = buffer.getvalue()
        index.append(f"{job.folder}/x{number}.npy {number % 2}\n")
    job.files["t.txt"] = "".join(index)
    job.testenv |= {"dataset": {"train_index": "t.txt", "test_index": "t.txt"}, "client_number": 2, "round": 2}
    modules = [module("basemodel", "B"), module("aggregation", "A", g=[1])]
    job.algorithm = {"paradigm_type": "federatedlearning", "modules": modules}
    if setting:
        defaults = {"train_ratio": 1.0, "splitting_method": "default", "data_partition": "iid", "non_iid_ratio": 0.5}
        job.algorithm["fl_data_setting"] = defaults | setting
    return job


def test_federated_rounds(job: Job) -> None:
    assert federate(job).run() == 0
    order = np.arange(8)
    np.random.seed(5)
    np.random.shuffle(order)
    rows = np.array([[n % 2 * 10 + n // 2] for n in range(8)])[order].tolist()
    labels = [int(n) // 2 % 2 for n in order]
    parts = [[rows[:4], labels[:4]], [rows[4:], labels[4:]]]
    clients = [("AggClient", {"num_samples": 2, "weights": [1.0]})] * 2
    updates: list[tuple[Any, ...]] = [
        ("set_weights", ([2.0],), {}, {"num_samples": 2, "client_id": client}) for client in range(2)
    ]
    calls = job.trace()
    trained = [sorted(calls[i : i + 2], key=lambda call: parts.index(call[1][0])) for i in (1, 6)]
    assert trained == [[("train", (part, None), {"round": r}) for part in parts] for r in range(2)]
    once = [("aggregate", clients, 1, {}), *updates]
    assert [*calls[3:6], *calls[8:11]] == once * 2
    assert calls[-2] == ("predict", ([f"{job.folder}/x{n}.npy" for n in range(4)],), {"kwargs": {}})


def test_federated_parts_of_one_class(job: Job) -> None:
    assert federate(job, data_partition="non-iid").run() == 0
    random.seed(5)
    classes = sorted(random.sample(range(2), 1) for _ in range(2))
    labels = [call[1][0][1] for call in job.trace("train")[:2]]
    assert sorted(labels) == [found * 4 for found in classes]


def test_federated_language_model_mode(job: Job) -> None:
    federate(job).testenv |= {"if_mode_llm": True, "gpu_num": 1, "round": 1}
    job.testenv["dataset"] = {"train_data": "llm.jsonl", "test_data": "llm.jsonl"}
    text = "".join(json.dumps({"instruction": f"i{n}", "output": f"o{n}"}) + "\n" for n in range(5))
    job.files["llm.jsonl"] = text
    assert job.run() == 0
    np.random.seed(5)
    parts = [([f"i{n}" for n in part], [f"o{n}" for n in part]) for part in np.array_split(np.random.permutation(5), 2)]
    assert job.trace("train") == [
        ("train", (), {"train_data": part, "valid_data": None, "device_id": 0, "client_id": client})
        for client, part in enumerate(parts)
    ]
    assert job.trace("predict") == [("predict", ([f"i{n}" for n in range(5)],), {"kwargs": {}})]
    assert (job.folder / "llm.jsonl").read_text() == text


YAML_1_1 = "[1e-7, on, 017, 12:30:45, 0x1f, 1_000, .5, 1.0e-7, ~, no]"


@pytest.mark.parametrize(
    ("hyperparameters", "made"),
    [
        ("[{a: {values: [1, 2]}}, {b: {values: [x, y]}}]", [{"a": a, "b": b} for a in (1, 2) for b in "xy"]),
        ("[{a: {values: xy}}]", [{"a": "x"}, {"a": "y"}]),
        ("[{a: {values: [1]}, b: {values: [2, 3]}}]", [{"b": 2}, {"b": 3}]),
        ("[{a: {values: [1, 2]}}, {a: {values: [3]}}]", [{"a": 3}, {"a": 3}]),
        ("[]", [{}]),
        (
            f"[{{a: {{values: {YAML_1_1}}}}}]",
            [{"a": v} for v in ("1e-7", True, 15, 45045, 31, 1000, 0.5, 1e-7, None, False)],
        ),
        (
            "[{b: {values: [5, 6]}}, {other_hyperparameters: {values: [h1.yaml, h2.yaml]}}]",
            [{"z": 1, "b": b, "y": "two", "x": 3} for b in (5, 6)],
        ),
    ],
)
def test_combinations_of_hyperparameters(job: Job, hyperparameters: str, made: list[dict[str, Any]]) -> None:
    job.single()
    job.files |= {"h1.yaml": "z: 1\nb: 0\ny: one\n", "h2.yaml": "y: two\nx: 3\n"}
    entry = f"{{type: basemodel, name: B, url: p.py, hyperparameters: {hyperparameters}}}"
    job.files["algorithm.yaml"] = f"algorithm: {{paradigm_type: singletasklearning, modules: [{entry}]}}\n"
    assert job.run() == 0
    inits = [call[1] for call in job.trace("init")]
    assert [list(init.items()) for init in inits] == [list(init.items()) for init in made]
    header = job.rank()[0]
    assert header[header.index("basemodel") + 1 : -2] == [f"basemodel-{name}" for name in made[0]]
    assert [row[5:] for row in job.rank()[1:]] == [[str(value) for value in init.values()] for init in made]


def test_a_module_type_given_twice_multiplies_the_test_cases(job: Job) -> None:
    assert job.single(module("basemodel", "B", a=[1, 2]), module("basemodel", "B", b=[3, 4])).run() == 0
    assert [call[1] for call in job.trace("init")] == [{"b": 3}, {"b": 4}] * 2


CELLS = {
    "1 / 3": "0.3333333333333333",
    "1e-17": "1e-17",
    "1.2345678901234568e17": "1.2345678901234568e+17",
    "float('inf')": "inf",
    "np.float32(1 / 3)": "0.33333334",
    "None": "",
    "float('nan')": "",
    "3": "3",
    "True": "True",
    "2**63": "9223372036854775808",
    "10**30": "1" + "0" * 30,
    "10**400": "1" + "0" * 400,
    "{'a': 1}": "{'a': 1}",
    "'text'": "text",
}


@pytest.mark.parametrize(("value", "cell"), CELLS.items())
def test_metric_cells(job: Job, value: str, cell: str) -> None:
    assert job.series(f"[{value}]", ["x"]).run() == 0
    assert job.rank()[1][2] == cell
    assert job.rank("selected_rank")[1][2] == cell


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ("[1, 2.5]", ["1.0", "2.5"]),
        ("[0.5, 0]", ["0.5", "0.0"]),
        ("[1, None]", ["1.0", ""]),
        ("[float('nan'), 3]", ["", "3.0"]),
        ("[None, 1]", ["", "1"]),
        ("[2, 1.0]", ["2", "1"]),
        ("[1, True]", ["1", "1"]),
        ("[1, 'x']", ["1", "x"]),
        ("[1, 2]", ["1", "2"]),
        ("[1, 10**400]", ["1", "1" + "0" * 400]),
    ],
)
def test_a_column_of_whole_numbers_and_fractions(job: Job, values: str, cells: list[str]) -> None:
    assert job.series(values, "xy").run() == 0
    assert [row[2] for row in job.rank()[1:]] == cells


@pytest.mark.parametrize(
    ("sort_by", "order"),
    [
        ([], "abcd"),
        ([{"s1": "ascend"}], "bcad"),
        ([{"s1": "descend"}], "acbd"),
        ([{"s1": "up"}], "acbd"),
        ([{"unknown": "ascend"}], "abcd"),
        ([{"unknown": "ascend"}, {"s1": "ascend"}], "bcad"),
    ],
)
def test_sorting(job: Job, sort_by: list[dict[str, str]], order: str) -> None:
    assert job.series("[3.5, 1.5, 2.5, None]", "abcd", sort_by=sort_by).run() == 0
    assert [row[5] for row in job.rank()[1:]] == list(order)
    assert [row[0] for row in job.rank()[1:]] == list("1234")


ALL: dict[str, list[str]] = dict.fromkeys(("paradigms", "modules", "hyperparameters", "metrics"), ["all"])


@pytest.mark.parametrize(
    ("items", "columns", "rows"),
    [
        ({}, ["s1", "paradigm", "basemodel", "basemodel-k"], 2),
        ({"hyperparameters": []}, ["s1", "paradigm", "basemodel"], 1),
        ({"metrics": ["no", "s1"], "modules": ["zz"]}, ["no", "s1", "paradigm", "zz", "basemodel-k"], 2),
        ({"paradigms": ["jointinference"]}, ["s1", "paradigm", "basemodel", "basemodel-k"], 0),
    ],
)
def test_selected_items(job: Job, items: dict[str, list[str]], columns: list[str], rows: int) -> None:
    assert job.series("[1, 1]", "xy", selected_dataitem=ALL | items).run() == 0
    header, *found = job.rank("selected_rank")
    assert header == ["rank", "algorithm", *columns, "time", "url"]
    assert len(found) == rows
    assert len(job.rank()) == 3


@pytest.mark.parametrize("hyperparameters", [["x", "y"], [1, 2.0], [None, True]])
def test_runs_accumulate_in_all_rank_and_collapse_in_selected_rank(job: Job, hyperparameters: list[object]) -> None:
    job.series("[2, 1] * 2", hyperparameters, sort_by=[{"s1": "ascend"}])
    assert job.run() == 0
    assert job.run() == 0
    texts = [str(value) for value in reversed(hyperparameters)]
    assert [row[5] for row in job.rank()[1:]] == [text for text in texts for _ in range(2)]
    assert [row[5] for row in job.rank("selected_rank")[1:]] == texts


def test_columns_that_a_later_run_adds_stand_after_url(job: Job) -> None:
    assert job.series("[1, 2]", ["x"]).run() == 0
    job.testenv["metrics"] = [{"name": "m1", "url": "p.py"}]
    assert job.run() == 0
    assert job.rank()[0] == ["rank", "algorithm", "s1", "paradigm", "basemodel", "basemodel-k", "time", "url", "m1"]
    assert job.rank("selected_rank")[0] == [
        "rank",
        "algorithm",
        "m1",
        "paradigm",
        "basemodel",
        "basemodel-k",
        "time",
        "url",
    ]


@pytest.mark.parametrize(
    ("rank", "status", "saved", "table"),
    [
        ({"save_mode": "selected_only"}, 0, "selected", True),
        ({"save_mode": "nope"}, 1, "", False),
        ({"visualization": {"mode": "other", "method": "nope"}}, 0, "all selected", False),
        ({"visualization": {"mode": "selected_only", "method": "x"}}, 1, "all selected", False),
        ({"save_mode": "selected_and_all_and_picture"}, 1, "all selected", False),
    ],
)
def test_what_is_saved_and_shown(job: Job, rank: dict[str, object], status: int, saved: str, table: bool) -> None:
    assert job.series("[1]", ["x"], **rank).run() == status
    files = sorted(path.name for path in job.folder.glob("ws/n/rank/*.csv"))
    assert files == [f"{name}_rank.csv" for name in saved.split()]
    assert ("| rank | algorithm |" in job.output) == table


def lines(*rows: Mapping[str, object]) -> str:
    """Rows as the text of a JSONL file."""
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("key", "file", "text", "read"),
    [
        ("index", "t.txt", "/a 0 more\n\n/b\n", (["/a", "/b"], ["0", "0"])),
        ("index", "t.txt", "/a\n/b\n", (["/a", "/b"], [0, 0])),
        ("data", "t.jsonl", lines({"question": "q", "answer": 1}), (["q"], [1])),
        ("data", "t.jsonl", lines({"question": [1, 2], "answer": "a"}), ([[1, 2]], ["a"])),
        ("index", "t.jsonl", lines({"question": "q", "answer": 1}), None),
        ("index", "t.csv", "a,label\n1,2\n", None),
        ("data", "t.txt", "/a 0\n", None),
        ("data", "t.jsonl", "\ufeff" + lines({"question": "q", "answer": 1}), None),
        ("data", "t.jsonl", '\n{"question": "q", "answer": 1}\n', None),
        ("data", "t.jsonl", lines({"question": "q"}), None),
        ("data", "t.JSONL", lines({"question": "q", "answer": 1}), None),
        ("data_info", "t.jsonl", lines({"question": "q", "answer": 1}), None),
        ("url", "t.jsonl", lines({"question": "q", "answer": 1}), None),
    ],
)
def test_data_formats(job: Job, key: str, file: str, text: str, read: tuple[list[object], list[object]] | None) -> None:
    job.single().testenv["dataset"] = {f"train_{key}": file, f"test_{key}": file}
    job.files[file] = text
    assert job.run() == (1 if read is None else 0)
    assert [call[2:4] for call in job.trace("train")] == ([] if read is None else [read])


@pytest.mark.parametrize("name", ["t.txt", "t.csv"])
def test_unreadable_train_data_does_no_harm_in_joint_inference(job: Job, name: str) -> None:
    job.files[name] = "x\n"
    job.testenv["dataset"]["train_data"] = name
    assert job.run() == 0


@pytest.mark.parametrize("side", ["train_data", "test_data"])
def test_train_and_test_data_are_both_required(job: Job, side: str) -> None:
    job.testenv["dataset"] = {side: "d.jsonl"}
    assert job.run() == 1


def test_metadata_is_predicted_as_a_whole(job: Job) -> None:
    row = {"prompt": "P ", "query": "q", "response": "A", "level_3_dim": "c", "level_4_dim": "d"}
    meta = {"dataset": "D", "description": "about", "level_1_dim": "a", "level_2_dim": "b"}
    job.files |= {"m/data.jsonl": lines(row), "m/metadata.json": json.dumps(meta)}
    job.single().testenv["dataset"] = {"train_data_info": "m/metadata.json", "test_data_info": "m/metadata.json"}
    job.plugin = SINGLE.replace('note("predict", a, k, env())', 'note("predict", type(a[0]).__name__, vars(a[0]))')
    assert job.run() == 0
    (_, kind, found) = job.trace("predict")[0]
    assert kind == "JSONMetaDataParse"
    expected = {"x": ["P q"], "y": ["A"], "explanation": [""], "judge_prompts": [""]}
    expected |= {"level_3": ["c"], "level_4": ["d"]}
    assert {key: found[key] for key in expected} == expected
    assert found["need_other_info"] is True
    assert found["dataset_name"] == "D"


@pytest.mark.parametrize("name", ["samples_transfer_ratio", "FWT", "task_avg_acc"])
def test_own_metric_under_a_system_name_gets_one_map(job: Job, name: str) -> None:
    job.single().plugin = SINGLE.replace('alias="m1"', f'alias="{name}"')
    job.testenv["metrics"] = [{"name": name, "url": "p.py"}]
    assert job.run() == 0
    assert job.trace("m1") == [("m1", ({},), {})]


@pytest.mark.parametrize(
    "metric", [{"name": "unheard", "url": "p.py"}, {"name": "unheard"}, {"name": "samples_transfer_ratio"}]
)
def test_metrics_that_cannot_be_had(job: Job, metric: dict[str, str]) -> None:
    job.testenv["metrics"] = [metric]
    assert job.run() == 1


def test_what_cannot_be_called_is_no_metric(job: Job) -> None:
    job.plugin = JOINT + 'ClassFactory.register_cls("text", ClassType.GENERAL, alias="text")\n'
    job.testenv["metrics"].insert(0, {"name": "text", "url": "p.py"})
    assert job.run() == 0
    assert job.rank()[0][2:4] == ["m1", "paradigm"]


def drop(section: str, key: str) -> Callable[[Job], None]:
    """A change that takes a key out of a section."""
    return lambda job: getattr(job, section).pop(key)


def put(section: str, key: str, value: object) -> Callable[[Job], None]:
    """A change that sets a key of a section."""
    return lambda job: getattr(job, section).__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (drop("job", "testenv"), 1),
        (drop("job", "rank"), 1),
        (drop("job", "name"), 0),
        (drop("job", "workspace"), 0),
        (put("job", "unknown", 1), 0),
        (put("job", "test_object", {"type": "other"}), 1),
        (put("job", "name", None), 1),
        (drop("testenv", "metrics"), 1),
        (put("testenv", "metrics", []), 1),
        (put("testenv", "incremental_rounds", 1), 1),
        (put("testenv", "incremental_rounds", "2"), 1),
        (put("testenv", "workspace", "x"), 1),
        (put("testenv", "anything", 5), 0),
        (put("algorithm", "paradigm_type", "unheard"), 1),
        (put("algorithm", "initial_model_url", 5), 1),
        (put("algorithm", "unknown", 5), 0),
        (put("algorithm", "modules", []), 1),
    ],
)
def test_keys_of_the_files(job: Job, change: Callable[[Job], None], status: int) -> None:
    change(job)
    assert job.run() == status
    ending = "benchmarkingjob runs successfully." if status == 0 else "."
    assert job.error.endswith(ending)
    assert ("RuntimeError: benchmarkingjob runs failed, error: " in job.error) == bool(status)


@pytest.mark.parametrize(
    ("change", "url"),
    [
        ({"name": ""}, "ws/a/"),
        ({"workspace": "ws/"}, "ws/n/a/"),
        ({"name": "x/y"}, "ws/x/y/a/"),
        ({"workspace": ""}, "n/a/"),
    ],
)
def test_workspace_and_name_are_joined(job: Job, change: dict[str, str], url: str) -> None:
    job.job |= change
    assert job.run() == 0
    (file,) = job.folder.rglob("all_rank.csv")
    assert file.relative_to(job.folder).as_posix() == f"{url[:-2]}rank/all_rank.csv"
    assert file.read_text().splitlines()[1].rpartition(",")[2].startswith(url)


def test_error_texts_nest(job: Job) -> None:
    job.plugin = JOINT.replace('return {"e": str(data)}', 'raise ValueError("boom")')
    assert job.run() == 1
    start = r"RuntimeError: benchmarkingjob runs failed, error: testcase\(id=[0-9a-f-]{36}\) runs failed, error: "
    assert re.fullmatch(start + r"\(paradigm=jointinference\) pipeline runs failed, error: boom\.", job.error)


@pytest.mark.parametrize(
    ("arguments", "status", "out", "error"),
    [
        ([], 1, "", "usage"),
        (["-v"], 0, "0.1.0\n", ""),
        (["-h"], 0, "usage", ""),
        (["-x"], 2, "", "unrecognized arguments: -x"),
        (["stray"], 2, "", "unrecognized arguments: stray"),
        (["-f"], 1, "", "not NoneType.\n"),
        (["-f", "none.yaml"], 1, "", "not found benchmarking config(none.yaml) file in local\n"),
        (["-f", "."], 1, "", "not found benchmarking config(.) file in local\n"),
    ],
)
def test_command_line(job: Job, arguments: list[str], status: int, out: str, error: str) -> None:
    try:
        found: object = main(arguments)
    except SystemExit as stopped:
        found = stopped.code
    printed = job.capsys.readouterr()
    assert found == status
    assert out in printed.out and bool(out) == bool(printed.out)
    assert error in printed.err and bool(error) == bool(printed.err)
