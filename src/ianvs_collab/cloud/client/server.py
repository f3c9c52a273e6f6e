"""A model in the cloud as a `ModelServer`: completions arrive token by token, timed when they arrive."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ianvs_collab.cloud.client.client import Client
from ianvs_collab.cloud.client.stepper import RemoteStepper, plain
from ianvs_collab.cloud.client.traffic import Cost, Traffic
from ianvs_collab.cloud.errors import CloudError, LostError, UnreachableError
from ianvs_collab.cloud.messages.admin import Stats
from ianvs_collab.cloud.messages.generation import Completed, Generate
from ianvs_collab.cloud.messages.scoring import Score
from ianvs_collab.modelserver.types import (
    GREEDY,
    Footprint,
    Generation,
    ModelInfo,
    Prompt,
    SamplingParams,
)


class CloudServer:
    """A model in the cloud; make one with `load_model("cloud", "host:port")`.

    Args:
        address: Where the worker is.
        client: The connection.
        dtype: Type in which sessions' logits travel.
        concurrency: Requests of a batch under way at once.
    """

    def __init__(self, address: str, client: Client, dtype: str, concurrency: int) -> None:
        self._client, self._dtype, self._concurrency = client, dtype, concurrency
        self._info = _info(address, client.capabilities)

    @property
    def info(self) -> ModelInfo:
        """Provenance of the model, as the worker tells it."""
        return self._info

    @property
    def traffic(self) -> Traffic:
        """Bytes and messages of the connection so far."""
        return self._client.traffic

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        """Complete one prompt.

        Raises:
            ModelServerError: If the worker refuses it, or cannot be reached; once tokens have arrived, a broken
                connection is not tried again.
            ModelTimeoutError: If it is not done in time.
        """
        return self.generate_costed(prompt, params)[0]

    def generate_costed(self, prompt: Prompt, params: SamplingParams = GREEDY) -> tuple[Generation, Cost]:
        """Complete one prompt, and tell the worker's computing time and the bytes.

        Raises:
            ModelServerError: As `generate`.
        """
        request = Generate(plain(prompt), {**dataclasses.asdict(params), "stop": list(params.stop)})
        return self._client.patiently(lambda: self._complete(request, params))

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        """Complete several prompts, some at once; the worker's model takes turns between them, token by token.

        Raises:
            ModelServerError: As `generate`.
        """
        with ThreadPoolExecutor(self._concurrency) as pool:
            return list(pool.map(lambda prompt: self.generate(prompt, params), prompts))

    def score(self, prompt: Prompt, continuation: Sequence[int]) -> tuple[tuple[float, ...], bool]:
        """How probable a continuation of a prompt is.

        Args:
            prompt: Text or chat.
            continuation: Tokens, at least one.

        Returns:
            Log-probability (natural) of each token, and whether each is the most probable one at its place.

        Raises:
            ModelServerError: If the worker refuses it or cannot be reached.
        """
        found = self._client.ask(Score(plain(prompt), tuple(continuation)))
        return found.logprobs, found.greedy

    def stats(self) -> dict[str, Any]:
        """What the worker is doing: sessions, streams, requests, memory.

        Raises:
            ModelServerError: If it cannot be reached.
        """
        found: dict[str, Any] = self._client.ask(Stats()).content
        return found

    def stepper(self) -> RemoteStepper:
        """The step interface.

        Raises:
            CloudError: If the connection is closed.
        """
        self._client.check_open()
        return RemoteStepper(self._client, self._dtype)

    def close(self) -> None:
        """Hang up; the worker goes on."""
        self._client.close()

    def _complete(self, request: Generate, params: SamplingParams) -> tuple[Generation, Cost]:
        stream = self._client.stream()
        ids: list[int] = []
        times: list[float] = []
        logprobs: list[float] = []
        try:
            for reply, cost in stream.replies(request, self._client.timeout):
                if isinstance(reply, Completed):
                    return _generation(reply, ids, times, logprobs if params.logprobs else None, cost), cost
                ids += reply.tokens
                times += [cost.elapsed_s] * len(reply.tokens)
                logprobs += reply.logprobs
        except LostError as error:
            if ids:
                raise UnreachableError(f"the connection broke after {len(ids)} tokens: {error}; ask again") from error
            raise
        finally:
            stream.close()
        raise CloudError("the worker's last reply is no completion; do both sides run the same version?")


def _generation(
    done: Completed, ids: list[int], times: list[float], logprobs: list[float] | None, cost: Cost
) -> Generation:
    return Generation(
        text=done.text,
        prompt_tokens=done.prompt_tokens,
        completion_tokens=len(ids),
        token_times=tuple(times),
        logprobs=tuple(logprobs) if logprobs is not None else None,
        token_ids=tuple(ids),
        finish_reason=done.finish_reason,
        duration=cost.elapsed_s,
        compute_s=cost.compute_s,
        link_bytes=(cost.sent_bytes, cost.received_bytes),
    )


def _info(address: str, about: dict[str, Any]) -> ModelInfo:
    model, footprint = about["model"], about["footprint"]
    return ModelInfo(
        model=model["model"],
        backend="cloud",
        revision=model["revision"],
        dtype=model["dtype"],
        parameters=model["parameters"],
        device="remote",
        remote_code=model["remote_code"],
        extra={
            "address": address,
            "worker": about["worker"],
            "worker_backend": model["backend"],
            "worker_device": model["device"],
            "worker_slowdown": about["slowdown"],
            **model["extra"],
        },
        footprint=Footprint(**footprint) if footprint else None,
    )
