"""Pipelined speculation: the edge drafts on while blocks and verdicts travel.

With a window of one block this is one-step pre-drafting: the next block is drafted during the round trip and sent as
soon as the verdict says that all of the last one stands. With a larger window blocks are sent without waiting, as in
PEARL (Liu et al. 2025, arXiv:2408.11850), and the link is kept busy. In the steady state a token takes
max(t_d, t_v / γ); a rejection throws away all that is under way, which costs about RTT + t_v + γ·t_d / 2.
"""

from __future__ import annotations

from collections import deque

from ianvs_collab.speculative.loop.exchange import Exchange
from ianvs_collab.speculative.loop.pipelined_edge import PipelinedEdge


def run_pipelined(exchange: Exchange, edge: PipelinedEdge, length: int, stream: int, window: int) -> None:
    """Decode a query that `Exchange.start` has begun.

    The cloud works on a block when it is handed over, and the timeline says when that would have been. That is the
    same, because blocks reach it in the order in which they were sent, and nothing else does.

    Args:
        exchange: The query.
        edge: Its edge half.
        length: Tokens to draft for a block: γ.
        stream: Tokens that the cloud streams when there is no draft.
        window: Blocks that may be under way.
    """
    coming: deque[tuple[bytes, float]] = deque()
    while not edge.finished:
        if coming and coming[0][1] <= exchange.timeline.now:
            exchange.commit(*coming.popleft())
        elif edge.ready and edge.outstanding < window:
            payload = exchange.message(edge.take_ready)
            coming.extend(exchange.verdicts(payload, exchange.send(payload)))
        elif edge.may_draft:
            exchange.draft_ahead(lambda: edge.draft_ahead(length))
        elif coming:
            exchange.commit(*coming.popleft())
        else:
            payload = exchange.message(lambda: edge.request_stream(stream))
            coming.extend(exchange.verdicts(payload, exchange.send(payload)))
