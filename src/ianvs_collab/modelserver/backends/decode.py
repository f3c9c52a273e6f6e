"""The decoding loop of the transformers back-end: one forward pass a token, each token timed when it is known.

`generate()` of transformers does the same work, but tells nothing about when a token was there, and prepares every
step for features that are not used here; on a model of two layers that is a fifth of the time. Greedy results are
those of `generate()`, token for token.
"""

from __future__ import annotations

import inspect
import time
from typing import Any, Protocol

import torch

from ianvs_collab.modelserver.backends.growing import Growing
from ianvs_collab.modelserver.backends.sampling import logprobs_of, make_chooser
from ianvs_collab.modelserver.backends.stopping import Stopping
from ianvs_collab.modelserver.types import SamplingParams


class Steps(Protocol):
    """A model at work on a batch, one token a row and step."""

    @property
    def rows(self) -> int:
        """Number of prompts."""
        ...

    def logits(self) -> torch.Tensor:
        """Logits (rows, vocabulary) in float32 for the token after the last one."""
        ...

    def append(self, tokens: torch.Tensor) -> None:
        """Make these tokens (rows,) the next step's input."""
        ...


class Forward:
    """Calls a causal language model step by step, keeping its cache.

    Args:
        model: A causal language model of transformers.
        prompts: Token ids of each prompt, none empty; shorter ones are padded on the left.
        pad: Id to pad with; it is masked, so any valid one does.
    """

    def __init__(self, model: Any, prompts: list[list[int]], pad: int) -> None:
        self._model = model
        self._known = _accepted(model)
        self._cache: Any = None
        self.rows = len(prompts)
        longest = max(map(len, prompts))
        padded = [[pad] * (longest - len(ids)) + ids for ids in prompts]
        self._tokens = torch.tensor(padded, device=model.device)
        self._mask: torch.Tensor | None = None
        if any(len(ids) != longest for ids in prompts):
            real = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
            self._mask = torch.tensor(real, device=model.device)

    def logits(self) -> torch.Tensor:
        """Logits (rows, vocabulary) in float32 for the token after the last one."""
        options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in self._known else {}
        if self._mask is not None:
            options["attention_mask"] = self._mask
            if "position_ids" in self._known:
                positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
                options["position_ids"] = positions[:, -self._tokens.shape[1] :]
        output = self._model(input_ids=self._tokens, past_key_values=self._cache, use_cache=True, **options)
        self._cache = output.past_key_values
        logits: torch.Tensor = output.logits[:, -1]
        return logits.float()

    def append(self, tokens: torch.Tensor) -> None:
        """Make these tokens (rows,) the next step's input."""
        self._tokens = tokens[:, None]
        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], 1)


def decode(steps: Steps, params: SamplingParams, stopping: Stopping, start: float) -> list[Growing]:
    """Complete all prompts of a batch.

    Args:
        steps: The model with the prompts.
        params: How to decode.
        stopping: Says when a completion ends.
        start: Start of the request, by `time.perf_counter()`.

    Returns:
        One row for each prompt. In a batch all rows of a step get their token at the same time.
    """
    rows = [Growing(params, stopping) for _ in range(steps.rows)]
    choose = make_chooser(params, len(rows))
    while True:
        logits = steps.logits()
        tokens = choose(logits)
        logprobs = logprobs_of(logits, tokens).tolist() if params.logprobs else None
        chosen = tokens.tolist()  # waits for the device, so the time below is when the token is known
        now = time.perf_counter() - start
        for index, row in enumerate(rows):
            if row.finish_reason is None:
                row.append(chosen[index], now, logprobs[index] if logprobs is not None else None)
        if all(row.finish_reason for row in rows):
            return rows
        steps.append(tokens)


_signatures: dict[type, frozenset[str]] = {}


def _accepted(model: Any) -> frozenset[str]:
    """Names of the arguments that the model's forward pass takes."""
    kind = type(model)
    if kind not in _signatures:
        _signatures[kind] = frozenset(inspect.signature(kind.forward).parameters)
    return _signatures[kind]
