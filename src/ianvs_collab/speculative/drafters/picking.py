"""How the edge takes a token from the draft model's logits, so that the verifier's rule fits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative.sampling import Floats, draw, probabilities
from ianvs_collab.speculative.verification.base import Chooser, Draft


class Picker(Protocol):
    """Takes tokens at the edge."""

    def pick(self, logits: torch.Tensor, position: int) -> tuple[int, Floats | None]:
        """Take one token.

        Args:
            logits: The draft model's, shape (vocabulary,).
            position: Index of the token in the completion.

        Returns:
            The token and the distribution it was drawn from, shape (vocabulary,), or None if that does not travel.
        """
        ...

    def draft(self, tokens: Sequence[int], rows: Sequence[Floats]) -> Draft:
        """A draft of tokens that `pick` gave, with their distributions."""
        ...

    def certain(self, tokens: Sequence[int]) -> Draft:
        """A draft of tokens that were not drawn but found: each has q = 1."""
        ...


@dataclass(frozen=True)
class FixedPicker:
    """Takes the token that a rule fixes; only ids travel.

    Attributes:
        chooser: The rule: greedy, or the target's own with the same seed.
    """

    chooser: Chooser

    def pick(self, logits: torch.Tensor, position: int) -> tuple[int, Floats | None]:
        """Take one token; see `Picker.pick`."""
        return self.chooser.take(logits, position), None

    def draft(self, tokens: Sequence[int], rows: Sequence[Floats]) -> Draft:
        """A draft of picked tokens; see `Picker.draft`."""
        return Draft(list(tokens))

    def certain(self, tokens: Sequence[int]) -> Draft:
        """A draft of found tokens; see `Picker.certain`."""
        return Draft(list(tokens))


@dataclass(frozen=True)
class DrawingPicker:
    """Draws from q, after it was rounded to what the protocol can send.

    Attributes:
        params: Temperature, top-k and top-p.
        generator: Where the edge's random numbers come from.
        round: The protocol's rounding.
        vocabulary: Number of token ids of the target.
    """

    params: SamplingParams
    generator: np.random.Generator
    round: Callable[[Floats], Floats]
    vocabulary: int

    def pick(self, logits: torch.Tensor, position: int) -> tuple[int, Floats | None]:
        """Take one token; see `Picker.pick`."""
        row = self.round(probabilities(logits[None], self.params)[0])
        return draw(row, self.generator.random()), row

    def draft(self, tokens: Sequence[int], rows: Sequence[Floats]) -> Draft:
        """A draft of picked tokens; see `Picker.draft`."""
        together = np.stack(rows)
        return Draft(list(tokens), together, together[np.arange(len(tokens)), list(tokens)])

    def certain(self, tokens: Sequence[int]) -> Draft:
        """A draft of found tokens; see `Picker.certain`."""
        rows = np.zeros((len(tokens), self.vocabulary))
        rows[np.arange(len(tokens)), list(tokens)] = 1
        return Draft(list(tokens), rows, np.ones(len(tokens)))
