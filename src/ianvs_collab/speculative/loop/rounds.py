"""What one round took: how far a query was before it, and what has come since."""

from __future__ import annotations

from dataclasses import dataclass

from ianvs_collab.speculative.loop.exchange import Exchange
from ianvs_collab.speculative.loop.lengths import Round


@dataclass(frozen=True)
class Mark:
    """How far a query is.

    Attributes:
        now: Seconds on its timeline.
        tokens: Of its completion.
        drafted: Tokens of all blocks.
        offered: Of these, looked at.
        stood: Of these, standing.
        verified: Verdicts.
    """

    now: float
    tokens: int
    drafted: int
    offered: int
    stood: int
    verified: int

    @classmethod
    def of(cls, exchange: Exchange) -> Mark:
        """How far a query is now."""
        tally = exchange.edge.tally
        counts = (tally.drafted, sum(tally.offered), sum(tally.stood), len(exchange.meter.verify_s))
        return cls(exchange.timeline.now, len(exchange.edge.tokens), *counts)

    def verify_s(self, exchange: Exchange) -> list[float]:
        """Seconds of each verification since then, on the deployment's cloud."""
        return [exchange.timeline.duration("cloud", seconds) for seconds in exchange.meter.verify_s[self.verified :]]

    def round(self, exchange: Exchange, sent: float, *, first: bool) -> Round:
        """The round that began then and ends now.

        Args:
            exchange: The query.
            sent: When its block left, on the timeline.
            first: Whether it was the first of the query.
        """
        after, verify_s = Mark.of(exchange), sum(self.verify_s(exchange))
        return Round(
            drafted=after.drafted - self.drafted,
            offered=after.offered - self.offered,
            stood=after.stood - self.stood,
            answers=after.verified - self.verified,
            first=first,
            draft_s=sent - self.now,
            verify_s=verify_s,
            other_s=max(0.0, after.now - sent - verify_s),
        )
