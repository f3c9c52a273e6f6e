"""How good an answer is: the number q that labels are made of. Higher is better, whatever the function.

- `correctness`: 1 for the right option, else 0.
- `OptionLikelihood`: how much of its belief a language model puts on the right option.
- `BartScore`: how well an answer and a reference follow from one another under a sequence-to-sequence model, for free
  text (Yuan, Neubig & Liu, BARTScore, NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from scipy.special import log_softmax

from ianvs_collab.modelserver.backends.hf_loading import context_length, load_checkpoint
from ianvs_collab.routing.bartscore import BartScore, bart_score
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.tokens import Rows, by_length, check_lengths, likelihoods, padded
from ianvs_collab.routing.traces.trace import Floats

__all__ = ["BartScore", "OptionLikelihood", "bart_score", "correctness"]


def correctness(answers: Sequence[str | None], gold: Sequence[str]) -> Floats:
    """1 where the option that an answer names is the right one, else 0; shape (n,).

    Args:
        answers: Letter of the option that each answer names, or None where it names none.
        gold: Letter of the right option.

    Raises:
        RouterError: If their lengths differ.
    """
    check_lengths(answers=answers, gold=gold)
    return np.array([given == right for given, right in zip(answers, gold, strict=True)], dtype=float)


@dataclass
class OptionLikelihood:
    """How likely a causal language model finds each option as the continuation of its question.

    Attributes:
        model: `zoo:edge`, a checkpoint folder or a hub name.
        length: `mean` compares the options' mean log-likelihood per token, which does not favour short ones; `sum` the
            log-likelihood of the whole option.
        separator: Stands between question and option.
        batch_size: Options that are read at once.
        max_tokens: Tokens of question and option together; a longer question loses its beginning.
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        ModelServerError: If the model cannot be loaded.
        RouterError: If `length` is neither.
    """

    model: str
    length: Literal["mean", "sum"] = "mean"
    separator: str = " "
    batch_size: int = 16
    max_tokens: int = 1024
    device: str = "auto"
    _checkpoint: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Load the model."""
        if self.length not in ("mean", "sum"):
            raise RouterError(f"length must be 'mean' or 'sum', not {self.length!r}")
        self._checkpoint = load_checkpoint(self.model, dtype="auto", device=self.device, revision=None, attention=None)
        self.max_tokens = min(self.max_tokens, context_length(self._checkpoint.model) or self.max_tokens)

    def log_probabilities(self, prompts: Sequence[str], choices: Sequence[Mapping[str, str]]) -> list[dict[str, float]]:
        """The logarithm of the softmax over the options' log-likelihoods, by letter, for each question.

        Args:
            prompts: Questions, up to where the answer begins.
            choices: Options of each question by letter.

        Raises:
            RouterError: If their lengths differ, a question has no option, or an option does not fit.
        """
        check_lengths(prompts=prompts, choices=choices)
        for number, options in enumerate(choices):
            if not options:
                raise RouterError(f"question {number} has no options to compare")
        pairs = [(prompt, text) for prompt, options in zip(prompts, choices, strict=True) for text in options.values()]
        found = self._likelihoods(pairs)
        ends = np.cumsum([0, *map(len, choices)])
        parts = [log_softmax(found[start:end]).tolist() for start, end in pairwise(ends)]
        return [dict(zip(given, part, strict=True)) for given, part in zip(choices, parts, strict=True)]

    def quality(self, prompts: Sequence[str], choices: Sequence[Mapping[str, str]], gold: Sequence[str]) -> Floats:
        """Log-probability of the right option, shape (n,), at most 0.

        Raises:
            RouterError: As `log_probabilities`, or if a right option is not among the options.
        """
        check_lengths(prompts=prompts, gold=gold)
        check_lengths(prompts=prompts, choices=choices)
        for number, (options, right) in enumerate(zip(choices, gold, strict=True)):
            if right not in options:
                raise RouterError(f"question {number}: {right!r} is none of its options {', '.join(options)}")
        found = self.log_probabilities(prompts, choices)
        return np.array([given[right] for given, right in zip(found, gold, strict=True)])

    def _likelihoods(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        tokenizer = self._checkpoint.tokenizer
        rows, written = [], []
        for prompt, text in pairs:
            option = tokenizer(self.separator + text, add_special_tokens=False)["input_ids"]
            room = self.max_tokens - len(option)
            if room < 1:
                raise RouterError(
                    f"the option {text!r:.60} has {len(option)} tokens; the model reads {self.max_tokens}"
                )
            rows.append([*tokenizer(prompt)["input_ids"][-room:], *option])
            written.append(len(option))
        result = np.empty(len(rows))
        for chosen in by_length([len(row) for row in rows], self.batch_size):
            result[chosen] = self._batch([rows[index] for index in chosen], [written[index] for index in chosen])
        return result

    @torch.inference_mode()
    def _batch(self, rows: Rows, written: Sequence[int]) -> Floats:
        model = self._checkpoint.model
        ids, mask = padded(rows, 0, model.device)
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
        ends = mask.sum(dim=1, keepdim=True)
        place = torch.arange(1, ids.shape[1], device=ids.device)
        counted = (place < ends) & (place >= ends - torch.tensor(written, device=ids.device)[:, None])
        return likelihoods(logits, ids[:, 1:], counted, mean=self.length == "mean")
