"""Rejection verification, or speculative sampling: the output has the target's distribution whatever the draft's.

A token x drawn from q is accepted with probability min(1, p(x) / q(x)); at the first rejection a token is drawn from
norm(max(0, p - q)), after a whole accepted draft one from p. Leviathan et al. 2023 (arXiv:2211.17192, algorithm 1 and
appendix A.1) and Chen et al. 2023 (arXiv:2302.01318, theorem 1). A proposal that was not drawn at all (a looked-up
n-gram) has a q with all its mass on the token, and the same rule holds.

In the split form (DSSD: Ning et al. 2025, arXiv:2507.12000) the cloud knows only q(x); on a rejection it sends
its row p, and the edge, which has the whole of q, draws the replacement.
"""

from __future__ import annotations

import numpy as np
import torch

from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.sampling import Floats, draw, probabilities
from ianvs_collab.speculative.verification.base import Draft, Verdict


class Rejection:
    """Accepts by the ratio of probabilities.

    Args:
        params: Temperature, top-k and top-p of the target.
        generator: Where the cloud's random numbers come from.
        split: Whether the edge draws replacements.
    """

    def __init__(self, params: SamplingParams, generator: np.random.Generator, *, split: bool = False) -> None:
        self._params, self._generator, self._split = params, generator, split

    def verify(self, draft: Draft, logits: torch.Tensor, first: int) -> Verdict:
        """Judge a draft; see `Verifier.verify`.

        Raises:
            SpeculativeError: If the draft says nothing about q.
        """
        target = probabilities(logits, self._params)
        if self._split:
            target = sendable(target)
        if draft.tokens and draft.chosen is None:
            raise SpeculativeError("rejection needs q of each drafted token; use protocol dssd, quantised-q or full-q")
        for index, token in enumerate(draft.tokens):
            assert draft.chosen is not None
            if not self._accepts(float(target[index, token]), float(draft.chosen[index])):
                return self._reject(index, draft, target[index])
        bonus = draw(target[-1], self._generator.random()) if len(target) > len(draft.tokens) else None
        return Verdict(len(draft.tokens), bonus)

    def _accepts(self, p: float, q: float) -> bool:
        # Without the division there is no 0/0: a token that is impossible for the target is never accepted.
        return self._generator.random() * q < p

    def _reject(self, index: int, draft: Draft, row: Floats) -> Verdict:
        if self._split:
            return Verdict(index, None, row)
        assert draft.rows is not None
        return Verdict(index, replacement(row, draft.rows[index], self._generator.random()))


def replacement(p: Floats, q: Floats, level: float) -> int:
    """Draw from norm(max(0, p - q)).

    Args:
        p: The target's distribution, shape (vocabulary,).
        q: The draft's.
        level: Uniform in [0, 1).
    """
    weights = np.maximum(p - q, 0.0)
    # The two are equal up to rounding: a rejection is then as improbable as rounding, and p is as good.
    return draw(weights if weights.any() else p, level)


def sendable(rows: Floats) -> Floats:
    """Distributions as they are after travelling in float32.

    The cloud accepts by these values, the edge draws replacements from the same, so rounding cannot come between them.
    They are not normalised again: their sum is 1 to float32's rounding.
    """
    return rows.astype(np.float32).astype(np.float64)
