"""The decoding loop of the llama.cpp back-end: one pass a token, each token timed when it is known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ianvs_collab.modelserver.backends.llamacpp.choosing import log_probability, make_chooser
from ianvs_collab.modelserver.backends.llamacpp.context import Context
from ianvs_collab.modelserver.backends.stopping import Stopping
from ianvs_collab.modelserver.types import SamplingParams


@dataclass
class Completion:
    """A completion while it grows.

    Attributes:
        ids: Tokens so far.
        times: Seconds from the start of the request to each of them.
        logprobs: Their log-probabilities, if asked for.
        finish_reason: `stop` or `length`, None while it grows.
    """

    ids: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str | None = None


def complete(
    context: Context, prompt: Sequence[int], params: SamplingParams, stopping: Stopping, start: float
) -> Completion:
    """Complete a prompt.

    Args:
        context: The model; what it held before is forgotten.
        prompt: At least one token; together with `params.max_tokens` they fit into the context.
        params: How to decode.
        stopping: Says when the completion ends.
        start: Start of the request, by `time.perf_counter()`.

    Raises:
        ModelServerError: If llama.cpp fails.
    """
    found, choose = Completion(), make_chooser(params)
    context.truncate(0)
    fresh = prompt
    while found.finish_reason is None:
        logits = context.evaluate(fresh, 1)[0]
        token = choose(logits)
        found.ids.append(token)
        found.times.append(time.perf_counter() - start)
        if params.logprobs:
            found.logprobs.append(log_probability(logits, token))
        if stopping.reached(found.ids):
            found.finish_reason = "stop"
        elif len(found.ids) == params.max_tokens:
            found.finish_reason = "length"
        fresh = [token]
    return found
