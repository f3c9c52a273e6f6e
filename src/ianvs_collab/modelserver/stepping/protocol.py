"""Token-level control of a model: feed tokens, look at the logits, take tokens back, branch.

`generate` is enough to ask a model. Algorithms in which two models work on one text (speculative decoding, early exit,
a cloud that verifies what the edge drafted) have to stop between tokens, and to undo some. A `Session` is one text
with its key-value cache; a `Stepper` opens sessions. The interface is the same for every back-end that has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from ianvs_collab.modelserver.types import ModelServer, ModelServerError, Prompt

if TYPE_CHECKING:  # a job that only calls an API does not load torch
    import torch


class StepError(ModelServerError):
    """A session cannot do what it was asked to; it is as it was before."""


class Session(Protocol):
    """One text that grows and shrinks token by token; also a context manager that closes it.

    A session belongs to one thread at a time. Sessions of one model take turns.
    """

    @property
    def tokens(self) -> tuple[int, ...]:
        """The text so far."""
        ...

    @property
    def length(self) -> int:
        """Number of tokens so far."""
        ...

    def prefill(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append tokens whose own logits are of no interest, such as a prompt.

        Returns:
            Logits for the token after the last one, shape (vocabulary,), float32.

        Raises:
            StepError: If there are no tokens, one is not in the vocabulary, they do not fit into the context, memory
                runs out, or the session or its model is closed.
        """
        ...

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append tokens in one forward pass.

        Returns:
            Logits, shape (len(tokens), vocabulary), float32; row i is for the token after `tokens[i]`.

        Raises:
            StepError: As `prefill`.
        """
        ...

    def rollback(self, count: int) -> None:
        """Forget the last `count` tokens, as if they had never been there.

        Raises:
            StepError: If `count` is negative or larger than `length`, or the session is closed.
        """
        ...

    def fork(self) -> Self:
        """An independent copy: what happens to one of the two does not show in the other.

        Raises:
            StepError: If the session is closed.
        """
        ...

    def hidden(self, layer: int) -> torch.Tensor:
        """Hidden states of those tokens of the last `prefill` or `step` that have not been rolled back.

        Args:
            layer: 0 for the embeddings, i for the output of layer i. The last one is what the output embedding reads,
                that is after the final normalisation.

        Returns:
            Shape (tokens, width), in the precision of the model.

        Raises:
            StepError: If the session was opened without `hidden=True`, there is no such layer, there is no such token,
                or the session is closed.
        """
        ...

    def close(self) -> None:
        """Release the cache. Closing twice is harmless."""
        ...

    def __enter__(self) -> Self:
        """The session itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        ...


class Stepper(Protocol):
    """Opens sessions on a model, and translates between its tokens and text."""

    @property
    def vocabulary(self) -> int:
        """Number of token ids that the model takes."""
        ...

    @property
    def context(self) -> int | None:
        """Tokens that a session may hold, or None if the model does not say."""
        ...

    @property
    def layers(self) -> int:
        """Number of layers, the largest argument of `Session.hidden`."""
        ...

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a completion."""
        ...

    def encode(self, prompt: Prompt) -> list[int]:
        """Tokens of a prompt, a chat rendered by the model's template.

        Raises:
            ModelServerError: If the prompt is empty, or a chat is given and there is no template.
        """
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special ones left out."""
        ...

    def open(self, *, hidden: bool = False) -> Session:
        """Begin an empty session.

        Args:
            hidden: Whether to keep each call's hidden states, for `Session.hidden`.

        Raises:
            StepError: If the model is closed.
        """
        ...


@runtime_checkable
class Steppable(Protocol):
    """A model server with a step interface."""

    def stepper(self) -> Stepper:
        """The step interface."""
        ...


def open_stepper(server: ModelServer) -> Stepper:
    """The step interface of a model server.

    Raises:
        ModelServerError: If its back-end has none.
    """
    if isinstance(server, Steppable):
        return server.stepper()
    raise ModelServerError(
        f"back-end {server.info.backend!r} of model {server.info.model!r} completes texts, but cannot be driven token "
        "by token; use one with a step interface, e.g. `backend: transformers`"
    )
