"""The step interface on any causal language model of transformers, by its own forward pass.

Whatever the cache does not hold of a session's tokens is fed along with the new ones. Usually that is nothing; after a
failed call, after a rollback that the cache could not follow, or with a model that has no cache, it is the rest of the
text, so that the logits are right in every case and fast in the usual one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

import torch

from ianvs_collab.modelserver.stepping.cache import SessionCache
from ianvs_collab.modelserver.stepping.ledger import Ledger
from ianvs_collab.modelserver.stepping.protocol import StepError
from ianvs_collab.modelserver.stepping.session import LedgerSession


@dataclass(frozen=True)
class Engine:
    """What a session needs to know of its model.

    Attributes:
        name: Name of the model, for messages.
        at_work: Context manager that gives the model, holding its lock, in inference mode; raises `ModelServerError` if
            it is closed.
        config: Its configuration.
        accepts: Names of the arguments that its forward pass takes.
        vocabulary: Number of token ids.
        context: Longest text, or None.
        layers: Number of layers.
    """

    name: str
    at_work: Callable[[], AbstractContextManager[Any]]
    config: Any
    accepts: frozenset[str]
    vocabulary: int
    context: int | None
    layers: int


class CausalSession(LedgerSession):
    """A `Session` on a model of transformers; `TransformersServer.stepper().open()` makes one.

    Args:
        engine: The model.
        hidden: Whether to keep hidden states.
    """

    def __init__(self, engine: Engine, hidden: bool) -> None:
        super().__init__(Ledger(engine.name, engine.vocabulary, engine.context))
        self._engine, self._keeps_hidden = engine, hidden
        self._cache = SessionCache(engine.config)
        self._states: list[torch.Tensor] = []

    def rollback(self, count: int) -> None:
        """Forget the last `count` tokens; see `Session.rollback`.

        Raises:
            StepError: See there.
        """
        self._ledger.drop(count)
        self._cache.crop(len(self._ledger))
        if count:
            self._states = [state[: max(len(state) - count, 0)] for state in self._states]

    def fork(self) -> Self:
        """An independent copy; see `Session.fork`.

        Raises:
            StepError: See there.
        """
        other = type(self)(self._engine, self._keeps_hidden)
        other._ledger = self._ledger.copy()
        other._cache = self._cache.fork()
        other._states = self._states
        return other

    def hidden(self, layer: int) -> torch.Tensor:
        """Hidden states of the last call's tokens; see `Session.hidden`.

        Raises:
            StepError: See there.
        """
        self._ledger.check_open()
        if not self._keeps_hidden:
            raise StepError("this session keeps no hidden states; open it with `open(hidden=True)`")
        if not self._states or not len(self._states[0]):
            raise StepError("there are no hidden states: nothing was appended yet, or all of it was rolled back")
        if not 0 <= layer < len(self._states):
            raise StepError(
                f"model {self._engine.name!r} has no layer {layer}; give 0 (embeddings) to {len(self._states) - 1}"
            )
        return self._states[layer]

    def close(self) -> None:
        """Release the cache."""
        self._ledger.close()
        self._cache.clear()
        self._states = []

    def _append(self, tokens: Sequence[int], keep: int) -> torch.Tensor:
        """Append tokens; logits (keep, vocabulary) of the last `keep`."""
        self._ledger.check(tokens)
        pending = [*self._ledger.since(self._cache.length), *tokens]
        with self._engine.at_work() as model:
            try:
                output = self._forward(model, pending, keep)
            except BaseException as error:
                # Some layers may have got the new tokens and others not.
                self._cache.clear()
                if isinstance(error, torch.OutOfMemoryError):
                    raise StepError(
                        f"model {self._engine.name!r} ran out of memory with {len(self._ledger) + len(tokens)} tokens; "
                        "close other sessions, or use shorter texts, a smaller precision or a smaller model"
                    ) from error
                raise
            logits: torch.Tensor = output.logits[0, -keep:].float()
        self._ledger.append(tokens)
        if self._keeps_hidden:
            self._states = [state[0, -len(tokens) :] for state in output.hidden_states]
        return logits

    def _forward(self, model: Any, pending: list[int], keep: int) -> Any:
        accepts = self._engine.accepts
        options: dict[str, Any] = {}
        if "past_key_values" in accepts:
            options.update(past_key_values=self._cache.values, use_cache=True)
        if "logits_to_keep" in accepts:
            options["logits_to_keep"] = keep
        if self._keeps_hidden:
            options["output_hidden_states"] = True
        output = model(input_ids=torch.tensor([pending], device=model.device), **options)
        if "past_key_values" in accepts:
            self._cache.length += len(pending)
        return output
