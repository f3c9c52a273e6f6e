"""Toy models: a table of logits for each pair of last tokens, exact and instant, checked like a real session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch

from ianvs_collab.modelserver.stepping import Ledger, LedgerSession, Session, greedy
from ianvs_collab.modelserver.types import Prompt, SamplingParams
from ianvs_collab.speculative import make_chooser


class ToySession(LedgerSession):
    def __init__(self, table: torch.Tensor, context: int | None) -> None:
        super().__init__(Ledger("toy", len(table), context))
        self._table, self._context = table, context
        self.steps = 0

    def rollback(self, count: int) -> None:
        self._ledger.drop(count)

    def fork(self) -> Self:
        other = type(self)(self._table, self._context)
        other._ledger = self._ledger.copy()
        return other

    def hidden(self, layer: int) -> torch.Tensor:
        raise NotImplementedError

    def close(self) -> None:
        self._ledger.close()

    def _append(self, tokens: Sequence[int], keep: int) -> torch.Tensor:
        self._ledger.check(tokens)
        text = [0, *self._ledger.tokens[-1:], *tokens]
        self._ledger.append(tokens)
        self.steps += 1
        return torch.stack([self._table[text[i - 1], text[i]] for i in range(len(text) - keep, len(text))])


class ToyStepper:
    """A model over a few tokens; `blur` of another model's table makes a drafter that often agrees with it."""

    def __init__(
        self,
        vocabulary: int = 8,
        seed: int = 0,
        *,
        context: int | None = None,
        ends: Sequence[int] = (),
        scale: float = 2,
    ) -> None:
        self.table = torch.from_numpy(np.random.default_rng(seed).normal(0, scale, (vocabulary,) * 3)).float()
        self.context, self.layers, self.end_tokens = context, 1, frozenset(ends)
        self.room = context
        self.opened: list[ToySession] = []

    @property
    def vocabulary(self) -> int:
        return len(self.table)

    def blurred(self, noise: float, *, context: int | None = None) -> ToyStepper:
        other = ToyStepper(self.vocabulary, context=context, ends=tuple(self.end_tokens))
        other.table = self.table + noise * ToyStepper(self.vocabulary, 99).table
        return other

    def encode(self, prompt: Prompt) -> list[int]:
        assert isinstance(prompt, str)
        return [int(digit) for digit in prompt]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(map(str, tokens))

    def open(self, *, hidden: bool = False) -> Session:
        self.opened.append(ToySession(self.table, self.room))
        return self.opened[-1]


def alone(target: ToyStepper, mode: str, prompt: Sequence[int], params: SamplingParams) -> list[int]:
    """What the target gives without any drafter."""
    with target.open() as session:
        if mode == "greedy":
            return greedy(session, prompt, params.max_tokens, target.end_tokens)
        chooser = make_chooser(mode, params)
        tokens = chooser.choose(session.prefill(prompt)[None], 0).tokens
        while len(tokens) < params.max_tokens and tokens[-1] not in target.end_tokens:
            tokens += chooser.choose(session.step(tokens[-1:]), len(tokens)).tokens
        return tokens
