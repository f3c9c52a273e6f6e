"""Rounds or a stream, whichever a planning policy says.

It is `run_synchronous` for policies that plan whole answers: they are told where an answer ends, and may have the
drafter guess what a stream will bring while its first token is on its way. That takes only time in which the edge would
wait, and tells what drafting would be worth. With a `BranchingEdge` the edge also drafts ahead and in branches while a
verdict is on its way, as long as the policy expects to have time for.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from ianvs_collab.speculative.drafters import Drafter
from ianvs_collab.speculative.drafters.model import Doubt
from ianvs_collab.speculative.loop.branching import BranchingEdge
from ianvs_collab.speculative.loop.exchange import Exchange
from ianvs_collab.speculative.loop.lengths import Planning, Round
from ianvs_collab.speculative.loop.rounds import Mark
from ianvs_collab.speculative.protocols import MAX_TOKENS
from ianvs_collab.speculative.verification.base import common_prefix

_TINY = 1e-9


@runtime_checkable
class Heeding(Protocol):
    """A drafter that ends a block where it does not believe in it any more, and says how sure it is."""

    least: float
    """A block ends where the drafter gives all of it less probability."""
    doubting: bool
    doubts: list[Doubt]


def run_controlled(exchange: Exchange, policy: Planning, drafter: Drafter, stream: int) -> None:
    """Decode a query that `Exchange.start` has begun, and `Planning.begin` has been told of.

    Args:
        exchange: The query.
        policy: How many tokens to draft for a block, or whether to stream.
        drafter: The edge's drafter, to be looked at.
        stream: Tokens that the cloud streams when the drafter proposes nothing; a length of 0 streams the whole rest.
    """
    first = True
    while not exchange.edge.finished:
        policy.observe(_round(exchange, policy, drafter, stream, first))
        first = False
    policy.end(len(exchange.edge.tokens))


def _round(exchange: Exchange, policy: Planning, drafter: Drafter, stream: int, first: bool) -> Round:
    """Draft, send, use the time until something comes, and take it."""
    edge, before, length = exchange.edge, Mark.of(exchange), policy.choose()
    if isinstance(drafter, Heeding):
        drafter.least, drafter.doubting = policy.least(), True
    wanted = stream if length else MAX_TOKENS
    if isinstance(edge, BranchingEdge):
        edge.least = policy.least()
        payload = _block_ahead(exchange, edge, length, wanted)
    else:
        payload = exchange.draft(lambda: edge.block(length, wanted))
    doubts = edge.doubts_under_way if isinstance(edge, BranchingEdge) else _doubts(drafter, length)
    sent = exchange.timeline.now
    exchange.post(payload)
    if isinstance(edge, BranchingEdge):
        _draft_on(exchange, edge, length, policy.spare(len(doubts), first=first))
    look = _Look(exchange, drafter, policy.look() if first and not length else 0)
    while edge.outstanding and not edge.finished:
        exchange.take()
    look.tell(policy, edge.tokens[before.tokens :])
    return _measured(exchange, before, sent, doubts, first=first)


def _doubts(drafter: Drafter, length: int) -> list[Doubt]:
    """Of the tokens that were just drafted."""
    return drafter.doubts if length and isinstance(drafter, Heeding) else []


def _block_ahead(exchange: Exchange, edge: BranchingEdge, length: int, stream: int) -> bytes:
    """What the edge has drafted ahead, and more if that is too little; as a message."""
    edge.bonus = True
    if not length:
        edge.close_block()
    while length and edge.may_draft:
        exchange.draft_ahead(lambda: edge.draft_ahead(length))
    return exchange.message(edge.take_ready if edge.ready else lambda: edge.request_stream(stream))


def _draft_on(exchange: Exchange, edge: BranchingEdge, length: int, spare: int) -> None:
    """Draft ahead and in branches, up to so many tokens, until a verdict comes."""
    while spare > 0 and edge.may_draft and not exchange.arrived:
        exchange.draft_ahead(lambda: edge.draft_ahead(length))
        spare -= 1


class _Look:
    """A guess at what a stream will bring."""

    def __init__(self, exchange: Exchange, drafter: Drafter, tokens: int) -> None:
        self._wanted, self._guess = tokens, list[int]()
        if tokens:
            exchange.draft_ahead(lambda: self._guess.extend(drafter.draft(tokens).tokens))
            self._seconds = exchange.timeline.duration("edge", exchange.meter.draft_s[-1])

    def tell(self, policy: Planning, came: Sequence[int]) -> None:
        """Tell the policy what came of it."""
        if self._wanted:
            stood = common_prefix(self._guess, came)
            offered = min(stood + 1, len(self._guess), len(came))
            policy.looked(len(self._guess), offered, stood, self._seconds)


def _measured(exchange: Exchange, before: Mark, sent: float, doubts: Sequence[Doubt], *, first: bool) -> Round:
    measured, verify_s, draft_s = before.round(exchange, sent, first=first), before.verify_s(exchange), None
    if isinstance(exchange.edge, BranchingEdge) and not first and exchange.meter.draft_s[1:]:
        # Some of the block was drafted in earlier rounds, token by token.
        each_s = exchange.timeline.duration("edge", statistics.fmean(exchange.meter.draft_s[1:]))
        draft_s = measured.drafted * each_s
    doubted = [-math.log(max(doubt.certainty, _TINY)) for doubt in doubts[: measured.offered]]
    stood, rejected = doubted[: measured.stood], doubted[measured.stood :]
    return replace(
        measured,
        draft_s=measured.draft_s if draft_s is None else draft_s,
        begin_s=verify_s[0] if verify_s else None,
        mistrust=sum(stood) + sum(rejected) / 2 if doubts else None,
    )
