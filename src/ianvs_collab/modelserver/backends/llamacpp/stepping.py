"""The step interface on llama.cpp: every session has a context of its own, so sessions are independent.

The interface is that of `ianvs_collab.modelserver.stepping`. llama.cpp does not hand out hidden states, and
`hidden` says so; everything else is there. Logits come as PyTorch tensors, as from every back-end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NoReturn, Self

import torch

from ianvs_collab.modelserver.backends.llamacpp.context import Context
from ianvs_collab.modelserver.backends.llamacpp.model import GgufModel
from ianvs_collab.modelserver.stepping.ledger import Ledger
from ianvs_collab.modelserver.stepping.protocol import StepError
from ianvs_collab.modelserver.stepping.session import LedgerSession
from ianvs_collab.modelserver.types import ModelServerError, Prompt


@dataclass(frozen=True)
class Engine:
    """What sessions need to know of their model.

    Attributes:
        name: Name of the model, for messages.
        at_work: Context manager that gives the model, one request at a time; raises `ModelServerError` if it is closed.
        new_context: Makes an empty context.
        vocabulary: Number of token ids.
        context: Tokens that a session may hold.
    """

    name: str
    at_work: Callable[[], AbstractContextManager[GgufModel]]
    new_context: Callable[[], Context]
    vocabulary: int
    context: int


class LlamaCppSession(LedgerSession):
    """A `Session` on llama.cpp; `LlamaCppServer.stepper().open()` makes one.

    Args:
        engine: The model.
        ledger: The tokens that `context` holds.
        context: Where they are.
    """

    def __init__(self, engine: Engine, ledger: Ledger, context: Context) -> None:
        super().__init__(ledger)
        self._engine, self._context = engine, context

    def rollback(self, count: int) -> None:
        """Forget the last `count` tokens; see `Session.rollback`.

        Raises:
            StepError: See there; also if the model is a recurrent one, whose memory cannot be cut.
        """
        dropped = self.tokens[self.length - count :] if count else ()
        self._ledger.drop(count)
        try:
            with self._engine.at_work():
                self._context.truncate(self.length)
        except ModelServerError as error:
            self._ledger.append(dropped)
            raise StepError(str(error)) from error

    def fork(self) -> Self:
        """An independent copy; see `Session.fork`.

        Raises:
            StepError: See there; also if there is no memory for another context.
        """
        ledger = self._ledger.copy()
        try:
            with self._engine.at_work():
                return type(self)(self._engine, ledger, self._context.copy())
        except ModelServerError as error:
            raise StepError(str(error)) from error

    def hidden(self, layer: int) -> NoReturn:
        """Hidden states, which llama.cpp does not hand out.

        Raises:
            StepError: Always.
        """
        raise StepError(
            f"back-end 'llamacpp' gives no hidden states (layer {layer} was asked for); use `backend: transformers`"
        )

    def close(self) -> None:
        """Release the cache."""
        self._ledger.close()
        self._context.close()

    def _append(self, tokens: Sequence[int], keep: int) -> torch.Tensor:
        self._ledger.check(tokens)
        try:
            with self._engine.at_work():
                logits = torch.from_numpy(self._context.evaluate(tokens, keep))
        except ModelServerError as error:
            raise StepError(str(error)) from error
        self._ledger.append(tokens)
        return logits


class LlamaCppStepper:
    """A `Stepper` on llama.cpp; `LlamaCppServer.stepper()` makes one.

    Args:
        engine: The model.
        encode: Maps a prompt to tokens.
    """

    def __init__(self, engine: Engine, encode: Callable[[Prompt], list[int]]) -> None:
        self._engine, self._encode = engine, encode
        with engine.at_work() as model:
            self._layers, self._ends = model.layers, model.end_tokens

    @property
    def vocabulary(self) -> int:
        """Number of token ids that the model takes."""
        return self._engine.vocabulary

    @property
    def context(self) -> int:
        """Tokens that a session may hold."""
        return self._engine.context

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self._layers

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a completion."""
        return self._ends

    def encode(self, prompt: Prompt) -> list[int]:
        """Tokens of a prompt; see `Stepper.encode`.

        Raises:
            ModelServerError: See there; also if the model is closed.
        """
        with self._engine.at_work():
            return self._encode(prompt)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special ones left out.

        Raises:
            ModelServerError: If the model is closed.
        """
        with self._engine.at_work() as model:
            return model.decode(list(tokens))

    def open(self, *, hidden: bool = False) -> LlamaCppSession:
        """Begin an empty session.

        Args:
            hidden: Must be False.

        Raises:
            StepError: If hidden states are asked for, there is no memory for a context, or the model is closed.
        """
        if hidden:
            raise StepError("back-end 'llamacpp' gives no hidden states; use `backend: transformers`")
        ledger = Ledger(self._engine.name, self._engine.vocabulary, self._engine.context)
        try:
            with self._engine.at_work():
                return LlamaCppSession(self._engine, ledger, self._engine.new_context())
        except ModelServerError as error:
            raise StepError(str(error)) from error
