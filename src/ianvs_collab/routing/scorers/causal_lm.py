"""A causal language model as router: its last token's state is classified, and low-rank adapters are trained.

LoRA (Hu et al., ICLR 2022) leaves the model's own weights alone, so what is saved is a few adapters and the head, and
one model may answer and route. Needs peft: `pip install "ianvs-collab[lora]"`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ianvs_collab.modelserver.backends.hf_loading import quiet
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import scorer
from ianvs_collab.routing.scorers.classifier import Classifier, check_files, load_classifier
from ianvs_collab.routing.scorers.finetuned import FineTuned
from ianvs_collab.routing.scorers.storage import reading

ADAPTERS, CONFIGURATION, CLASSES = "adapter_model.safetensors", "adapter_config.json", "classes.json"


@scorer("causal-lm")
@dataclass
class CausalLmScorer(FineTuned):
    """Fine-tunes a causal language model by low-rank adapters.

    Attributes:
        model: `zoo:edge`, a checkpoint folder or a hub name, e.g. `TinyLlama/TinyLlama-1.1B-Chat-v1.0`.
        rank: Of the adapters.
        alpha: Adapters are scaled by alpha / rank.
        dropout: Of the adapters' input.
    """

    model: str = "zoo:edge"
    rate: float = 2e-4
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05

    def start(self, classes: int) -> Classifier:
        """The model with a new head and new adapters on all its linear layers.

        Raises:
            ModelServerError: If there is no such checkpoint.
            RouterError: If peft is missing or a setting of the adapters is out of its range.
        """
        peft = _peft()
        if not isinstance(self.rank, int) or self.rank < 1:
            raise RouterError(f"rank must be a whole number from 1 up, not {self.rank!r}")
        if not 0 <= self.dropout < 1:
            raise RouterError(f"dropout must be a fraction from 0 to below 1, not {self.dropout!r}")
        classifier = self._base(classes)
        adapters = peft.LoraConfig(
            task_type="SEQ_CLS",
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules="all-linear",
        )
        with _calm():
            classifier.model = peft.get_peft_model(classifier.model, adapters)
        return classifier

    def save(self, folder: Path) -> None:
        """Write adapters and head as safetensors, and what each class is worth."""
        model: Any = self.trained().model
        model.peft_config["default"].base_model_name_or_path = self.model  # a locator, and no path of this machine
        with quiet():
            model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # an empty form that names a path of this machine
        (folder / CLASSES).write_text(json.dumps({"worth": self.worth_.tolist()}) + "\n", encoding="utf-8")

    def restore(self, folder: Path) -> None:
        """Read what `save` wrote, and load the language model itself.

        Raises:
            ModelServerError: If the language model is not there any more.
            RouterError: If a file is missing or damaged, or peft is missing.
        """
        peft = _peft()
        check_files(folder, ADAPTERS, CONFIGURATION, CLASSES)
        with reading(folder / CLASSES):
            worth = np.array(json.loads((folder / CLASSES).read_text(encoding="utf-8"))["worth"], dtype=float)
        classifier = self._base(len(worth))
        with reading(folder), quiet(), _calm():
            classifier.model = peft.PeftModel.from_pretrained(classifier.model, str(folder)).eval()
        self.classifier_, self.worth_ = classifier, worth

    def _base(self, classes: int) -> Classifier:
        return load_classifier(self.model, classes=classes, max_tokens=self.max_tokens, device=self.device)


@contextmanager
def _calm() -> Iterator[None]:
    """Keep back warnings that peft uses names which transformers is giving up; a user cannot mend that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _peft() -> ModuleType:
    try:
        import peft  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise RouterError("the scorer 'causal-lm' needs peft; type: pip install \"ianvs-collab[lora]\"") from error
    return peft
