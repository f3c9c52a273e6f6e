"""The worker's part of speculation: messages that begin a query and bring its blocks, and who answers them.

    ianvs cloud --model zoo:cloud --extension ianvs_collab.speculative.remote.messages

A query is a session of the stream like any other: it counts towards the worker's limits, `Close` frees it, and so does
the end of the stream. Blocks may be sent before the verdicts on earlier ones have come; they are answered in order.
Blocks of several clients that wait for the model are verified in one forward pass.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any
from weakref import WeakKeyDictionary

from ianvs_collab.cloud.errors import Refusal
from ianvs_collab.cloud.handling import handles
from ianvs_collab.cloud.messages.admin import Done
from ianvs_collab.cloud.messages.texts import check_tokens
from ianvs_collab.cloud.server.texts import Text
from ianvs_collab.cloud.wire.bytestream import Reader
from ianvs_collab.cloud.wire.fields import JSON, UINT, Field
from ianvs_collab.cloud.wire.message import message
from ianvs_collab.speculative.batching import BatchedHalf, Batcher, Ticket
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.loop.cloud import CloudHalf
from ianvs_collab.speculative.modes import make_verifier
from ianvs_collab.speculative.protocols import Ids
from ianvs_collab.speculative.remote.terms import Terms

if TYPE_CHECKING:
    from ianvs_collab.cloud.server.call import Call
    from ianvs_collab.cloud.server.host import Host


def _put_rest(out: bytearray, value: bytes) -> None:
    out += value


def _take_rest(reader: Reader) -> bytes:
    return bytes(reader.take(reader.left))


REST = Field(_put_rest, _take_rest)
"""All bytes up to the end of the message; only the last field can be that."""


@message(32)
@dataclass(frozen=True)
class Speculate:
    """Request: begin a query. Reply: `Done`, when the prompt is read or put by.

    Attributes:
        branch: Number by which this stream will call it.
        terms: Fields of `Terms`.
        prompt: The prompt, as the protocol writes it.
    """

    branch: Annotated[int, UINT]
    terms: Annotated[Any, JSON]
    prompt: Annotated[bytes, REST]


@message(33)
@dataclass(frozen=True)
class Verify:
    """Request: judge a block, or stream tokens. Replies: a `Judged` for each verdict.

    Attributes:
        branch: The query.
        block: The block, as the protocol writes it.
    """

    branch: Annotated[int, UINT]
    block: Annotated[bytes, REST]


@message(34)
@dataclass(frozen=True)
class Judged:
    """Reply: a verdict.

    Attributes:
        verdict: As the protocol writes it; empty where there is no further one, after a stream or on a void block.
    """

    verdict: Annotated[bytes, REST]


@dataclass
class Query(Text):
    """A session whose text grows by verdicts.

    Attributes:
        half: What verifies.
        codec: The protocol.
        streaming: Held while a stream is answered. A block behind it is lined up only then; otherwise whoever waits for
            its verdict would compute the whole stream at once, and other clients would not get their turns.
    """

    half: BatchedHalf
    codec: Ids
    streaming: asyncio.Lock = field(default_factory=asyncio.Lock)


_batchers: WeakKeyDictionary[Host, Batcher] = WeakKeyDictionary()


@handles(Speculate)
async def speculate(call: Call, request: Speculate) -> Done:
    """Begin a query."""
    stepper = call.host.stepper
    with _refusing():
        terms = Terms.parse(request.terms)
        codec = terms.codec(stepper.vocabulary)
        _check_length(call, codec.count_prompt(request.prompt))
        prompt = codec.decode_prompt(request.prompt)
    check_tokens(call, tuple(prompt))
    _check_room(stepper.context, len(prompt), terms.max_tokens)
    with _refusing():
        query = await call.texts.add(call, request.branch, lambda: _begin(call.host, terms, codec, request.prompt))
    assert isinstance(query, Query)
    try:  # a part at a time, so that deadlines and other clients are seen in between
        while await call.compute(query.half.read, call.host.limits.chunk):
            pass
    except BaseException:
        call.texts.drop(request.branch)
        raise
    return Done()


@handles(Verify, chained=True)
async def verify(call: Call, request: Verify) -> Judged:
    """Judge a block, or stream tokens."""
    query = call.texts.get(request.branch)
    if not isinstance(query, Query):
        raise Refusal("request", f"session {request.branch} verifies no drafts; begin one that does by `Speculate`")
    with _refusing():
        if query.codec.count_block(request.block):
            async with query.streaming:
                ticket = query.half.post(request.block)
            with _posted(query.half, ticket):
                return Judged(await forward(call, query.half, ticket) or b"")
        async with query.streaming:
            ticket = query.half.post(request.block)
            with _posted(query.half, ticket):
                await _stream(call, query.half, ticket)
    return Judged(b"")


@contextmanager
def _posted(half: BatchedHalf, ticket: Ticket) -> Iterator[None]:
    """In the end nobody waits for the ticket any more."""
    try:
        yield
    finally:
        half.cancel(ticket)


async def _stream(call: Call, half: BatchedHalf, ticket: Ticket) -> None:
    """Send verdicts as they come.

    Two are always asked for, so that the model goes on at once when it has one. Otherwise each token would wait until
    this thread has woken up for the last one and sent it.
    """
    coming = deque(asyncio.ensure_future(forward(call, half, ticket)) for _ in range(2))
    try:
        while (verdict := await coming[0]) is not None:
            coming.popleft()
            coming.append(asyncio.ensure_future(forward(call, half, ticket)))
            await call.send(Judged(verdict))
    finally:
        for waiting in coming:
            waiting.cancel()
        await asyncio.gather(*coming, return_exceptions=True)


async def forward(call: Call, half: BatchedHalf, ticket: Ticket) -> bytes | None:
    """Wait for the next verdict on a block: one forward pass of the target, for all clients whose blocks wait.

    Args:
        call: The request. The pass counts for the request in whose turn it was.
        half: The query.
        ticket: What `half` gave for the block.

    Returns:
        The verdict; None if there is no further one.
    """
    return await call.compute(half.take, ticket)


def batcher_of(host: Host) -> Batcher:
    """What all queries of a worker share."""
    return _batchers.setdefault(host, Batcher())


def _begin(host: Host, terms: Terms, codec: Ids, prompt: bytes) -> Query:
    """Take the prompt; in the model's thread."""
    verifier = make_verifier(terms.mode, terms.params, codec)
    half = CloudHalf(host.stepper, codec, verifier, host.stepper.end_tokens, eager=terms.eager)
    batched = BatchedHalf(half, batcher_of(host))
    try:
        batched.accept(prompt)
    except BaseException:
        half.close()
        raise
    return Query(half.session, False, batched, codec)


def _check_length(call: Call, tokens: int) -> None:
    """Refuse a long prompt before its tokens are read, which would take the time of all clients."""
    limit = call.host.limits.prompt_tokens
    if tokens > limit:
        raise Refusal("limit", f"a prompt may have {limit} tokens, not {tokens}; shorten it")


def _check_room(context: int | None, prompt: int, completion: int) -> None:
    if context is not None and prompt + completion > context:
        raise Refusal(
            "step",
            f"prompt ({prompt} tokens) and completion (max_tokens {completion}) need {prompt + completion} tokens, but "
            f"the target has a context of {context}; shorten the prompt or lower max_tokens",
        )


@contextmanager
def _refusing() -> Iterator[None]:
    """What a client has got wrong is told, not logged as a fault of the worker."""
    try:
        yield
    except SpeculativeError as error:
        raise Refusal("request", str(error)) from error
