"""Between text and tokens, by the model's own tokenizer and chat template on the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ianvs_collab.cloud.errors import Refusal
from ianvs_collab.cloud.handling import handles
from ianvs_collab.cloud.wire.fields import JSON, TEXT, TOKEN_IDS
from ianvs_collab.cloud.wire.message import message
from ianvs_collab.modelserver.types import Prompt

if TYPE_CHECKING:
    from ianvs_collab.cloud.server.call import Call


@message(20)
@dataclass(frozen=True)
class Encode:
    """Request: the tokens of a prompt. Reply: `Tokens`.

    Attributes:
        prompt: A text, or a list of messages with `role` and `content`.
    """

    prompt: Annotated[Any, JSON]


@message(21)
@dataclass(frozen=True)
class Tokens:
    """Reply: tokens.

    Attributes:
        tokens: Their ids.
    """

    tokens: Annotated[tuple[int, ...], TOKEN_IDS]


@message(22)
@dataclass(frozen=True)
class Decode:
    """Request: the text of tokens. Reply: `Words`.

    Attributes:
        tokens: Their ids.
    """

    tokens: Annotated[tuple[int, ...], TOKEN_IDS]


@message(23)
@dataclass(frozen=True)
class Words:
    """Reply: a text.

    Attributes:
        text: The text.
    """

    text: Annotated[str, TEXT]


@handles(Encode)
async def encode(call: Call, request: Encode) -> Tokens:
    """Tell the tokens of a prompt."""
    return Tokens(await prompt_tokens(call, request.prompt))


@handles(Decode)
async def decode(call: Call, request: Decode) -> Words:
    """Tell the text of tokens."""
    check_tokens(call, request.tokens)
    return Words(await call.compute(call.host.stepper.decode, request.tokens))


async def prompt_tokens(call: Call, prompt: Any) -> tuple[int, ...]:
    """The tokens of a prompt from the wire.

    Args:
        call: The request.
        prompt: A text, a list of messages, or a list of token ids.

    Raises:
        Refusal: If it is none of them, or too long.
    """
    if isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt):
        tokens = tuple(prompt)
    else:
        tokens = tuple(await call.compute(call.host.stepper.encode, _checked(call, prompt)))
    check_tokens(call, tokens)
    return tokens


def check_tokens(call: Call, tokens: tuple[int, ...]) -> None:
    """Refuse tokens that are too many or not the model's.

    Raises:
        Refusal: If they are.
    """
    limit, vocabulary = call.host.limits.prompt_tokens, call.host.stepper.vocabulary
    if len(tokens) > limit:
        raise Refusal("limit", f"a prompt may have {limit} tokens, not {len(tokens)}; shorten it")
    for token in tokens:
        if not 0 <= token < vocabulary:
            raise Refusal("request", f"token {token} is not in the vocabulary, whose ids are 0 to {vocabulary - 1}")


def _checked(call: Call, prompt: Any) -> Prompt:
    from ianvs_collab.cloud.server.limits import CHARACTERS_PER_TOKEN  # noqa: PLC0415 - a client has no use for it

    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    if not messages or not all(_is_message(message) for message in messages):
        raise Refusal("request", "a prompt is a text, a list of token ids, or a list of messages with role and content")
    most = CHARACTERS_PER_TOKEN * call.host.limits.prompt_tokens
    length = sum(len(message["content"]) for message in messages)
    if length > most:
        raise Refusal("limit", f"a prompt may have {most} characters, not {length}; shorten it")
    checked: Prompt = prompt
    return checked


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and message.keys() == {"role", "content"}
        and all(isinstance(value, str) for value in message.values())
    )
