"""The `Stepper` of a model of transformers: what it is, its words, and its sessions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ianvs_collab.modelserver.stepping.causal_lm import CausalSession, Engine
from ianvs_collab.modelserver.types import Prompt


@dataclass(frozen=True)
class CausalStepper:
    """Opens sessions on a causal language model of transformers; `TransformersServer.stepper()` makes one.

    Attributes:
        engine: The model.
        tokenise: Function from a prompt to its tokens.
        tokenizer: Tokenizer of transformers.
        end_tokens: Tokens that end a completion.
    """

    engine: Engine
    tokenise: Callable[[Prompt], list[int]]
    tokenizer: Any
    end_tokens: frozenset[int]

    @property
    def vocabulary(self) -> int:
        """Number of token ids that the model takes."""
        return self.engine.vocabulary

    @property
    def context(self) -> int | None:
        """Tokens that a session may hold, or None if the model does not say."""
        return self.engine.context

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self.engine.layers

    def encode(self, prompt: Prompt) -> list[int]:
        """Tokens of a prompt, a chat rendered by the model's template.

        Raises:
            ModelServerError: If the prompt is empty, or a chat is given and there is no template.
        """
        return self.tokenise(prompt)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special ones left out."""
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def open(self, *, hidden: bool = False) -> CausalSession:
        """Begin an empty session.

        Args:
            hidden: Whether to keep each call's hidden states.

        Raises:
            ModelServerError: If the model is closed.
        """
        with self.engine.at_work():
            return CausalSession(self.engine, hidden)


def engine_of(name: str, model: Any, context: int | None, at_work: Callable[[], AbstractContextManager[Any]]) -> Engine:
    """What sessions need to know of a loaded model.

    Args:
        name: Name of the model, for messages.
        model: A causal language model of transformers.
        context: Longest text, or None.
        at_work: See `Engine`.
    """
    return Engine(
        name=name,
        at_work=at_work,
        config=model.config,
        accepts=frozenset(inspect.signature(type(model).forward).parameters),
        vocabulary=model.get_input_embeddings().num_embeddings,
        context=context,
        layers=model.config.get_text_config().num_hidden_layers,
    )
