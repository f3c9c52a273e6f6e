"""What is counted over a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from ianvs_collab.speculative.protocols import Shape, id_bytes, varint_bytes
from ianvs_collab.speculative.verification import Verdict


@dataclass
class Tally:
    """Counts of blocks and tokens.

    Attributes:
        blocks: Blocks with a draft.
        drafted: Drafted tokens.
        accepted: Drafted tokens that stood.
        committed: Tokens that blocks with a draft committed.
        streamed: Tokens that the cloud sent without a draft.
        alone: Tokens that the drafter wrote on its own, because the cloud was lost.
        stale: Verdicts that came late or twice, and were ignored.
        rejected: Blocks in which a token was rejected.
        drafted_id_bytes: LEB128 bytes of all drafted ids.
        verdict_id_bytes: LEB128 bytes of the ids in the verdicts on drafts.
        verdict_ids: How many of those there are.
        offered: At index i, blocks whose token i was looked at: the ones before it stood.
        stood: At index i, blocks whose token i stood.
    """

    blocks: int = 0
    drafted: int = 0
    accepted: int = 0
    committed: int = 0
    streamed: int = 0
    alone: int = 0
    stale: int = 0
    rejected: int = 0
    drafted_id_bytes: int = 0
    verdict_id_bytes: int = 0
    verdict_ids: int = 0
    offered: list[int] = field(default_factory=list)
    stood: list[int] = field(default_factory=list)

    @property
    def acceptance(self) -> float | None:
        """Share of the tokens looked at that stood: α of the formulas; None if there were none."""
        return sum(self.stood) / sum(self.offered) if self.offered else None

    def judge(self, tokens: Sequence[int], verdict: Verdict, committed: int) -> None:
        """Count a verdict.

        Args:
            tokens: The draft; none for a streamed token.
            verdict: What became of it.
            committed: How many tokens were appended to the completion.
        """
        if not tokens:
            self.streamed += committed
            return
        self.blocks += 1
        self.drafted += len(tokens)
        self.accepted += verdict.accepted
        self.rejected += verdict.accepted < len(tokens)
        self.committed += committed
        self.drafted_id_bytes += id_bytes(tokens)
        if verdict.token is not None:
            self.verdict_id_bytes += varint_bytes(verdict.token)
            self.verdict_ids += 1
        self._count_positions(len(tokens), verdict.accepted)

    def shape(self, vocabulary: int) -> Shape:
        """What the closed formulas of the protocols need, for at least one block.

        Args:
            vocabulary: Number of token ids.
        """
        return Shape(
            self.drafted / self.blocks,
            self.committed / self.blocks,
            self.drafted_id_bytes / self.drafted,
            self.verdict_id_bytes / max(1, self.verdict_ids),
            vocabulary,
            rejected=self.rejected / self.blocks,
        )

    def _count_positions(self, drafted: int, accepted: int) -> None:
        missing = max(0, drafted - len(self.offered))
        self.offered += [0] * missing
        self.stood += [0] * missing
        for index in range(min(accepted + 1, drafted)):
            self.offered[index] += 1
            self.stood[index] += index < accepted

    def add(self, other: Tally) -> None:
        """Add the counts of another query."""
        for counter in fields(self):
            if counter.type == "int":
                setattr(self, counter.name, getattr(self, counter.name) + getattr(other, counter.name))
        longer = max(len(self.offered), len(other.offered))
        for name in ("offered", "stood"):
            mine, theirs = (list(getattr(side, name)) for side in (self, other))
            padded = [values + [0] * (longer - len(values)) for values in (mine, theirs)]
            setattr(self, name, [a + b for a, b in zip(*padded, strict=True)])
