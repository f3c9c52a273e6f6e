"""What is verified, what comes out, and what every verifier can do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ianvs_collab.speculative.sampling import Floats


@dataclass(frozen=True, slots=True)
class Draft:
    """Tokens that the edge proposes, and how it came by them.

    Attributes:
        tokens: The proposal.
        rows: Distributions that they were drawn from, shape (tokens, vocabulary); None where only ids travel, and at
            the cloud where only `chosen` travels.
        chosen: Probability that each token had in its row, shape (tokens,); None where only ids travel.
    """

    tokens: list[int]
    rows: Floats | None = None
    chosen: Floats | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a draft.

    Attributes:
        accepted: How many drafted tokens stand.
        token: The token after them; None if the edge has to draw it from `row`, or if all stand and no bonus is wanted.
        row: The target's distribution at the rejected token, shape (vocabulary,), where the edge draws.
        margin: How near the decision was to another one: the smallest distance between the best and the second-best
            score at any committed token. Infinite where tokens are not compared by score. Stays at the cloud.
    """

    accepted: int
    token: int | None
    row: Floats | None = None
    margin: float = math.inf


class Verifier(Protocol):
    """Decides at the cloud how much of a draft stands, so that the output is the target's."""

    def verify(self, draft: Draft, logits: torch.Tensor, first: int) -> Verdict:
        """Judge a draft; an empty one only asks for the next token.

        Args:
            draft: Up to any number of tokens.
            logits: The target's, row i for the token at i: shape (tokens + 1, vocabulary), or (tokens, vocabulary)
                where no bonus token is wanted.
            first: Index in the completion of the first token.
        """
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """The tokens that the target itself takes.

    Attributes:
        tokens: One for each row of logits.
        margins: How far ahead of the next one each was, in the score by which they are compared.
    """

    tokens: list[int]
    margins: list[float]


class Chooser(Protocol):
    """A rule that fixes the target's token from its logits and the position alone.

    Where there is such a rule, only ids have to travel: whatever was drafted, the output is what the rule gives.
    """

    def choose(self, logits: torch.Tensor, first: int) -> Choice:
        """The target's tokens.

        Args:
            logits: Shape (rows, vocabulary).
            first: Index in the completion of row 0's token.
        """
        ...

    def take(self, logits: torch.Tensor, position: int) -> int:
        """One token alone, without its margin: what `choose` gives for these logits.

        Args:
            logits: Shape (vocabulary,).
            position: Index in the completion.
        """
        ...


@dataclass(frozen=True)
class Matching:
    """The verifier of every rule that fixes the target's token: a draft stands as long as it is what the rule gives.

    Attributes:
        chooser: The rule.
    """

    chooser: Chooser

    def verify(self, draft: Draft, logits: torch.Tensor, first: int) -> Verdict:
        """Judge a draft; see `Verifier.verify`."""
        choice = self.chooser.choose(logits, first)
        accepted = common_prefix(draft.tokens, choice.tokens)
        token = choice.tokens[accepted] if accepted < len(choice.tokens) else None
        return Verdict(accepted, token, margin=min(choice.margins[: accepted + 1]))


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two sequences have in common from the start."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
