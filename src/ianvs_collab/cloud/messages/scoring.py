"""How probable a given continuation is: the log-probability of each of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ianvs_collab.cloud.errors import Refusal
from ianvs_collab.cloud.handling import handles
from ianvs_collab.cloud.messages.steps import prefill
from ianvs_collab.cloud.messages.texts import check_tokens, prompt_tokens
from ianvs_collab.cloud.wire.fields import FLAG, JSON, REALS, TOKEN_IDS
from ianvs_collab.cloud.wire.message import message

if TYPE_CHECKING:
    import torch

    from ianvs_collab.cloud.server.call import Call
    from ianvs_collab.modelserver.stepping.protocol import Session

_ROWS = 64  # rows of logits in memory at once


@message(30)
@dataclass(frozen=True)
class Score:
    """Request: how probable a continuation is. Reply: `Scored`.

    Attributes:
        prompt: A text, a list of messages, or a list of token ids.
        continuation: Tokens that follow it, at least one.
    """

    prompt: Annotated[Any, JSON]
    continuation: Annotated[tuple[int, ...], TOKEN_IDS]


@message(31)
@dataclass(frozen=True)
class Scored:
    """Reply: log-probabilities.

    Attributes:
        logprobs: Natural logarithm of each token's probability, given all before it.
        greedy: Whether each token is the most probable one at its place.
    """

    logprobs: Annotated[tuple[float, ...], REALS]
    greedy: Annotated[bool, FLAG]


@handles(Score)
async def score(call: Call, request: Score) -> Scored:
    """Tell how probable a continuation is."""
    tokens = request.continuation
    if not tokens:
        raise Refusal("request", "there is nothing to score; give the tokens of a continuation")
    check_tokens(call, tokens)
    prompt = await prompt_tokens(call, request.prompt)
    async with call.texts.temporary(call) as text:
        logprobs, greedy = await prefill(call, text, 0, prompt, lambda logits: _rate(logits[None], tokens[:1]))
        for start in range(0, len(tokens) - 1, _ROWS):
            fed = tokens[start : min(start + _ROWS, len(tokens) - 1)]
            more, also = await call.compute(_rate_next, text.session, fed, tokens[start + 1 : start + 1 + len(fed)])
            logprobs, greedy = logprobs + more, greedy and also
    return Scored(tuple(logprobs), greedy)


def _rate_next(session: Session, fed: tuple[int, ...], following: tuple[int, ...]) -> tuple[list[float], bool]:
    return _rate(session.step(fed), following)


def _rate(logits: torch.Tensor, tokens: tuple[int, ...]) -> tuple[list[float], bool]:
    """Log-probability of each row's token, and whether all are the most probable."""
    import torch  # noqa: PLC0415 - a client has no use for it

    from ianvs_collab.modelserver.backends.sampling import logprobs_of  # noqa: PLC0415

    ids = torch.tensor(tokens, device=logits.device)
    values: list[float] = logprobs_of(logits, ids).tolist()
    return values, bool((logits.argmax(-1) == ids).all())
