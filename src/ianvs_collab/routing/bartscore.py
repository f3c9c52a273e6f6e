"""BARTScore (Yuan, Neubig & Liu, NeurIPS 2021): grades free text by how likely a seq2seq model finds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from ianvs_collab.modelserver.backends.hf_loading import context_length, quiet
from ianvs_collab.modelserver.locate import resolve_model
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.tokens import Rows, by_length, check_lengths, likelihoods, padded
from ianvs_collab.routing.traces.trace import Floats

Direction = Literal["precision", "recall", "f"]


@dataclass
class BartScore:
    """Conditional log-likelihood of one text given another under a sequence-to-sequence model.

    As in the authors' program it is the mean log-probability of the target's tokens, special tokens included:
    score(source, target) = 1/m · sum_t log p(y_t | y_<t, source). Called with answers and references it grades answers.

    Attributes:
        model: A checkpoint folder or a hub name, e.g. `facebook/bart-large-cnn`.
        direction: `precision` (answer given the reference), `recall` (reference given the answer), or `f`, their mean.
        batch_size: Pairs that are read at once.
        max_tokens: Tokens of a text; the rest is cut off.
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        ModelServerError: If there is no such checkpoint, or it has no safetensors.
        RouterError: If it is no sequence-to-sequence model, or `direction` is none.
    """

    model: str
    direction: Direction = "f"
    batch_size: int = 8
    max_tokens: int = 1024
    device: str = "auto"
    _model: Any = field(init=False, repr=False)
    _tokenizer: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Load the model."""
        if self.direction not in ("precision", "recall", "f"):
            raise RouterError(f"direction must be 'precision', 'recall' or 'f', not {self.direction!r}")
        self._model, self._tokenizer = _seq2seq(self.model)
        place = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        self._model = self._model.to(place).eval()
        limits = (self.max_tokens, self._tokenizer.model_max_length, context_length(self._model))
        self.max_tokens = min(limit for limit in limits if limit is not None)

    def __call__(self, answers: Sequence[str], references: Sequence[str]) -> Floats:
        """Qualities of answers, shape (n,), in nats per token.

        Raises:
            RouterError: If there are not as many references as answers.
        """
        check_lengths(answers=answers, references=references)
        if self.direction == "precision":
            return self.score(references, answers)
        recall = self.score(answers, references)
        return recall if self.direction == "recall" else (recall + self.score(references, answers)) / 2

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> Floats:
        """Mean log-probability of each target's tokens given its source, shape (n,).

        Raises:
            RouterError: If there are not as many targets as sources.
        """
        check_lengths(sources=sources, targets=targets)
        read, written = self._encode(text=sources), self._encode(text_target=targets)
        result = np.empty(len(read))
        lengths = [len(source) + len(target) for source, target in zip(read, written, strict=True)]
        for chosen in by_length(lengths, self.batch_size):
            result[chosen] = self._batch([read[index] for index in chosen], [written[index] for index in chosen])
        return result

    def _encode(self, **texts: Sequence[str]) -> list[list[int]]:
        (given,) = texts.values()
        if not given:
            return []
        texts = {key: list(values) for key, values in texts.items()}
        rows = self._tokenizer(**texts, truncation=True, max_length=self.max_tokens)["input_ids"]
        return [row or [self._model.config.eos_token_id] for row in rows]

    @torch.inference_mode()
    def _batch(self, sources: Rows, targets: Rows) -> Floats:
        pad = self._model.config.pad_token_id
        ids, mask = padded(sources, pad, self._model.device)
        labels, counted = padded(targets, pad, self._model.device)
        before = self._model.prepare_decoder_input_ids_from_labels(labels=labels)
        logits = self._model(input_ids=ids, attention_mask=mask, decoder_input_ids=before).logits
        return likelihoods(logits, labels, counted.bool(), mean=True)


def bart_score(model: str, answers: Sequence[str], references: Sequence[str], **settings: Any) -> Floats:
    """Qualities of answers by `BartScore`, shape (n,); make a `BartScore` yourself to grade more than once.

    Raises:
        ModelServerError, RouterError: As `BartScore`.
    """
    return BartScore(model, **settings)(answers, references)


def _seq2seq(name: str) -> tuple[Any, Any]:
    path = resolve_model(name)
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(path)
            model, report = AutoModelForSeq2SeqLM.from_pretrained(
                path, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            first = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise RouterError(f"model {name!r} cannot be read as a sequence-to-sequence model: {first}") from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise RouterError(f"model {name!r} lacks {len(missing)} weights (first: {missing[0]}), so it cannot grade")
    return model, tokenizer
