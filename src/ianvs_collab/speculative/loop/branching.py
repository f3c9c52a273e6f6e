"""Multi-branch pre-drafting: while a verdict travels, the edge also drafts what would follow if a token were rejected.

A rejection throws away what was drafted beyond it, and the next block has to be drafted while the cloud waits. Most
rejections fall on a token of which the drafter was not sure, and the target then often takes the drafter's second
choice. So in the time in which there is nothing else to draft, the edge goes on from the likeliest of these outcomes.
If one of them comes true, the next block is at hand and leaves at once. The round trip itself stays: the cloud learns
of a branch only after its verdict. Drafting several continuations at once is the idea of SpecInfer's token trees (Miao
et al. 2024, arXiv:2305.09781); here the tree stays at the edge, so that it costs no byte.

The output does not change: a branch is used only behind a token that the target has given.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

import numpy as np

from ianvs_collab.speculative.drafters import Drafter
from ianvs_collab.speculative.drafters.model import Doubt
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.loop.pipelined_edge import PipelinedEdge, ends, joined, stopped
from ianvs_collab.speculative.protocols import Ids
from ianvs_collab.speculative.verification import Draft

BRANCHES = 4
"""Branches that are drafted for the tokens under way."""

_LEAST = 0.02
"""Probability of an outcome below which no branch is drafted for it."""


@runtime_checkable
class Branching(Protocol):
    """A drafter that can be copied in the middle of a query, and says how sure it is."""

    doubting: bool
    doubts: list[Doubt]

    def draft(self, count: int) -> Draft:
        """See `Drafter.draft`."""
        ...

    def commit(self, tokens: Sequence[int]) -> None:
        """See `Drafter.commit`."""
        ...

    def retract(self, count: int) -> None:
        """See `Retracting.retract`."""
        ...

    def fork(self) -> Self:
        """An independent copy at the same place."""
        ...

    def adopt(self, fork: Self) -> None:
        """Go on where a fork is."""
        ...

    def end(self) -> None:
        """See `Drafter.end`."""
        ...


def check_branching(drafter: Drafter) -> Branching:
    """The drafter, if it can draft in branches.

    Raises:
        SpeculativeError: If it cannot.
    """
    if not isinstance(drafter, Branching):
        raise SpeculativeError(
            f"{type(drafter).__name__} cannot draft in branches: it would have to be copied in the middle of a "
            "query; use a ModelDrafter, or `pipelining='asynchronous'`"
        )
    return drafter


@dataclass
class Branch:
    """What would follow one outcome.

    Attributes:
        drafter: At its end.
        draft: The next block, as far as it is drafted.
        doubts: Of its tokens.
        complete: Whether it is as long as it is to be.
        at_end: Whether nothing can follow it.
    """

    drafter: Branching
    draft: Draft = field(default_factory=lambda: Draft([]))
    doubts: list[Doubt] = field(default_factory=list)
    complete: bool = False
    at_end: bool = False


class BranchingEdge(PipelinedEdge):
    """Drafts ahead, and beside that for the likeliest rejections.

    Args:
        drafter: What proposes; its query has begun.
        codec: The protocol.
        generator: For replacements that the edge draws.
        max_tokens: Longest completion.
        end_tokens: Tokens after which it ends.

    Attributes:
        least: A block ends where the drafter believes in all of it with a lower probability; 0 to never end it.
        surprises: Times that the target took another token than what was drafted ahead goes on from.
        foreseen: How many of these had a branch.

    Raises:
        SpeculativeError: If the drafter cannot be copied.
    """

    def __init__(
        self,
        drafter: Drafter,
        codec: Ids,
        generator: np.random.Generator,
        max_tokens: int,
        end_tokens: Collection[int],
    ) -> None:
        super().__init__(drafter, codec, generator, max_tokens, end_tokens)
        self._branching = check_branching(drafter)
        self._branching.doubting = True
        self._doubts: list[Doubt] = []  # of all tokens ahead
        self._branches: dict[tuple[int, int], Branch] = {}  # by the place of the surprise, from the completion's end
        self.least = 0.0
        self.surprises = self.foreseen = 0

    @property
    def doubts_under_way(self) -> list[Doubt]:
        """Of the drafted tokens whose verdict has not come."""
        return self._doubts[: self._under_way]

    @property
    def may_draft(self) -> bool:
        """Whether there may be something to draft, on the main line or on a branch."""
        return super().may_draft or bool(self._sent) and (self._unfinished is not None or self._likeliest is not None)

    def draft_ahead(self, length: int) -> None:
        """Draft the next token of the main line, or of a branch where that has to wait; see `PipelinedEdge`."""
        if super().may_draft:
            super().draft_ahead(length)
            self._doubts += self._branching.doubts
            grown = len(self._growing.tokens)
            if self._hopeless(self._doubts[len(self._doubts) - grown :]):
                self.close_block()
            return
        key = self._unfinished or self._likeliest
        assert key is not None
        if key not in self._branches:
            self._branches[key] = self._branch(*key)
        self._extend(self._branches[key], length, key[0])

    @property
    def _under_way(self) -> int:
        return sum(len(draft.tokens) for draft in self._sent)

    @property
    def _unfinished(self) -> tuple[int, int] | None:
        """The branch that is being drafted."""
        return next((key for key, branch in self._branches.items() if not branch.complete), None)

    @property
    def _likeliest(self) -> tuple[int, int] | None:
        """The most probable outcome without a branch: the place of a surprise, and the token there."""
        if len(self._branches) >= BRANCHES:
            return None
        best, key, reached = _LEAST, None, 1.0
        for place, doubt in enumerate(self._doubts[: self._under_way + self.bonus]):
            probability = reached * (1 - doubt.certainty)
            if probability > best and (place, doubt.other) not in self._branches and self._room_behind(place) > 0:
                best, key = probability, (place, doubt.other)
            reached *= doubt.certainty
        return key

    def _hopeless(self, doubts: Sequence[Doubt]) -> bool:
        return math.prod(doubt.certainty for doubt in doubts) < self.least

    def _room_behind(self, place: int) -> int:
        return self._max_tokens - len(self.tokens) - place - 1

    def _branch(self, place: int, token: int) -> Branch:
        fork = self._branching.fork()
        fork.retract(self._ahead - place)
        fork.commit([token])
        over = token in self._end_tokens
        return Branch(fork, complete=over, at_end=over)

    def _extend(self, branch: Branch, length: int, place: int) -> None:
        if branch.complete:
            return
        room = self._room_behind(place) - len(branch.draft.tokens)
        draft = branch.drafter.draft(1)
        if draft.tokens:
            branch.draft = joined(branch.draft, draft)
            branch.doubts += branch.drafter.doubts
            branch.drafter.commit(draft.tokens)
        branch.at_end = ends(draft, self._end_tokens)
        enough = len(branch.draft.tokens) >= min(length, room)
        branch.complete = enough or branch.at_end or stopped(branch.drafter) or self._hopeless(branch.doubts)

    def _stood(self, count: int) -> None:
        super()._stood(count)
        del self._doubts[:count]
        branches, self._branches = self._branches, {}
        for (place, token), branch in branches.items():
            if place >= count:
                self._branches[place - count, token] = branch
            else:
                branch.drafter.end()

    def _replace(self, kept: int, token: int) -> None:
        branch = self._branches.pop((kept, token), None)
        if self._ahead > kept:
            self.surprises += 1
            self.foreseen += branch is not None
        if branch is None:
            super()._replace(kept, token)
            return
        self._branching.adopt(branch.drafter)
        self._forget()
        self._growing, self._doubts = branch.draft, branch.doubts
        self._ahead, self._at_end = len(branch.draft.tokens), branch.at_end
        self._complete = branch.complete and bool(branch.draft.tokens)

    def _forget(self) -> None:
        super()._forget()
        for branch in self._branches.values():
            branch.drafter.end()
        self._branches, self._doubts = {}, []
