"""transformers' own assisted generation as a model server, with the time at which each token was there.

The model objects are those that the other strategies drive; only the loop is transformers'. It hands its tokens to a
streamer as they are verified, which is when they are timed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from ianvs_collab.modelserver import (
    GREEDY,
    Generation,
    ModelInfo,
    ModelServer,
    ModelServerError,
    Prompt,
    SamplingParams,
    Stepper,
)
from ianvs_collab.modelserver.stepping.stepper import CausalStepper


@dataclass
class TokenTimes:
    """A streamer that notes when tokens come; the first that it is given is the prompt.

    Attributes:
        start: Start of the request, by `time.perf_counter()`.
        rounds: How often tokens came.
        times: Seconds from the start to each token.
    """

    start: float
    rounds: int = -1
    times: list[float] = field(default_factory=list)

    def put(self, tokens: torch.Tensor) -> None:
        """Take tokens of the prompt, or new ones."""
        self.rounds += 1
        if self.rounds:
            self.times += [time.perf_counter() - self.start] * tokens.numel()

    def end(self) -> None:
        """Nothing comes any more."""


class AssistedServer:
    """Completes prompts by `generate()` of transformers with drafts.

    Args:
        server: The target, of the `transformers` back-end.
        target: Its step interface.
        assistant: The draft model's, or None for drafts by prompt lookup.
        options: Further arguments of `generate()`.

    Attributes:
        rounds: Forward passes of the target for the latest completion.

    Raises:
        ModelServerError: If target or assistant are not of the `transformers` back-end.
    """

    def __init__(self, server: ModelServer, target: Stepper, assistant: Stepper | None = None, **options: Any) -> None:
        self._server, self._options = server, options
        self._target = _causal(target)
        self._assistant = None if assistant is None else _causal(assistant)
        self.rounds = 0

    @property
    def info(self) -> ModelInfo:
        """Provenance of the target, with the way it is decoded."""
        return dataclasses.replace(self._server.info, extra={**self._server.info.extra, "decoding": "transformers"})

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        """Complete one prompt.

        Raises:
            ModelServerError: If prompt and completion do not fit into the target's context, or stop texts or
                log-probabilities are asked for.
        """
        if params.stop or params.logprobs:
            raise ModelServerError("assisted generation takes no stop texts and tells no log-probabilities")
        streamer = TokenTimes(time.perf_counter())
        tokens = self._target.encode(prompt)
        self._check_length(len(tokens), params.max_tokens)
        new = self._new_tokens(tokens, params, streamer)
        self.rounds = streamer.rounds
        return Generation(
            text=self._target.decode(new),
            prompt_tokens=len(tokens),
            completion_tokens=len(new),
            token_times=tuple(streamer.times),
            token_ids=tuple(new),
            finish_reason="stop" if new[-1] in self._target.end_tokens else "length",
            duration=time.perf_counter() - streamer.start,
        )

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        """Complete several prompts, one after the other; assisted generation takes no batches."""
        return [self.generate(prompt, params) for prompt in prompts]

    def close(self) -> None:
        """Nothing is held here: the models are closed where they were loaded."""

    def _new_tokens(self, tokens: list[int], params: SamplingParams, streamer: TokenTimes) -> list[int]:
        with self._target.engine.at_work() as model, self._drafting() as drafting, _seeded(params):
            ids = torch.tensor([tokens], device=model.device)
            ends = sorted(self._target.end_tokens)
            found = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=params.max_tokens,
                eos_token_id=ends or None,
                pad_token_id=ends[0] if ends else 0,
                streamer=streamer,
                **_sampling(params),
                **drafting,
                **self._options,
            )
        new: list[int] = found[0, len(tokens) :].tolist()
        return new

    @contextmanager
    def _drafting(self) -> Iterator[dict[str, Any]]:
        if self._assistant is None:
            yield {}
            return
        with self._assistant.engine.at_work() as assistant:
            yield {"assistant_model": assistant}

    def _check_length(self, prompt: int, completion: int) -> None:
        context = self._target.context
        if context is not None and prompt + completion > context:
            raise ModelServerError(
                f"prompt ({prompt} tokens) and completion (max_tokens {completion}) do not fit into the target's "
                f"context of {context}; shorten the prompt or lower max_tokens"
            )


def configure(assistant: Stepper, *, length: int, confidence: float, schedule: str) -> Stepper:
    """Set the draft length and the confidence threshold, which transformers keeps at the draft model.

    Args:
        assistant: The draft model.
        length: Tokens of a draft: `num_assistant_tokens`.
        confidence: Probability below which a draft ends: `assistant_confidence_threshold`.
        schedule: `constant`, `heuristic` or `heuristic_transient`: `num_assistant_tokens_schedule`.

    Raises:
        ModelServerError: If it is not of the `transformers` back-end.
    """
    with _causal(assistant).engine.at_work() as model:
        model.generation_config.num_assistant_tokens = length
        model.generation_config.assistant_confidence_threshold = confidence
        model.generation_config.num_assistant_tokens_schedule = schedule
    return assistant


def _causal(stepper: Stepper) -> CausalStepper:
    if not isinstance(stepper, CausalStepper):
        raise ModelServerError("assisted generation of transformers needs models of `backend: transformers`")
    return stepper


def _sampling(params: SamplingParams) -> dict[str, Any]:
    if params.greedy:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": params.temperature, "top_p": params.top_p, "top_k": params.top_k}


@contextmanager
def _seeded(params: SamplingParams) -> Iterator[None]:
    """Let transformers' sampler, which is torch's, begin from the seed, if there is one."""
    if params.greedy or params.seed is None:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        yield
