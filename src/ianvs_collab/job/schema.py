"""What a job file and an algorithm file hold; defaults are Ianvs's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ianvs_collab.configuration.checking import Section
from ianvs_collab.testenv.schema import Text


class AlgorithmEntry(Section):
    """An algorithm of the job: its name in the leaderboard and its file."""

    name: Text
    url: Text


class TestObject(Section):
    """What is compared."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    type: Literal["algorithms"]
    algorithms: Annotated[list[AlgorithmEntry], Field(min_length=1)]


class Visualization(Section):
    """How the leaderboard is shown at the end."""

    mode: Any = None
    method: Any = None


class SelectedDataItem(Section):
    """What of the leaderboard goes into selected_rank.csv; `["all"]` selects everything."""

    paradigms: Annotated[list[str], Field(min_length=1)]
    modules: Annotated[list[str], Field(min_length=1)]
    hyperparameters: list[str]
    metrics: Annotated[list[str], Field(min_length=1)]


class Rank(Section):
    """How the leaderboard is made. A key that is given replaces its default whole."""

    sort_by: list[dict[str, Any]] = Field(default_factory=list)
    visualization: Visualization = Visualization(mode="selected_only", method="print_table")
    selected_dataitem: SelectedDataItem = SelectedDataItem(
        paradigms=["all"], modules=["all"], hyperparameters=["all"], metrics=["all"]
    )
    save_mode: Literal["selected_and_all", "selected_only", "selected_and_all_and_picture"] = "selected_and_all"


class Job(Section):
    """The section `benchmarkingjob:`."""

    name: str = ""
    workspace: str = "./workspace"
    testenv: Text
    test_object: TestObject
    rank: Rank
    hard_example_mining_mode: str | None = None
    simulation: Any = None


class Module(Section):
    """A module of an algorithm: `name` is what its file registers."""

    type: Text
    name: Text
    url: str | None = None
    hyperparameters: list[Any] | None = None


class Package(Section):
    """A package that is imported before the algorithm's modules are."""

    name: str | None = None
    url: Text


def _split(ratio: float) -> dict[str, Any]:
    return {"train_ratio": ratio, "splitting_method": "default"}


def _federated() -> dict[str, Any]:
    return {**_split(1.0), "data_partition": "iid", "non_iid_ratio": 0.6, "label_data_ratio": 1.0}


class Algorithm(Section):
    """The section `algorithm:`. A data setting that is given replaces its default whole."""

    paradigm_type: Text
    modules: Annotated[list[Module], Field(min_length=1)]
    initial_model_url: str = ""
    third_party_packages: list[Package] | None = None
    incremental_learning_data_setting: dict[str, Any] = Field(default_factory=lambda: _split(0.8))
    lifelong_learning_data_setting: dict[str, Any] = Field(default_factory=lambda: _split(0.8))
    fl_data_setting: dict[str, Any] = Field(default_factory=_federated)
    mode: Any = ""
    quantization_type: Any = ""
    llama_quantize_path: Any = ""
    hard_example_mining_mode: str | None = None
