"""A fine-tuned encoder: RoBERTa, DeBERTa, MiniLM, or any other checkpoint that classifies sequences.

What it learned is an ordinary Hugging Face checkpoint, whose configuration also holds what each class is worth, so that
it can be used without this program, and passed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ianvs_collab.modelserver.backends.hf_loading import quiet
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import scorer
from ianvs_collab.routing.scorers.classifier import Classifier, check_files, load_classifier
from ianvs_collab.routing.scorers.finetuned import FineTuned
from ianvs_collab.routing.scorers.storage import reading

WORTH = "worth"
"""Key of the checkpoint's configuration that holds what sending a query of each class to the cloud is worth."""


@scorer("encoder")
@dataclass
class EncoderScorer(FineTuned):
    """Fine-tunes an encoder.

    Attributes:
        model: `zoo:router`, a checkpoint folder or a hub name, e.g. `roberta-base` or `microsoft/deberta-v3-large`.
        frozen_layers: Embeddings and this many lower layers stay as they are; 0 trains all, embeddings too.
        from_scratch: Take the checkpoint's architecture and tokenizer alone and learn from random weights.
    """

    model: str = "zoo:router"
    frozen_layers: int = 0
    from_scratch: bool = False

    def start(self, classes: int) -> Classifier:
        """The checkpoint with a head for so many classes.

        Raises:
            ModelServerError: If there is no such checkpoint.
            RouterError: If it has fewer layers than are to be frozen.
        """
        classifier = load_classifier(
            self.model,
            classes=classes,
            max_tokens=self.max_tokens,
            device=self.device,
            from_scratch=self.from_scratch,
        )
        if self.frozen_layers:
            _freeze(classifier.model, self.frozen_layers)
        return classifier

    def save(self, folder: Path) -> None:
        """Write a Hugging Face checkpoint."""
        trained = self.trained()
        setattr(trained.model.config, WORTH, self.worth_.tolist())
        with quiet():
            trained.model.save_pretrained(folder)
            trained.tokenizer.save_pretrained(folder)

    def restore(self, folder: Path) -> None:
        """Read a checkpoint that `save` wrote.

        Raises:
            RouterError: If a file is missing or damaged.
        """
        check_files(folder, "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
        with reading(folder):
            classifier = load_classifier(str(folder), classes=None, max_tokens=self.max_tokens, device=self.device)
        worth = getattr(classifier.model.config, WORTH, None)
        if not isinstance(worth, list) or len(worth) != classifier.model.config.num_labels:
            raise RouterError(
                f"{folder / 'config.json'}: `{WORTH}` must hold a number for each class, not {worth!r}; "
                "train the router again"
            )
        self.classifier_, self.worth_ = classifier, np.array(worth, dtype=float)


def _freeze(model: Any, layers: int) -> None:
    """Keep embeddings and the lowest layers from being trained."""
    body = getattr(model, model.base_model_prefix)
    stacks = [module for module in body.modules() if isinstance(module, nn.ModuleList)]
    stack = max(stacks, key=len, default=nn.ModuleList())
    if not 0 < layers <= len(stack):
        raise RouterError(f"frozen_layers must lie between 0 and the encoder's {len(stack)} layers, not at {layers!r}")
    for module in (model.get_input_embeddings(), getattr(body, "embeddings", None), *list(stack)[:layers]):
        if module is not None:
            module.requires_grad_(False)
