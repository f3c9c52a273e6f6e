"""The tokens of a session and what may be done to them, checked the same way for every back-end.

Everything is checked before a model sees it: an id outside the vocabulary would stop a GPU for good, and a position
beyond the context gives an answer, only a meaningless one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ianvs_collab.modelserver.stepping.protocol import StepError


class Ledger:
    """The tokens of one session.

    Args:
        model: Name of the model, for messages.
        vocabulary: Number of token ids.
        context: Tokens that fit, or None for any number.
    """

    def __init__(self, model: str, vocabulary: int, context: int | None) -> None:
        self._model, self._vocabulary, self._context = model, vocabulary, context
        self._tokens: list[int] = []
        self._closed = False

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens so far."""
        return tuple(self._tokens)

    def __len__(self) -> int:
        """Number of tokens so far."""
        return len(self._tokens)

    def since(self, position: int) -> list[int]:
        """The tokens from a position on."""
        return self._tokens[position:]

    def check_open(self) -> None:
        """Refuse to work on a closed session.

        Raises:
            StepError: If it is closed.
        """
        if self._closed:
            raise StepError(f"the session of model {self._model!r} is closed; open another one")

    def check(self, tokens: Sequence[int]) -> None:
        """Refuse tokens that cannot be appended.

        Raises:
            StepError: If the session is closed, there are no tokens, one is not in the vocabulary, or they do not fit.
        """
        self.check_open()
        if not tokens:
            raise StepError(f"model {self._model!r} was given no tokens; a step needs at least one")
        for token in tokens:
            if not 0 <= token < self._vocabulary:
                raise StepError(
                    f"token {token} is not in the vocabulary of model {self._model!r}, whose ids are 0 to "
                    f"{self._vocabulary - 1}; are these another model's tokens?"
                )
        need = len(self._tokens) + len(tokens)
        if self._context is not None and need > self._context:
            raise StepError(
                f"the session of model {self._model!r} has {len(self._tokens)} tokens, {len(tokens)} more make {need}, "
                f"but the context is {self._context}; use a shorter prompt, or roll back first"
            )

    def append(self, tokens: Sequence[int]) -> None:
        """Append tokens that `check` has let through."""
        self._tokens.extend(tokens)

    def drop(self, count: int) -> None:
        """Take the last `count` tokens off.

        Raises:
            StepError: If the session is closed, or there are not as many.
        """
        self.check_open()
        if not 0 <= count <= len(self._tokens):
            raise StepError(
                f"the session of model {self._model!r} cannot be rolled back by {count}: it has {len(self._tokens)} "
                f"tokens; give a number from 0 to {len(self._tokens)}"
            )
        del self._tokens[len(self._tokens) - count :]

    def copy(self) -> Ledger:
        """An independent copy.

        Raises:
            StepError: If the session is closed.
        """
        self.check_open()
        other = Ledger(self._model, self._vocabulary, self._context)
        other.append(self._tokens)
        return other

    def close(self) -> None:
        """Close the session."""
        self._closed = True
