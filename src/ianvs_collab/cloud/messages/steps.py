"""The step interface over the wire: sessions with their key-value cache on the worker.

Each request says at which position of the text it starts (`at`). The worker first forgets what it holds beyond that
position. So a rollback costs no message of its own, and a request whose predecessor failed half-way means the same as
if that had never been.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

from ianvs_collab.cloud.errors import Refusal
from ianvs_collab.cloud.handling import handles
from ianvs_collab.cloud.messages.admin import Done
from ianvs_collab.cloud.messages.answers import Answer, check_answer, native, shorten
from ianvs_collab.cloud.wire.fields import ANY_TENSOR, FLAG, FLOAT_TENSOR, TOKEN_IDS, UINT
from ianvs_collab.cloud.wire.message import message
from ianvs_collab.cloud.wire.tensors import FLOATS, Tensor, nbytes, pack

if TYPE_CHECKING:
    import torch

    from ianvs_collab.cloud.server.call import Call
    from ianvs_collab.cloud.server.texts import Text
    from ianvs_collab.modelserver.stepping.protocol import Session

T = TypeVar("T")


@message(10)
@dataclass(frozen=True)
class Open:
    """Request: begin a session. Reply: `Done`.

    Attributes:
        branch: Number by which this stream will call it.
        hidden: Whether to keep hidden states.
    """

    branch: Annotated[int, UINT]
    hidden: Annotated[bool, FLAG]


@message(11)
@dataclass(frozen=True)
class Step:
    """Request: append tokens. Reply: `Scores`.

    Attributes:
        branch: The session.
        at: Its length before the tokens.
        tokens: The tokens.
        whole: Whether the answer is about every token, or about the last one only (a prompt).
        form: What the answer is, an `Answer`.
        top: How many tokens `Answer.TOP` tells of for each position.
        dtype: Type of the logits, an index into `FLOATS`.
    """

    branch: Annotated[int, UINT]
    at: Annotated[int, UINT]
    tokens: Annotated[tuple[int, ...], TOKEN_IDS]
    whole: Annotated[bool, FLAG]
    form: Annotated[int, UINT]
    top: Annotated[int, UINT]
    dtype: Annotated[int, UINT]


@message(12)
@dataclass(frozen=True)
class Scores:
    """Reply: what the model makes of the text; what was not asked for is empty.

    Attributes:
        ids: Most probable tokens, shape (positions,) or (positions, top).
        logits: Shape (positions, vocabulary) or (positions, top).
    """

    ids: Annotated[Tensor, ANY_TENSOR]
    logits: Annotated[Tensor, ANY_TENSOR]


@message(13)
@dataclass(frozen=True)
class Fork:
    """Request: copy a session. Reply: `Done`.

    Attributes:
        branch: The session.
        at: Its length.
        copy: Number of the new one.
    """

    branch: Annotated[int, UINT]
    at: Annotated[int, UINT]
    copy: Annotated[int, UINT]


@message(14)
@dataclass(frozen=True)
class Hidden:
    """Request: hidden states of the last step's tokens. Reply: `States`.

    Attributes:
        branch: The session.
        at: Its length.
        layer: Which layer, as in `Session.hidden`.
        dtype: Their type, an index into `FLOATS` from 1 on; 0 for the model's own.
    """

    branch: Annotated[int, UINT]
    at: Annotated[int, UINT]
    layer: Annotated[int, UINT]
    dtype: Annotated[int, UINT]


@message(15)
@dataclass(frozen=True)
class States:
    """Reply: hidden states.

    Attributes:
        states: Shape (tokens, width).
    """

    states: Annotated[Tensor, FLOAT_TENSOR]


@message(16)
@dataclass(frozen=True)
class Close:
    """Request: free a session. Reply: `Done`.

    Attributes:
        branch: The session.
    """

    branch: Annotated[int, UINT]


@handles(Open)
async def open_session(call: Call, request: Open) -> Done:
    """Begin a session."""
    from ianvs_collab.cloud.server.texts import Text  # noqa: PLC0415 - a client has no use for it

    hidden = request.hidden
    await call.texts.add(call, request.branch, lambda: Text(call.host.stepper.open(hidden=hidden), hidden))
    return Done()


@handles(Step)
async def step(call: Call, request: Step) -> Scores:
    """Append tokens."""
    text = call.texts.get(request.branch)
    if len(request.tokens) > call.host.limits.prompt_tokens:
        raise Refusal(
            "limit", f"a request may bring {call.host.limits.prompt_tokens} tokens, not {len(request.tokens)}; send two"
        )
    check_answer(call, request.form, request.top, request.dtype, len(request.tokens) if request.whole else 1)
    if request.whole:
        return await call.compute(_step, text, request)
    return await prefill(call, text, request.at, request.tokens, lambda logits: _scores(logits[None], request))


@handles(Fork)
async def fork(call: Call, request: Fork) -> Done:
    """Copy a session."""
    from ianvs_collab.cloud.server.texts import Text  # noqa: PLC0415

    text = call.texts.get(request.branch)

    def make() -> Text:
        rewind(text.session, request.at)
        return Text(text.session.fork(), text.hidden)

    await call.texts.add(call, request.copy, make)
    return Done()


@handles(Hidden)
async def hidden_states(call: Call, request: Hidden) -> States:
    """Tell hidden states of the last step's tokens."""
    text = call.texts.get(request.branch)
    if request.dtype > len(FLOATS):
        raise Refusal("request", f"there is no type {request.dtype} for hidden states; 0 to {len(FLOATS)} are")
    return await call.compute(_hidden, call.host.limits.reply_bytes, text.session, request)


@handles(Close)
async def close(call: Call, request: Close) -> Done:
    """Free a session."""
    call.texts.get(request.branch)
    call.texts.drop(request.branch)
    return Done()


def rewind(session: Session, length: int) -> None:
    """Forget what a session has beyond a length.

    Raises:
        Refusal: If it is shorter.
    """
    if session.length < length:
        raise Refusal("request", f"the session has {session.length} tokens, not {length}; something was not sent")
    if session.length > length:
        session.rollback(session.length - length)


async def prefill(call: Call, text: Text, at: int, tokens: tuple[int, ...], finish: Callable[[torch.Tensor], T]) -> T:
    """Append a prompt, a part at a time, so that deadlines and cancellation are seen in between.

    Args:
        call: The request.
        text: The session.
        at: Its length before the prompt.
        tokens: The prompt.
        finish: Function of the logits (vocabulary,) after the last token, run in the model's thread.

    Returns:
        What `finish` makes of them.
    """
    # Hidden states are those of the last call, so a session that keeps them gets the prompt in one.
    size = max(len(tokens), 1) if text.hidden else call.host.limits.chunk
    last = max(len(tokens) - 1, 0) // size * size
    for start in range(0, last, size):
        await call.compute(_extend, text.session, at + start, tokens[start : start + size])
    return await call.compute(lambda: finish(_extend(text.session, at + last, tokens[last:])))


def _extend(session: Session, at: int, tokens: tuple[int, ...]) -> torch.Tensor:
    rewind(session, at)
    return session.prefill(tokens)


def _step(text: Text, request: Step) -> Scores:
    rewind(text.session, request.at)
    return _scores(text.session.step(request.tokens), request)


def _scores(logits: torch.Tensor, request: Step) -> Scores:
    return Scores(*shorten(logits, Answer(request.form), request.top, FLOATS[request.dtype]))


def _hidden(limit: int, session: Session, request: Hidden) -> States:
    rewind(session, request.at)
    states = session.hidden(request.layer)
    dtype = FLOATS[request.dtype - 1] if request.dtype else native(states)
    if nbytes(dtype, tuple(states.shape)) > limit:
        raise Refusal("limit", f"these hidden states are longer than a reply may be, {limit} bytes; send fewer tokens")
    return States(pack(states, dtype))
