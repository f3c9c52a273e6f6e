"""Pipelined speculation: the edge drafts on while blocks and verdicts travel.

With a window of one block this is one-step pre-drafting: the next block is drafted during the round trip, a guess at
the bonus token first, and sent as soon as the verdict says that all of this stands. With a larger window blocks are
sent without waiting, as in PEARL (Liu et al. 2025, arXiv:2408.11850), and the link is kept busy. In the steady state a
token takes max(t_d, t_v / γ); a rejection throws away all that is under way, which costs about RTT + t_v + γ·t_d / 2.
"""

from __future__ import annotations

from ianvs_collab.speculative.loop.exchange import Exchange
from ianvs_collab.speculative.loop.pipelined_edge import PipelinedEdge


def run_pipelined(exchange: Exchange, edge: PipelinedEdge, length: int, stream: int, window: int) -> None:
    """Decode a query that `Exchange.start` has begun.

    Args:
        exchange: The query.
        edge: Its edge half.
        length: Tokens to draft for a block: γ.
        stream: Tokens that the cloud streams when there is no draft.
        window: Blocks that may be under way.
    """
    edge.bonus = window == 1
    while not edge.finished:
        if edge.outstanding and exchange.arrived:
            exchange.take()
        elif edge.ready and edge.outstanding < window:
            exchange.post(exchange.message(edge.take_ready))
        elif edge.may_draft:
            exchange.draft_ahead(lambda: edge.draft_ahead(length))
        elif edge.outstanding:
            exchange.take()
        else:
            exchange.post(exchange.message(lambda: edge.request_stream(stream)))
