"""Prompts through vLLM's engine, step by step, each token with the time that the engine noted for it.

vLLM's scheduler batches whatever requests there are; a step of the engine gives a token to each of them. After every
step the request's metrics say when the engine had its latest token (`last_token_ts`, by the monotonic clock of the
machine, which `time.monotonic` reads here too), so that what it takes to carry tokens to this process counts for none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ianvs_collab.modelserver.types import Generation, SamplingParams

_numbers = count()


@dataclass
class Growing:
    """A completion while it grows.

    Attributes:
        prompt_tokens: Tokens of its prompt.
        ids: Tokens so far.
        times: Seconds from the start of the request to each of them.
        logprobs: Their log-probabilities, if asked for.
        pieces: Their text.
        finish_reason: `stop` or `length`, None while it grows.
        duration: Seconds from the start of the request to its end.
    """

    prompt_tokens: int
    ids: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    duration: float = 0.0

    def take(self, output: Any, start: float) -> None:
        """Take in what a step gave.

        Args:
            output: vLLM's `RequestOutput` with what is new.
            start: Start of the request, by `time.monotonic()`.
        """
        (new,) = output.outputs
        self.ids += new.token_ids
        self.times += [output.metrics.last_token_ts - start] * len(new.token_ids)
        self.pieces.append(new.text)
        if new.logprobs:
            self.logprobs += [of[token].logprob for token, of in zip(new.token_ids, new.logprobs, strict=True)]
        if new.finish_reason is not None:
            self.finish_reason = new.finish_reason
            self.duration = time.monotonic() - start

    def generation(self, params: SamplingParams) -> Generation:
        """The completion when it is whole."""
        return Generation(
            text="".join(self.pieces),
            prompt_tokens=self.prompt_tokens,
            completion_tokens=len(self.ids),
            token_times=tuple(self.times),
            logprobs=tuple(self.logprobs) if params.logprobs else None,
            token_ids=tuple(self.ids),
            finish_reason=self.finish_reason or "length",
            duration=self.duration,
        )


def complete(
    engine: Any, prompts: Sequence[Sequence[int]], params: SamplingParams, vllm_params: Any, start: float
) -> list[Generation]:
    """Complete prompts together.

    Args:
        engine: vLLM's engine.
        prompts: Token ids of each.
        params: How to decode.
        vllm_params: The same in vLLM's words.
        start: Start of the request, by `time.monotonic()`.

    Returns:
        The completions in order of the prompts.

    Raises:
        Exception: What vLLM raises; none of the requests is left in the engine then.
    """
    growing = {f"ianvs-{next(_numbers)}": Growing(len(ids)) for ids in prompts}
    under_way: dict[str, str] = {}
    try:
        for (name, _), ids in zip(growing.items(), prompts, strict=True):
            under_way[name] = engine.add_request(name, {"type": "token", "prompt_token_ids": list(ids)}, vllm_params)
        while under_way:
            for output in engine.step():
                if output.request_id in under_way:
                    growing[output.request_id].take(output, start)
                    if output.finished:
                        del under_way[output.request_id]
    except BaseException:
        _abort(engine, list(under_way.values()))
        raise
    return [each.generation(params) for each in growing.values()]


def vllm_params(module: Any, params: SamplingParams) -> Any:
    """How to decode, in vLLM's words.

    Args:
        module: The module `vllm`.
        params: The same in ours.
    """
    kinds = module.sampling_params.RequestOutputKind
    return module.SamplingParams(
        max_tokens=params.max_tokens,
        temperature=params.temperature,
        top_p=1.0 if params.greedy else params.top_p,
        top_k=0 if params.greedy else params.top_k,
        seed=params.seed,
        stop=list(params.stop),
        logprobs=0 if params.logprobs else None,  # 0: of the chosen token alone
        output_kind=kinds.DELTA,
    )


def _abort(engine: Any, requests: list[str]) -> None:
    """Take requests out of an engine; one that has died holds none."""
    with suppress(Exception):  # what matters is why they are taken out, which is about to be raised
        engine.abort_request(requests, internal=True)
