"""A sequence classifier of transformers: loaded safely, fed by tokens, read as class probabilities."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from ianvs_collab.modelserver.backends.hf import default_threads
from ianvs_collab.modelserver.backends.hf_loading import TRUST_VARIABLE, quiet
from ianvs_collab.modelserver.locate import resolve_model
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.tokens import Rows, by_length, padded
from ianvs_collab.routing.traces.trace import Floats

_PAD_OFFSET = ("roberta", "xlm-roberta", "camembert")
"""Architectures that count positions from the padding id + 1, so that fewer tokens fit than there are positions."""


@dataclass
class Classifier:
    """A model that gives each text a distribution over classes.

    Attributes:
        model: In evaluation mode, on its device, in float32.
        tokenizer: Its tokenizer.
        longest: Tokens of a text that are read; what comes after them is cut off.
        cores: Threads that an operation may use; None for PyTorch's own choice.
    """

    model: Any
    tokenizer: Any
    longest: int
    cores: int | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return torch.device(self.model.device)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts, cut to what is read; at least one each."""
        if not texts:
            return []
        rows = self.tokenizer(list(texts), truncation=True, max_length=self.longest)["input_ids"]
        return [row or [self.tokenizer.pad_token_id] for row in rows]

    def logits(self, rows: Rows) -> Tensor:
        """Class logits of one batch, shape (len(rows), k); rows are padded on the right."""
        ids, mask = padded(rows, self.tokenizer.pad_token_id, self.device)
        logits: Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        return logits

    @torch.inference_mode()
    def probabilities(self, texts: Sequence[str], batch_size: int) -> Floats:
        """Class probabilities, shape (len(texts), k); texts of similar length share a batch."""
        rows = self.encode(texts)
        result = np.empty((len(rows), self.model.config.num_labels))
        with self.threads():
            for chosen in by_length([len(row) for row in rows], batch_size):
                result[chosen] = self.logits([rows[index] for index in chosen]).double().softmax(-1).cpu().numpy()
        return result

    @contextmanager
    def threads(self) -> Iterator[None]:
        """Run a small model on one thread, as the model server does: on a busy machine two only wait for each other."""
        before = torch.get_num_threads()
        if self.cores in (None, before):
            yield
            return
        torch.set_num_threads(self.cores or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def load_classifier(
    name: str, *, classes: int | None, max_tokens: int, device: str = "auto", from_scratch: bool = False
) -> Classifier:
    """Load a checkpoint as a sequence classifier; a head that it lacks, or of another width, is made anew at random.

    Args:
        name: `zoo:router`, a folder or a hub name.
        classes: Number of classes; None for the checkpoint's own.
        max_tokens: Tokens of a text to read at most; less where the model takes less.
        device: `auto`, `cpu`, `cuda`, ...
        from_scratch: Take the architecture alone, with random weights.

    Raises:
        ModelServerError: If there is no such checkpoint, or it has no safetensors.
        RouterError: If it cannot be read as a sequence classifier, or lacks other weights than the head's.
    """
    path = resolve_model(name)
    common: dict[str, Any] = {"trust_remote_code": os.environ.get(TRUST_VARIABLE) == "1"}
    labels = {} if classes is None else {"num_labels": classes}
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, **common)
            config = AutoConfig.from_pretrained(path, **common, **labels)
            pad = _pad(name, tokenizer, config)
            model = _untrained(config, common) if from_scratch else _pretrained(name, path, config, common)
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            if isinstance(error, RouterError):
                raise
            first = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise RouterError(f"model {name!r} cannot be read as a sequence classifier: {first}") from error
    model.config.pad_token_id = pad
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    cores = default_threads(sum(parameter.numel() for parameter in model.parameters())) if place == "cpu" else None
    return Classifier(model.to(place).eval(), tokenizer, min(max_tokens, positions(config, tokenizer)), cores)


def positions(config: Any, tokenizer: Any) -> int:
    """Tokens that a model can take."""
    text = config.get_text_config()
    offset = (config.pad_token_id or 0) + 1 if config.model_type in _PAD_OFFSET else 0
    limits = (getattr(text, "max_position_embeddings", None), tokenizer.model_max_length)
    known = [limit for limit in limits if isinstance(limit, int) and limit > 0]
    return min(known) - offset if known else 2**31


def check_files(folder: Path, *files: str) -> None:
    """See that files of a checkpoint are there, since transformers makes do without some, and with pickled weights.

    Raises:
        RouterError: If one is not.
    """
    for file in files:
        if not (folder / file).is_file():
            raise RouterError(f"{folder} holds no {file}, so what was learned is lost; train the router again")


def _pad(name: str, tokenizer: Any, config: Any) -> int:
    """The id to pad with: the tokenizer's, else the end of text, which causal language models are padded with."""
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise RouterError(f"model {name!r}: its tokenizer has neither a padding nor an end-of-text token")
        tokenizer.pad_token = tokenizer.eos_token
    return int(tokenizer.pad_token_id)


def _untrained(config: Any, common: dict[str, Any]) -> Any:
    make: Any = AutoModelForSequenceClassification.from_config  # carries no types
    return make(config, dtype=torch.float32, **common)


def _pretrained(name: str, path: str, config: Any, common: dict[str, Any]) -> Any:
    model, report = AutoModelForSequenceClassification.from_pretrained(
        path,
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **common,
    )
    body = f"{model.base_model_prefix}."
    lost = sorted(key for key in report["missing_keys"] if key.startswith(body) and ".pooler." not in key)
    lost += sorted(str(entry[0]) for entry in report["mismatched_keys"] if str(entry[0]).startswith(body))
    if lost:
        raise RouterError(
            f"model {name!r} lacks {len(lost)} of the weights that its configuration asks for (first: {lost[0]}); they "
            "would be random, so it is not used. Does config.json belong to these weights?"
        )
    return model
