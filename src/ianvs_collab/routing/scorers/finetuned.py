"""A scorer that fine-tunes a sequence classifier; its score is the expected worth under the predicted classes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import torch

from ianvs_collab.routing.scorer import Input, Scorer
from ianvs_collab.routing.scorers.classifier import Classifier
from ianvs_collab.routing.scorers.finetuning import Epoch, Recipe, fine_tune
from ianvs_collab.routing.scorers.heads import check_lesson
from ianvs_collab.routing.scorers.reading import texts_of
from ianvs_collab.routing.scorers.storage import fitted
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats


@dataclass
class FineTuned(Recipe, Scorer):
    """What the scorers that fine-tune have in common.

    Attributes:
        model: `zoo:...`, a checkpoint folder or a hub name.
        max_tokens: Tokens of a question that are read at most; the rest is cut off.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
        classifier_: What was trained; not there before.
        worth_: Worth of each class, shape (k,).
        history_: Losses of each epoch; empty after `restore`.
    """

    model: str = ""
    max_tokens: int = 512
    device: str = "auto"

    classifier_: Classifier = field(init=False, repr=False, compare=False)
    worth_: Floats = field(init=False, repr=False, compare=False)
    history_: list[Epoch] = field(init=False, repr=False, compare=False, default_factory=list)

    @abstractmethod
    def start(self, classes: int) -> Classifier:
        """The classifier before training; parameters that are to stay as they are require no gradients.

        Raises:
            RouterError: If the settings do not fit the checkpoint.
        """

    def settings(self) -> dict[str, Any]:
        """Settings by name; what was learned is not among them."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.init}

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Fine-tune on labelled queries.

        Raises:
            RouterError: If labels do not fit the queries or are all equal, or a setting is out of its range.
        """
        self.check()
        check_lesson(self.name, len(inputs), target)
        texts = texts_of(inputs)
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.seed)
            self.classifier_ = self.start(target.classes)
            labels = torch.tensor(target.probabilities, dtype=torch.float32)
            self.history_ = fine_tune(self.classifier_, self.classifier_.encode(texts), labels, self, self.name)
        self.worth_ = target.values
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Expected worth of the cloud, shape (len(inputs),)."""
        worth: Floats = self.trained().probabilities(texts_of(inputs), self.batch_size) @ self.worth_
        return worth

    def trained(self) -> Classifier:
        """What was trained.

        Raises:
            RouterError: If nothing has been yet.
        """
        classifier: Classifier = fitted(getattr(self, "classifier_", None), self.name)
        return classifier
