"""Greedy verification: a draft stands while it is the target's most probable token.

At the first mismatch the target's token is taken; after a whole accepted draft comes a bonus token. The output is that
of greedy decoding with the target alone (Leviathan et al. 2023, arXiv:2211.17192, with temperature 0), up to rounding:
a forward pass sums several tokens at once in another order than one at a time, so where the two best logits are nearer
to each other than that, the other one may come out. The margin shows where.
"""

from __future__ import annotations

import math

import torch

from ianvs_collab.speculative.verification.base import Choice


class Greedy:
    """Takes the most probable token."""

    def choose(self, logits: torch.Tensor, first: int) -> Choice:
        """The target's tokens; see `Chooser.choose`. Margins are differences of logits."""
        best = logits.topk(min(2, logits.shape[-1])).values
        margins = (best[:, 0] - best[:, -1]).tolist() if logits.shape[-1] > 1 else [math.inf] * len(logits)
        return Choice(logits.argmax(-1).tolist(), margins)

    def take(self, logits: torch.Tensor, position: int) -> int:
        """One token; see `Chooser.take`."""
        return int(logits.argmax())
