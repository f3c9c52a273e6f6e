"""What a test case is, as plain values: the border between reading a job and running it.

`ianvs_collab.job` turns YAML files into these; `ianvs_collab.testcase` runs them. They are frozen, hold no live object
and pickle, so that a test case can travel to another process and its fingerprint can be taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ianvs_collab.testenv.schema import DatasetSpec


@dataclass(frozen=True)
class ModuleSpec:
    """One module of an algorithm with one concrete value for each of its hyperparameters.

    Attributes:
        type: Ianvs's module type, e.g. `edgemodel`.
        name: Name under which the plug-in registers itself.
        url: Path of the plug-in file, or None for a module named without one.
        hyperparameters: Keyword arguments of the constructor, in column order.
    """

    type: str
    name: str
    url: str | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AlgorithmSpec:
    """One algorithm: a paradigm, its modules in file order and the paradigm's settings.

    Attributes:
        name: Name from the job file.
        paradigm: `jointinference`, `singletasklearning` or `federatedlearning`.
        modules: Modules in file order (a type given twice: the last one wins, in the first one's place).
        settings: Every other attribute of the algorithm file (`initial_model_url`, `fl_data_setting`, `mode`, ...), and
            `hard_example_mining_mode` where the job or the algorithm file gives it.
    """

    name: str
    paradigm: str
    modules: tuple[ModuleSpec, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricSpec:
    """A metric: a function registered under `name` by the file `url`, or a built-in one where `url` is None."""

    name: str
    url: str | None = None


@dataclass(frozen=True)
class TestEnvSpec:
    """The test environment: data, metrics and the paradigm options that stand in the testenv file.

    Attributes:
        dataset: Where the data are.
        metrics: Metrics in the order of the file.
        options: Every other key of the testenv file (`round`, `client_number`, `use_gpu`, `model_eval`,
            `hard_example_mining_mode`, `if_mode_llm`, ...), defaults filled in.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    dataset: DatasetSpec
    metrics: tuple[MetricSpec, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TestCaseSpec:
    """One row of the leaderboard to be.

    Attributes:
        id: UUID (version 1), stable across a resume.
        algorithm: What runs.
        testenv: On what it runs.
        workspace: `<workspace>/<job name>`, as the user wrote it (relative to the working directory).
    """

    __test__ = False

    id: str
    algorithm: AlgorithmSpec
    testenv: TestEnvSpec
    workspace: str

    @property
    def output_dir(self) -> str:
        """`<workspace>/<algorithm>/<id>`: the `url` column of the rank file and the home of `records.jsonl`."""
        return f"{self.workspace}/{self.algorithm.name}/{self.id}"


@dataclass(frozen=True)
class RunOptions:
    """What the command line says of how to run, as opposed to what to run.

    Attributes:
        limit: Use the first `limit` test items only; None for all.
        seed: Seeds `random`, NumPy and torch at the start of each test case; None leaves them alone.
        jobs: Test cases side by side (processes).
        max_errors: Failed queries a test case survives: a count, or a fraction of the queries if below 1.
        resume: Continue the last run in this workspace.
        quiet: No progress bars, warnings only.
        verbose: Debug messages, and full tracebacks of plug-in errors.
    """

    limit: int | None = None
    seed: int | None = None
    jobs: int = 1
    max_errors: float = 0
    resume: bool = False
    quiet: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class TestCaseResult:
    """What a finished test case leaves for the leaderboard.

    Attributes:
        spec: The test case.
        metrics: Metric name to whatever the metric returned, in testenv order.
        time: Local time at its end, `YYYY-mm-dd HH:MM:SS`.
        outcomes: How many queries ended `ok`, `unparsed`, `error`, `timeout`.
    """

    __test__ = False

    spec: TestCaseSpec
    metrics: Mapping[str, Any]
    time: str
    outcomes: Mapping[str, int] = field(default_factory=dict)
