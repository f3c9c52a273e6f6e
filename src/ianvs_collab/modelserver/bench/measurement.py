"""One request, measured: when it was due, when it was sent, when each token came, and how it ended.

All times are seconds on one clock, whose zero is the start of the load, so that requests can be put side by side.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from ianvs_collab.modelserver.types import Generation, ModelServer, ModelServerError, Prompt, SamplingParams

Outcome = Literal["ok", "error", "timeout"]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Measurement:
    """What became of one request.

    Attributes:
        number: Which request of the load, from 0.
        scheduled: When it was due. In a closed loop that is when it was sent.
        sent: When the back-end was called.
        ended: When the call came back, or was given up.
        outcome: `ok`, `error` or `timeout`.
        prompt_tokens: Tokens of the prompt by the model's tokenizer.
        output_tokens: Tokens of the answer by the model's tokenizer, never pieces of a stream.
        commits: Times at which tokens came, ascending, each once: several tokens that came together are one commit.
            Empty for a request that failed and for an answer that was not timed.
        last: When the last token came; None where `commits` is empty.
        exact: Whether each token has its own time; a stream may bundle several in one piece.
        finish_reason: `stop` or `length`; empty for a request that failed.
        error: Why it failed.
    """

    number: int
    scheduled: float
    sent: float
    ended: float
    outcome: Outcome = "ok"
    prompt_tokens: int = 0
    output_tokens: int = 0
    commits: tuple[float, ...] = ()
    last: float | None = None
    exact: bool = True
    finish_reason: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.outcome == "ok"

    @property
    def late(self) -> float:
        """Seconds from when it was due to when it was sent."""
        return self.sent - self.scheduled

    @property
    def ttft(self) -> float | None:
        """Time to first token, seconds from when it was due; None if no token was timed."""
        return self.commits[0] - self.scheduled if self.commits else None

    @property
    def e2e(self) -> float | None:
        """End-to-end latency, seconds from when it was due to its last token; None if no token was timed."""
        return None if self.last is None else self.last - self.scheduled

    @property
    def tpot(self) -> float | None:
        """Time per output token after the first, seconds: (E2E - TTFT) / (n - 1); None for fewer than two tokens."""
        if self.last is None or self.output_tokens < 2:  # noqa: PLR2004 - the formula's own bound
            return None
        return (self.last - self.commits[0]) / (self.output_tokens - 1)

    @property
    def itl(self) -> list[float]:
        """Seconds between commits."""
        return [after - before for before, after in itertools.pairwise(self.commits)]


def measure(
    server: ModelServer,
    prompt: Prompt,
    params: SamplingParams,
    *,
    number: int,
    clock: Clock,
    scheduled: float | None = None,
) -> Measurement:
    """Make a request and wait for its answer; a failure is a result, not an exception.

    Args:
        server: What to ask.
        prompt: Text or chat.
        params: How to decode.
        number: Which one it is.
        clock: Seconds since the load began.
        scheduled: When it was due; None for now.
    """
    sent = clock()
    due = sent if scheduled is None else scheduled
    try:
        return answered(server.generate(prompt, params), number, due, sent, clock())
    except Exception as error:  # whatever a back-end raises, the other requests go on
        return failure(number, due, sent, clock(), error)


def answered(generation: Generation, number: int, scheduled: float, sent: float, ended: float) -> Measurement:
    """The measurement of an answer.

    The times of its tokens count from the moment of the call. The last token is the last one that has a time of its
    own; where pieces are fewer than tokens (bundles; an end-of-text token has no text) it is the end of the answer.

    Args:
        generation: The answer.
        number: Which request of the load.
        scheduled: When it was due.
        sent: When the back-end was called.
        ended: When the call came back.
    """
    timed = Measurement(
        number,
        scheduled,
        sent,
        ended,
        prompt_tokens=generation.prompt_tokens,
        output_tokens=generation.completion_tokens,
        finish_reason=generation.finish_reason,
    )
    if not generation.token_times or generation.shared:
        return timed  # made in an earlier run, or for another request: nothing was measured now
    commits = tuple(sent + at for at in sorted(set(generation.token_times)))
    bundled = not generation.token_times_exact and generation.duration is not None
    last = sent + generation.duration if bundled and generation.duration is not None else commits[-1]
    return replace(timed, commits=commits, last=max(last, commits[-1]), exact=generation.token_times_exact)


def failure(number: int, scheduled: float, sent: float, ended: float, error: Exception) -> Measurement:
    """The measurement of a request that failed."""
    words = str(error) if isinstance(error, ModelServerError) else f"{type(error).__name__}: {error}"
    outcome: Outcome = "timeout" if isinstance(error, TimeoutError) else "error"
    return Measurement(number, scheduled, sent, ended, outcome=outcome, error=words)


def since(start: float) -> Clock:
    """A clock that says how many seconds have passed since `start`, by `time.perf_counter()`."""
    return lambda: time.perf_counter() - start
