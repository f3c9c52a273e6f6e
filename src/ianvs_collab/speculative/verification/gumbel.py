"""Shared-seed Gumbel coupling: draft and target perturb their log-probabilities with the same noise.

argmax(log p + Gumbel noise) is a draw from p. With noise keyed by seed and position, the target's token is fixed by the
seed, whatever the drafter does, and a draft that takes argmax(log q + the same noise) hits it with a probability of at
least (1 - d) / (1 + d), where d is the total variation distance of p and q. No distribution travels. Daliri, Musco and
Suresh 2024, "Coupling without Communication and Drafter-Invariant Speculative Decoding" (arXiv:2408.07978).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative.noise import gumbel
from ianvs_collab.speculative.sampling import Floats, probabilities
from ianvs_collab.speculative.verification.base import Choice


@dataclass(frozen=True)
class Gumbel:
    """Draws by perturbed log-probabilities.

    Attributes:
        params: Temperature, top-k and top-p.
        seed: Key of the noise.
    """

    params: SamplingParams
    seed: int

    def choose(self, logits: torch.Tensor, first: int) -> Choice:
        """The tokens of this seed; see `Chooser.choose`. Margins are differences of perturbed log-probabilities."""
        scores = self._scores(logits, first)
        return Choice(scores.argmax(-1).tolist(), [_margin(row) for row in scores])

    def take(self, logits: torch.Tensor, position: int) -> int:
        """One token; see `Chooser.take`."""
        return int(self._scores(logits[None], position)[0].argmax())

    def _scores(self, logits: torch.Tensor, first: int) -> Floats:
        rows = probabilities(logits, self.params)
        with np.errstate(divide="ignore"):  # the logarithm of a token that is out is minus infinity, which never wins
            scores: Floats = np.log(rows)
        for index, row in enumerate(scores):
            np.add(row, gumbel(self.seed, first + index, len(row)), out=row)
        return scores


def _margin(scores: Floats) -> float:
    if len(scores) == 1:
        return math.inf
    second, best = np.partition(scores, -2)[-2:]
    return float(best - second)
