"""A completion, token by token as the model finds them, so that the client sees the first one early.

Between tokens the worker looks at the deadline and gives other clients their turn. Greedy and seeded completions are
those of the model's own `generate`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ianvs_collab.cloud.errors import Refusal
from ianvs_collab.cloud.handling import handles
from ianvs_collab.cloud.messages.steps import prefill
from ianvs_collab.cloud.messages.texts import prompt_tokens
from ianvs_collab.cloud.wire.fields import JSON, REALS, TEXT, TOKEN_IDS, UINT
from ianvs_collab.cloud.wire.message import message
from ianvs_collab.modelserver.types import SamplingParams

if TYPE_CHECKING:
    import torch

    from ianvs_collab.cloud.server.call import Call
    from ianvs_collab.modelserver.stepping.protocol import Session, Stepper

_KINDS: dict[str, tuple[type, ...]] = {
    "max_tokens": (int,),
    "temperature": (int, float),
    "top_p": (int, float),
    "top_k": (int,),
    "seed": (int,),
    "stop": (list,),
    "logprobs": (bool,),
}


@message(26)
@dataclass(frozen=True)
class Generate:
    """Request: complete a prompt. Replies: a `Piece` for each token, at last `Completed`.

    Attributes:
        prompt: A text, a list of messages, or a list of token ids.
        params: Fields of `SamplingParams`.
    """

    prompt: Annotated[Any, JSON]
    params: Annotated[Any, JSON]


@message(27)
@dataclass(frozen=True)
class Piece:
    """Reply: the next tokens.

    Attributes:
        tokens: Their ids.
        logprobs: Their log-probabilities, if asked for.
    """

    tokens: Annotated[tuple[int, ...], TOKEN_IDS]
    logprobs: Annotated[tuple[float, ...], REALS]


@message(28)
@dataclass(frozen=True)
class Completed:
    """Reply: the completion is whole.

    Attributes:
        text: Its text, without end token and stop text.
        prompt_tokens: Tokens of the prompt.
        finish_reason: `stop` or `length`.
    """

    text: Annotated[str, TEXT]
    prompt_tokens: Annotated[int, UINT]
    finish_reason: Annotated[str, TEXT]


@handles(Generate)
async def generate(call: Call, request: Generate) -> Completed:
    """Complete a prompt."""
    params = _params(request.params)
    prompt = await prompt_tokens(call, request.prompt)
    _check_room(call, len(prompt), params.max_tokens)
    async with call.texts.temporary(call) as text:
        writer = _Writer(call.host.stepper, text.session, params)
        await call.send(await prefill(call, text, 0, prompt, writer.choose))
        while writer.finish is None:
            await call.send(await call.compute(writer.next))
        return Completed(writer.text, len(prompt), writer.finish)


class _Writer:
    """Chooses tokens until the completion is whole; works in the model's thread."""

    def __init__(self, stepper: Stepper, session: Session, params: SamplingParams) -> None:
        from ianvs_collab.modelserver.backends.growing import Growing  # noqa: PLC0415 - a client has no use for it
        from ianvs_collab.modelserver.backends.sampling import make_chooser  # noqa: PLC0415 - imports torch
        from ianvs_collab.modelserver.backends.stopping import Stopping  # noqa: PLC0415

        self._session, self._params = session, params
        self._choose = make_chooser(params, 1)
        self._stopping = Stopping(_Decoder(stepper), stepper.end_tokens, params.stop)
        self._growing, self._start = Growing(params, self._stopping), time.perf_counter()
        self.finish: str | None = None
        self.text = ""

    def choose(self, logits: torch.Tensor) -> Piece:
        """Choose a token by the logits (vocabulary,) of its position."""
        from ianvs_collab.modelserver.backends.sampling import logprobs_of  # noqa: PLC0415

        token = self._choose(logits[None])
        logprobs = logprobs_of(logits[None], token).tolist() if self._params.logprobs else []
        self._growing.append(int(token), time.perf_counter() - self._start, *logprobs)
        self.finish = self._growing.finish_reason
        if self.finish is not None:
            self.text = self._stopping.text(self._growing.ids)
        return Piece((int(token),), tuple(logprobs))

    def next(self) -> Piece:
        """Feed the last token, and choose another."""
        return self.choose(self._session.prefill(self._growing.ids[-1:]))


@dataclass(frozen=True)
class _Decoder:
    stepper: Stepper

    def decode(self, token_ids: list[int], /, *, skip_special_tokens: bool) -> str:
        assert skip_special_tokens  # a stepper has no other way
        return self.stepper.decode(token_ids)


def _params(values: Any) -> SamplingParams:
    try:
        for name, kinds in _KINDS.items():
            if not isinstance(values.get(name, None), (*kinds, type(None))):
                raise TypeError(f"{name} cannot be {values[name]!r}")
        return SamplingParams(**values)
    except (AttributeError, TypeError, ValueError) as error:
        raise Refusal("request", f"these are no sampling parameters ({', '.join(_KINDS)}): {error}") from error


def _check_room(call: Call, prompt: int, completion: int) -> None:
    context = call.host.stepper.context
    if context is not None and prompt + completion > context:
        raise Refusal(
            "model",
            f"prompt ({prompt} tokens) and completion (max_tokens {completion}) need {prompt + completion} tokens, but "
            f"model {call.host.model.info.model!r} has a context of {context}; shorten the prompt, use fewer shots or "
            "lower max_tokens",
        )
