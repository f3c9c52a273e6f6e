"""Back-end `openai`: a model behind any OpenAI-compatible HTTP endpoint.

That is vLLM, llama.cpp, Ollama, `transformers serve` or a commercial API. Timings are those of the arrival of text
here. Token counts are the server's (`usage`) or, on request, those of a tokenizer; chunks of a stream are never taken
for tokens.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from ianvs_collab.modelserver.backends.background import BackgroundLoop
from ianvs_collab.modelserver.backends.counting import lazy_counter
from ianvs_collab.modelserver.backends.openai_client import Client, Patience
from ianvs_collab.modelserver.backends.openai_endpoint import Endpoint
from ianvs_collab.modelserver.backends.openai_wire import Collector, request_body
from ianvs_collab.modelserver.types import GREEDY, Generation, ModelInfo, ModelServerError, Prompt, SamplingParams

Mode = Literal["auto", "chat", "completions"]


def load(
    model: str,
    *,
    base_url: str,
    api_key_env: str | None = None,
    mode: Mode = "auto",
    stream: bool = True,
    include_usage: bool = True,
    tokenizer: str | None = None,
    max_tokens_field: str = "max_tokens",
    extra_body: Mapping[str, Any] | None = None,
    concurrency: int = 8,
    connect_timeout: float = 10.0,
    first_token_timeout: float = 60.0,
    token_timeout: float = 30.0,
    total_timeout: float = 300.0,
    max_retries: int = 4,
    backoff: float = 0.5,
) -> OpenAIServer:
    """Address a model behind an endpoint; nothing is sent before the first request.

    Args:
        model: Name that the server knows.
        base_url: Address of the API, e.g. `http://localhost:8000/v1`.
        api_key_env: Name of the environment variable that holds the key; None if the server wants none.
        mode: `chat` or `completions` endpoint; `auto` takes the one that fits the prompt (messages or text).
        stream: Whether to stream; without it the whole answer arrives at once, and so do all its times.
        include_usage: Whether to ask for token counts at the end of a stream; False for old servers that refuse that.
        tokenizer: Counts tokens if the server does not: a folder, `zoo:edge` or a hub name.
        max_tokens_field: `max_tokens`, or `max_completion_tokens` where the server insists on it.
        extra_body: Further fields of each request, e.g. `{"chat_template_kwargs": {"enable_thinking": False}}`.
        concurrency: Requests under way at once in `generate_batch`.
        connect_timeout: Seconds for a connection.
        first_token_timeout: Seconds from sending a request to the first text.
        token_timeout: Seconds from one piece of text to the next.
        total_timeout: Seconds for a request with all its retries and pauses.
        max_retries: Tries after the first, for HTTP 408, 409, 429, 5xx and a broken or refused connection, and only
            as long as no text has arrived.
        backoff: Seconds before the first retry; doubles each time, with jitter; a server's Retry-After counts if
            longer.

    Raises:
        ModelServerError: If the address is none, the key is missing, or an option has no meaning.
    """
    patience = Patience(connect_timeout, first_token_timeout, token_timeout, total_timeout, max_retries, backoff)
    form = RequestForm(model, mode, stream, include_usage, max_tokens_field, dict(extra_body or {}))
    return OpenAIServer(form, Endpoint(base_url, api_key_env), patience, tokenizer, concurrency)


@dataclasses.dataclass(frozen=True)
class RequestForm:
    """What all requests to a model have in common; the fields are options of `load`."""

    model: str
    mode: Mode
    stream: bool
    include_usage: bool
    max_tokens_field: str
    extra_body: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse a mode that has no meaning.

        Raises:
            ModelServerError: If it has none.
        """
        if self.mode not in get_args(Mode):
            raise ModelServerError(f"mode {self.mode!r} is unknown; give auto, chat or completions")

    def request(self, prompt: Prompt, params: SamplingParams) -> tuple[str, dict[str, Any]]:
        """Path below the base URL and body.

        Raises:
            ModelServerError: If messages are to go to the endpoint for plain completions.
        """
        chat = self.mode == "chat" or (self.mode == "auto" and not isinstance(prompt, str))
        if not chat and not isinstance(prompt, str):
            raise ModelServerError(
                "messages cannot go to the completions endpoint; set `mode: chat` or send the prompt as text"
            )
        body = request_body(
            self.model,
            prompt,
            params,
            chat=chat,
            stream=self.stream,
            include_usage=self.include_usage,
            max_tokens_field=self.max_tokens_field,
        )
        return "/chat/completions" if chat else "/completions", {**body, **self.extra_body}


class OpenAIServer:
    """A model behind an endpoint; make one with `load_model("openai", name, base_url=...)`."""

    def __init__(
        self, form: RequestForm, endpoint: Endpoint, patience: Patience, tokenizer: str | None, concurrency: int
    ) -> None:
        if concurrency < 1:
            raise ModelServerError(f"concurrency must be at least 1, not {concurrency!r}")
        self._form = form
        self._endpoint = endpoint
        self._patience = patience
        self._counter = lazy_counter(tokenizer)
        self._concurrency = concurrency
        self._loop = BackgroundLoop()
        self._client: Client | None = None
        self._closed = False
        self._info = ModelInfo(
            model=form.model,
            backend="openai",
            device="remote",
            extra={
                "base_url": endpoint.base_url,
                "mode": form.mode,
                "stream": form.stream,
                "tokenizer": tokenizer,
                "extra_body": dict(form.extra_body),
            },
        )

    @property
    def info(self) -> ModelInfo:
        """Provenance; `revision` is the server's word in its latest answer, None before the first."""
        return self._info

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        """Complete one prompt.

        Raises:
            ModelServerError: If the endpoint does not answer, refuses, or does not say how many tokens it used.
            ModelTimeoutError: If it does not answer in time.
        """
        return self._run([prompt], params)[0]

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        """Complete several prompts, `concurrency` requests at once, each timed from its own start."""
        return self._run(prompts, params) if prompts else []

    def close(self) -> None:
        """Close connections and the thread behind them."""
        client, self._client, self._closed = self._client, None, True
        if client is not None:
            self._loop.run(client.close())
        self._loop.close()

    def _run(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[Generation]:
        if self._closed:
            raise ModelServerError(f"model {self._form.model!r} is closed; load it again")
        start = time.perf_counter()
        return self._loop.run(self._complete_all(prompts, params, start))

    async def _complete_all(self, prompts: Sequence[Prompt], params: SamplingParams, start: float) -> list[Generation]:
        if len(prompts) == 1:
            return [await self._complete(prompts[0], params, start)]
        gate = asyncio.Semaphore(self._concurrency)

        async def one(prompt: Prompt) -> Generation:
            async with gate:
                return await self._complete(prompt, params, time.perf_counter())

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(prompt)) for prompt in prompts]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        return [task.result() for task in tasks]

    async def _complete(self, prompt: Prompt, params: SamplingParams, start: float) -> Generation:
        if self._client is None:
            self._client = Client(self._endpoint, self._patience)
        operation, body = self._form.request(prompt, params)
        answer = await self._client.complete(operation, body, start)
        if answer.revision is not None and answer.revision != self._info.revision:
            self._info = dataclasses.replace(self._info, revision=answer.revision)
        return self._generation(answer, prompt, params)

    def _generation(self, answer: Collector, prompt: Prompt, params: SamplingParams) -> Generation:
        prompt_tokens, completion_tokens = answer.usage or self._count(answer, prompt)
        return Generation(
            text=answer.text,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            token_times=tuple(answer.times),
            token_times_exact=len(answer.times) == completion_tokens,
            logprobs=tuple(answer.logprobs) if params.logprobs and answer.logprobs else None,
            finish_reason=answer.finish_reason or "stop",
            duration=answer.ended,
        )

    def _count(self, answer: Collector, prompt: Prompt) -> tuple[int, int]:
        """Token counts by the user's tokenizer, for a server that does not report them."""
        counter = self._counter()
        if counter is None:
            raise ModelServerError(
                f"the endpoint {self._endpoint.base_url} does not report token counts (`usage`), and chunks are "
                "not tokens; give the model's tokenizer in the option `tokenizer` (a folder or a hub name)"
            )
        return counter.prompt(prompt), counter.text(answer.text)
