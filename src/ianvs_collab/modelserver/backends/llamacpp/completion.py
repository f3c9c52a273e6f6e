"""The decoding loop of the llama.cpp back-end: one pass a token, each token timed when it is known."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ianvs_collab.modelserver.backends.growing import Growing
from ianvs_collab.modelserver.backends.llamacpp.choosing import log_probability, make_chooser
from ianvs_collab.modelserver.backends.llamacpp.context import Context
from ianvs_collab.modelserver.backends.stopping import Stopping
from ianvs_collab.modelserver.types import SamplingParams


def complete(
    context: Context, prompt: Sequence[int], params: SamplingParams, stopping: Stopping, start: float
) -> Growing:
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
    found, choose = Growing(params, stopping), make_chooser(params)
    context.truncate(0)
    fresh = prompt
    while found.finish_reason is None:
        logits = context.evaluate(fresh, 1)[0]
        token = choose(logits)
        at = time.perf_counter() - start
        found.append(token, at, log_probability(logits, token) if params.logprobs else None)
        fresh = [token]
    return found
