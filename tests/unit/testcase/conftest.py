"""A bench to run test cases on: plug-ins that write down every call, data, and test cases made of them."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab import compat
from ianvs_collab.records import Record, latest_records
from ianvs_collab.testcase.environment import restore_environment
from ianvs_collab.testcase.spec import (
    AlgorithmSpec,
    MetricSpec,
    ModuleSpec,
    RunOptions,
    TestCaseSpec,
    TestEnvSpec,
)
from ianvs_collab.testcase.testcase import CaseOutcome, run_case
from ianvs_collab.testenv.schema import DatasetSpec

PRELUDE = """
import json, os
from sedna.common.class_factory import ClassFactory, ClassType

def trace(*call):
    with open({trace!r}, "a") as file:
        file.write(json.dumps(call, default=str) + chr(10))

"""

MODELS = """
@ClassFactory.register(ClassType.GENERAL, alias="Edge")
class Edge:
    def __init__(self, **kwargs):
        trace("edge.init", kwargs)
        os.environ["BACKEND_TYPE"] = "OTHER"
        os.environ["model_path"] = "some/model"
    def predict(self, data, **kwargs):
        trace("edge.predict", data, kwargs)
        return {"completion": f"edge {data}"}
    def cleanup(self):
        trace("edge.cleanup")

@ClassFactory.register(ClassType.GENERAL, alias="Cloud")
class Cloud:
    def __init__(self, **kwargs):
        trace("cloud.init", kwargs)
    def inference(self, data, **kwargs):
        trace("cloud.inference", data, kwargs)
        return {"completion": f"cloud {data}"}
    def cleanup(self):
        trace("cloud.cleanup")

@ClassFactory.register(ClassType.HEM, alias="Miner")
class Miner:
    def __init__(self, **kwargs):
        trace("miner.init", kwargs)
    def __call__(self, data):
        trace("miner", data)
        text = data["completion"] if isinstance(data, dict) else data
        return 7 if text.endswith(("1", "3")) else 0
    def cleanup(self):
        trace("miner.cleanup")
"""

# What a plug-in file is given of modules that it does not register: they answer nothing and find nothing hard.
IDLE = {
    "Cloud": """
@ClassFactory.register(ClassType.GENERAL, alias="Cloud")
class Cloud:
    pass
""",
    "Miner": """
@ClassFactory.register(ClassType.HEM, alias="Miner")
class Miner:
    def __init__(self, **kwargs):
        pass
    def __call__(self, data):
        return False
""",
}

METRICS = """
@ClassFactory.register(ClassType.GENERAL, alias="Answers")
def answers(y_true, y_pred):
    return " | ".join(str(row[1]["completion"]) for row in y_pred)

@ClassFactory.register(ClassType.GENERAL, alias="Labels")
def labels(y_true, y_pred):
    return " ".join(map(str, y_true))
"""


class Bench:
    """Everything happens in a temporary working directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trace_file = folder / "trace.jsonl"

    def plugin(self, name: str, source: str) -> str:
        """Writes a plug-in file that can `trace(...)` its calls."""
        (self.folder / "plugins").mkdir(exist_ok=True)
        path = self.folder / "plugins" / f"{name}.py"
        path.write_text(PRELUDE.format(trace=str(self.trace_file)) + source, encoding="utf-8")
        return str(path)

    def data(self, count: int = 4, name: str = "test.jsonl") -> str:
        """Writes questions `q0`, `q1`, ... with the answers `a0`, `a1`, ..."""
        path = self.folder / name
        rows = ({"question": f"q{i}", "answer": f"a{i}"} for i in range(count))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    def case(
        self,
        models: str = MODELS,
        *,
        count: int = 4,
        settings: Mapping[str, Any] | None = None,
        modules: tuple[ModuleSpec, ...] | None = None,
        metrics: str = METRICS,
        metric_names: tuple[str, ...] = ("Answers", "Labels"),
        options: Mapping[str, Any] | None = None,
        paradigm: str = "jointinference",
        dataset: DatasetSpec | None = None,
        name: str = "algorithm",
    ) -> TestCaseSpec:
        """Makes a test case, by default one of joint inference with an edge model, a cloud model and a miner.

        A cloud model or a miner that `models` does not register is one that does nothing.
        """
        if modules is None:
            idle = "".join(source for name, source in IDLE.items() if f'alias="{name}"' not in models)
            url = self.plugin(f"models_{uuid.uuid4().hex}", models + idle)
            modules = (
                ModuleSpec("edgemodel", "Edge", url, {"size": 1}),
                ModuleSpec("cloudmodel", "Cloud", url),
                ModuleSpec("hard_example_mining", "Miner", url, {"threshold": 0.5}),
            )
        metric_url = self.plugin(f"metrics_{uuid.uuid4().hex}", metrics)
        if dataset is None:
            file = self.data(count)
            dataset = DatasetSpec(train_data=file, test_data=file)
        return TestCaseSpec(
            id=str(uuid.uuid1()),
            algorithm=AlgorithmSpec(name, paradigm, modules, settings or {}),
            testenv=TestEnvSpec(dataset, tuple(MetricSpec(m, metric_url) for m in metric_names), options or {}),
            workspace="workspace/job",
        )

    def run(self, case: TestCaseSpec, **options: Any) -> CaseOutcome:
        """Runs it quietly."""
        return run_case(case, RunOptions(quiet=True, **options))

    def trace(self) -> list[Any]:
        """All calls so far, in order."""
        if not self.trace_file.exists():
            return []
        return [json.loads(line) for line in self.trace_file.read_text().splitlines()]

    def records(self, case: TestCaseSpec) -> list[Record]:
        """The records of a test case."""
        return latest_records(Path(case.output_dir) / "records.jsonl")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench; nothing of what its plug-ins register or set outlives the test."""
    registry = compat.registry()[0].__registry__
    registered = {group: dict(names) for group, names in registry.items()}
    monkeypatch.chdir(tmp_path)
    environment = dict(os.environ)
    for name in ("BACKEND_TYPE", "model_path", "MODEL_PATH", "MODEL_URL", "CUDA_VISIBLE_DEVICES", "DEVICE_CATEGORY"):
        monkeypatch.delenv(name, raising=False)
    yield Bench(tmp_path)
    restore_environment(environment)
    registry.clear()
    registry.update(registered)
