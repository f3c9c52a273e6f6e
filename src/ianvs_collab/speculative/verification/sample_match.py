"""Sample-match: the target draws its own token at every position, and a draft stands while it is the one drawn.

The draws come from the inverse cumulative distribution at uniform levels keyed by seed and position, so the output is
that of the target sampling alone with this seed. Nothing but ids travels, and the edge needs no seed; but a token is
accepted with p(x) only, less often than by rejection. llama.cpp verifies this way.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative.noise import uniforms
from ianvs_collab.speculative.sampling import Floats, draw, probabilities
from ianvs_collab.speculative.verification.base import Choice


@dataclass(frozen=True)
class SampleMatch:
    """Draws by the inverse cumulative distribution.

    Attributes:
        params: Temperature, top-k and top-p.
        seed: Key of the levels.
    """

    params: SamplingParams
    seed: int

    def choose(self, logits: torch.Tensor, first: int) -> Choice:
        """The tokens of this seed; see `Chooser.choose`. Margins are distances of a level to the token's ends."""
        tokens, margins = [], []
        for index, row in enumerate(probabilities(logits, self.params)):
            level = float(uniforms(self.seed, first + index, 1)[0])
            tokens.append(draw(row, level))
            margins.append(_margin(row, tokens[-1], level))
        return Choice(tokens, margins)

    def take(self, logits: torch.Tensor, position: int) -> int:
        """One token; see `Chooser.take`."""
        return self.choose(logits[None], position).tokens[0]


def _margin(row: Floats, token: int, level: float) -> float:
    below = float(row[:token].sum())
    return min(abs(level - below), abs(below + float(row[token]) - level))
