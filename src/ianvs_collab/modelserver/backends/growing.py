"""A completion while it grows, token by token, until an end token, a stop text or its longest length."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ianvs_collab.modelserver.backends.stopping import Stopping
from ianvs_collab.modelserver.types import Generation, SamplingParams


@dataclass
class Growing:
    """The completion of one prompt while it grows.

    Attributes:
        params: How it is decoded.
        stopping: Says when it ends.
        ids: Tokens so far.
        times: Seconds from the start of the request to each of them.
        logprobs: Their log-probabilities, if asked for.
        finish_reason: `stop` or `length`, None while it grows.
    """

    params: SamplingParams
    stopping: Stopping
    ids: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str | None = None

    def append(self, token: int, at: float, logprob: float | None = None) -> None:
        """Add a token.

        Args:
            token: Its id.
            at: Seconds from the start of the request to it.
            logprob: Its log-probability, if asked for.
        """
        self.ids.append(token)
        self.times.append(at)
        if logprob is not None:
            self.logprobs.append(logprob)
        if self.stopping.reached(self.ids):
            self.finish_reason = "stop"
        elif len(self.ids) == self.params.max_tokens:
            self.finish_reason = "length"

    def generation(self, prompt_tokens: int, start: float) -> Generation:
        """The whole completion; the request ends now.

        Args:
            prompt_tokens: Tokens of the prompt.
            start: Start of the request, by `time.perf_counter()`.
        """
        text = self.stopping.text(self.ids)
        return Generation(
            text=text,
            prompt_tokens=prompt_tokens,
            completion_tokens=len(self.ids),
            token_times=tuple(self.times),
            logprobs=tuple(self.logprobs) if self.params.logprobs else None,
            token_ids=tuple(self.ids),
            finish_reason=self.finish_reason or "length",
            duration=time.perf_counter() - start,
        )
