"""What a test environment file holds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ianvs_collab.configuration.checking import Section

Text = Annotated[str, Field(min_length=1)]

# Options that the paradigms read from the testenv file besides the fields of `TestEnv`.
PARADIGM_OPTIONS = ("hard_example_mining_mode", "if_mode_llm", "gpu_num")
# Keys of `dataset` that older Ianvs files have; Ianvs overwrites what they say.
OLD_KEYS = ("train_url", "test_url")


def _model_eval() -> dict[str, Any]:
    return {"model_metric": {"mode": "", "name": "", "url": ""}, "threshold": 0.9, "operator": ">"}


class Metric(Section):
    """A metric: `name` is what its file registers."""

    name: Text
    url: str | None = None


class DatasetSpec(Section):
    """Paths of training and test data, as the user wrote them; of each trio the first that is given is used."""

    train_index: str | None = None
    train_data: str | None = None
    train_data_info: str | None = None
    test_index: str | None = None
    test_data: str | None = None
    test_data_info: str | None = None
    label: str | None = None

    @property
    def train(self) -> str | None:
        """The training file in effect."""
        return self.train_index or self.train_data or self.train_data_info

    @property
    def test(self) -> str | None:
        """The test file in effect."""
        return self.test_index or self.test_data or self.test_data_info


class TestEnv(Section):
    """The section `testenv:`; defaults are Ianvs's."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    dataset: DatasetSpec
    metrics: Annotated[list[Metric], Field(min_length=1)]
    model_eval: Any = Field(default_factory=_model_eval)
    incremental_rounds: Annotated[int, Field(ge=2)] = 2
    round: Any = 1
    client_number: Any = 1
    use_gpu: Any = False
