"""The words of the model server: what goes into a model, what comes out, and how long each token took.

One protocol for every back-end, so that an algorithm asks for text and gets text, token counts and timings measured
where the model ran, whether that is this process, a local server or somebody's API.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

Message = Mapping[str, str]
"""A chat message: `{"role": "system"|"user"|"assistant", "content": text}`."""

Prompt = str | Sequence[Message]
"""A plain text to be continued, or a chat."""


def prompt_sha256(prompt: Prompt) -> str:
    """SHA-256 of a prompt in hexadecimal: of the text in UTF-8, or of the chat as JSON.

    A chat of one message counts as its text, because what is asked is the same.
    """
    if not isinstance(prompt, str):
        messages = [dict(message) for message in prompt]
        single = len(messages) == 1
        prompt = messages[0]["content"] if single else json.dumps(messages, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class SamplingParams:
    """How to decode.

    Attributes:
        max_tokens: Longest completion, in tokens of the model.
        temperature: 0 for greedy decoding.
        top_p: Nucleus: smallest set of tokens whose probability reaches this.
        top_k: Keep this many tokens; 0 for all.
        seed: Seed of the sampler; None for a fresh one.
        stop: Texts that end the completion; they are not part of it.
        logprobs: Whether to return each chosen token's log-probability (natural logarithm) under the model's own
            distribution, before temperature, top-k and top-p.

    Raises:
        ValueError: If a value is out of its range.
    """

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no sampler can follow, where they are given rather than where they fail."""
        if isinstance(self.stop, str):
            raise ValueError(f"stop must be a list of texts, not the text {self.stop!r}; write [{self.stop!r}]")
        object.__setattr__(self, "stop", tuple(self.stop))
        for right, complaint in (
            (self.max_tokens >= 1, f"max_tokens must be at least 1, not {self.max_tokens!r}"),
            (self.temperature >= 0, f"temperature must be 0 (greedy) or more, not {self.temperature!r}"),
            (0 < self.top_p <= 1, f"top_p must lie above 0 and at most at 1, not {self.top_p!r}"),
            (self.top_k >= 0, f"top_k must be 0 (all tokens) or more, not {self.top_k!r}"),
            (all(isinstance(text, str) and text for text in self.stop), f"stop holds an empty text: {self.stop!r}"),
        ):
            if not right:
                raise ValueError(complaint)

    @property
    def greedy(self) -> bool:
        """Whether the most probable token is always taken."""
        return self.temperature == 0

    @property
    def reproducible(self) -> bool:
        """Whether asking again gives the same completion."""
        return self.greedy or self.seed is not None


GREEDY = SamplingParams()
"""Greedy decoding of up to 64 tokens, what a server does when it is told nothing."""


@dataclass(frozen=True)
class Generation:
    """One completion and how it came about.

    Attributes:
        text: The completion without prompt and without stop text.
        prompt_tokens: Tokens of the prompt by the model's own tokenizer.
        completion_tokens: Tokens of the completion by the model's own tokenizer (never streamed chunks), the
            end-of-text token included when the model produced it.
        token_times: Seconds from the start of the request to each token, ascending; empty where no latency was measured
            (replayed answers). With a remote API the times at which text arrived.
        token_times_exact: Whether there is one entry for each token; False when a remote API sent several in one chunk.
        logprobs: Log-probability of each chosen token, or None if not asked for or not to be had.
        token_ids: Ids of the completion, or None where the back-end does not tell.
        finish_reason: `stop` (end token or stop text) or `length`.
        shared: True for an answer made earlier in the same run on the same machine, timings as measured then.
        duration: Seconds from the start of the request to its end; None where no latency was measured.
        compute_s: Seconds that a model elsewhere worked on it, by its own clock; None where it does not tell.
        link_bytes: Bytes that crossed a link for it, (up, down); None where nobody counted.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    token_times: tuple[float, ...] = ()
    token_times_exact: bool = True
    logprobs: tuple[float, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    finish_reason: str = "stop"
    shared: bool = False
    duration: float | None = None
    compute_s: float | None = None
    link_bytes: tuple[int, int] | None = None


@dataclass(frozen=True)
class Footprint:
    """What a model takes of the machine it was loaded on.

    Attributes:
        weight_bytes: Parameters and buffers as they are stored.
        kv_bytes_per_token: Key-value cache for one more token of one text; None if the model has no such cache.
        load_s: Seconds from the call that loads to the first request that can be served.
        peak_rss_bytes: Largest resident memory of the process up to then, whatever else it did included.
    """

    weight_bytes: int
    kv_bytes_per_token: int | None
    load_s: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class ModelInfo:
    """Provenance of a model, written into every run.

    Attributes:
        model: Name as the user gave it.
        backend: `transformers`, `openai`, `replay`, ...
        revision: Content hash of a local checkpoint, commit of a hub model, or the server's word for it.
        dtype: Precision of the weights, e.g. `float32`.
        parameters: Number of parameters, if known.
        device: Where it runs, e.g. `cpu`, `cuda:0`, `remote`.
        remote_code: Whether code that came with the checkpoint was allowed to run.
        extra: Whatever else the back-end wants to have on record.
        footprint: Memory and load time, where they were measured. They differ from one load to the next, so they are no
            part of what makes two models the same.
    """

    model: str
    backend: str
    revision: str | None = None
    dtype: str | None = None
    parameters: int | None = None
    device: str | None = None
    remote_code: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    footprint: Footprint | None = field(default=None, compare=False)


class ModelServerError(RuntimeError):
    """A model could not be loaded or did not answer; the message says which, why and what to do."""


class ModelTimeoutError(ModelServerError, TimeoutError):
    """A model did not answer in the time allowed; a `TimeoutError` too, so that its query is counted as timed out."""


@runtime_checkable
class ModelServer(Protocol):
    """One way to call a model."""

    @property
    def info(self) -> ModelInfo:
        """Provenance of the model."""
        ...

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        """Complete one prompt.

        Args:
            prompt: Text to be continued, or a chat.
            params: How to decode.
            query_id: Which question this is, for back-ends that look answers up; the others ignore it.

        Raises:
            ModelServerError: If the model does not answer.
            ModelTimeoutError: If it does not answer in time.
        """
        ...

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        """Complete several prompts, in order of the prompts."""
        ...

    def close(self) -> None:
        """Release what the model holds. Closing twice is harmless."""
        ...
