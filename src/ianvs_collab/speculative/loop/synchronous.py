"""Synchronous speculation: draft a block, send it, wait for the verdict, draft the next.

A round takes γ·t_d + RTT + B/BW + t_v and commits N = (1 - α^(γ+1)) / (1 - α) tokens on average, where α is the
probability that a token stands (Leviathan et al. 2023, arXiv:2211.17192, equation 1).
"""

from __future__ import annotations

from ianvs_collab.speculative.loop.exchange import Exchange
from ianvs_collab.speculative.loop.lengths import LengthPolicy, Round
from ianvs_collab.speculative.loop.rounds import Mark
from ianvs_collab.speculative.protocols import MAX_TOKENS


def run_synchronous(exchange: Exchange, lengths: LengthPolicy, stream: int) -> None:
    """Decode a query that `Exchange.start` has begun.

    Args:
        exchange: The query.
        lengths: How many tokens to draft for a block.
        stream: Tokens that the cloud streams when the drafter proposes nothing; a length of 0 streams the whole rest.
    """
    first = True
    while not exchange.edge.finished:
        lengths.observe(_round(exchange, lengths.choose(), stream, first))
        first = False


def _round(exchange: Exchange, length: int, stream: int, first: bool) -> Round:
    """Draft, send, and take what comes."""
    before = Mark.of(exchange)
    payload = exchange.draft(lambda: exchange.edge.block(length, stream if length else MAX_TOKENS))
    sent = exchange.timeline.now
    exchange.post(payload)
    # The last verdict of a stream ends the round; those before it come while the cloud computes on.
    while exchange.edge.outstanding and not exchange.edge.finished:
        exchange.take()
    return before.round(exchange, sent, first=first)
