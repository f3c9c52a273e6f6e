"""Back-end `transformers`: a Hugging Face checkpoint in this process, on CPU or GPU.

Requests run one at a time: two at once on the same cores would only measure each other.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import transformers

from ianvs_collab.modelserver.backends.decode import Forward, Steps, decode
from ianvs_collab.modelserver.backends.fused_llama import FusedSteps, fuse
from ianvs_collab.modelserver.backends.hf_loading import Checkpoint, context_length, end_tokens, load_checkpoint
from ianvs_collab.modelserver.backends.stopping import Stopping
from ianvs_collab.modelserver.footprint import measure_footprint
from ianvs_collab.modelserver.locate import fingerprint
from ianvs_collab.modelserver.precision import choose_precision
from ianvs_collab.modelserver.stepping.stepper import CausalStepper, engine_of
from ianvs_collab.modelserver.types import GREEDY, Generation, ModelInfo, ModelServerError, Prompt, SamplingParams

# Small models run on one thread. On two idle cores, 2 M parameters took 7.4 ms a token with one thread and 7.2 ms with
# two; beside three busy processes 15 ms with one and 99 ms with two, because every operation waits for both.
_SINGLE_THREAD_PARAMETERS = 20_000_000


def load(
    model: str,
    *,
    dtype: str = "auto",
    precision: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    fused: bool = True,
    revision: str | None = None,
    attn_implementation: str | None = None,
    chat_template: str | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> TransformersServer:
    """Load a checkpoint and warm it up.

    Args:
        model: `zoo:edge`, a folder, or a hub name.
        dtype: `auto` (float32 on CPU, the checkpoint's own on GPU), `float32`, `bfloat16` or `float16`.
        precision: One word for how the weights are kept, instead of `dtype`: `float32`, `float16`, `bfloat16`, or
            quantised `int8`, `int8-dynamic` or `int4`; see `ianvs_collab.modelserver.precision`.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, ...
        threads: Threads for one operation on CPU; None for 1 with a small model and PyTorch's default otherwise.
        fused: Whether a small Llama on CPU may run through `fused_llama`, which is several times faster.
        revision: Branch, tag or commit of a hub model.
        attn_implementation: Attention implementation of transformers; None for its default.
        chat_template: Jinja template for chats, instead of the checkpoint's own.
        chat_template_kwargs: Values for the chat template, e.g. `{"enable_thinking": False}`.

    Raises:
        ModelServerError: If the model cannot be loaded.
    """
    start = time.perf_counter()
    dtype, quantisation = choose_precision(precision, dtype)
    checkpoint = load_checkpoint(
        model,
        dtype=dtype,
        device=device,
        revision=revision,
        attention=attn_implementation,
        quantisation=quantisation,
    )
    if chat_template is not None:
        checkpoint.tokenizer.chat_template = chat_template
    server = TransformersServer(model, checkpoint, threads, fused, dict(chat_template_kwargs or {}))
    server.warm_up()
    server.weigh(start)
    return server


def default_threads(parameters: int) -> int | None:
    """Threads for a model on CPU: 1 for a small one, None (PyTorch's default) for a large one."""
    return 1 if parameters < _SINGLE_THREAD_PARAMETERS else None


class TransformersServer:
    """A causal language model of transformers; make one with `load_model("transformers", ...)`."""

    def __init__(
        self, name: str, checkpoint: Checkpoint, threads: int | None, fused: bool, template_values: dict[str, Any]
    ) -> None:
        self._model: Any = checkpoint.model
        self._fused = fuse(checkpoint.model) if fused and checkpoint.made_by is None else None
        self._tokenizer = checkpoint.tokenizer
        self._template_values = template_values
        self._ends = end_tokens(checkpoint)
        self._context = context_length(checkpoint.model)
        parameters = checkpoint.parameters
        self._threads = threads or default_threads(parameters) or torch.get_num_threads()
        self._lock = threading.Lock()
        self._info = ModelInfo(
            model=name,
            backend="transformers",
            revision=_revision(checkpoint),
            dtype=checkpoint.precision,
            parameters=parameters,
            device=str(checkpoint.model.device),
            remote_code=checkpoint.remote_code,
            extra={
                "threads": self._threads,
                "context_length": self._context,
                "chat_template": checkpoint.tokenizer.chat_template is not None,
                "forward": "fused" if self._fused else "transformers",
                "attention": checkpoint.model.config._attn_implementation,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                **({"quantisation": checkpoint.made_by} if checkpoint.made_by else {}),
            },
        )

    @property
    def info(self) -> ModelInfo:
        """Provenance of the model."""
        return self._info

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        """Complete one prompt.

        Raises:
            ModelServerError: If prompt and completion do not fit into the context, a chat is given and there is no chat
                template, memory runs out, or the server is closed.
        """
        return self._answer([prompt], params)[0]

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        """Complete several prompts at once, padded on the left; every row of a step has the same time."""
        return self._answer(prompts, params) if prompts else []

    def warm_up(self) -> None:
        """Run the model a few steps, so that no first-time cost (kernels, buffers) falls on a measured query."""
        token, params = next(iter(self._ends), 0), SamplingParams(max_tokens=3)
        never = Stopping(self._tokenizer, frozenset(), ())
        with self._at_work():
            self._tokenizer(self._tokenizer.decode([token]))
            for length in (1, 16):
                decode(self._steps([[token] * length], params), params, never, 0.0)

    def weigh(self, start: float) -> None:
        """Note in `info` what the model takes of memory, and how long loading took.

        Args:
            start: When loading began, by `time.perf_counter()`.
        """
        seconds = time.perf_counter() - start
        with self._at_work() as model:
            self._info = dataclasses.replace(self._info, footprint=measure_footprint(model, seconds))

    def stepper(self) -> CausalStepper:
        """The step interface: the model token by token, by transformers' own forward pass.

        Raises:
            ModelServerError: If the server is closed.
        """
        with self._at_work() as model:
            engine = engine_of(self._info.model, model, self._context, self._at_work)
        return CausalStepper(engine, self._tokens_of, self._tokenizer, self._ends)

    def close(self) -> None:
        """Release the model's memory."""
        self._model = self._fused = None

    def _answer(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[Generation]:
        start = time.perf_counter()
        with self._at_work():
            encoded = [self._encode(prompt, params) for prompt in prompts]
            stopping = Stopping(self._tokenizer, self._ends, params.stop)
            try:
                rows = decode(self._steps(encoded, params), params, stopping, start)
            except torch.OutOfMemoryError as error:
                raise ModelServerError(
                    f"model {self._info.model!r} ran out of memory on {self._info.device} with {len(prompts)} "
                    f"prompts of up to {max(map(len, encoded))} tokens; use smaller batches, a smaller dtype or a "
                    "smaller model"
                ) from error
            return [row.generation(len(ids), start) for row, ids in zip(rows, encoded, strict=True)]

    def _steps(self, prompts: list[list[int]], params: SamplingParams) -> Steps:
        if self._fused is not None and len(prompts) == 1:
            return FusedSteps(self._fused, prompts[0], len(prompts[0]) + params.max_tokens)
        return Forward(self._model, prompts, next(iter(self._ends), 0))

    @contextmanager
    def _at_work(self) -> Iterator[Any]:
        """The model, for one request at a time."""
        with self._lock, torch.inference_mode():
            if self._model is None:
                raise ModelServerError(f"model {self._info.model!r} is closed; load it again")
            self._set_threads()
            yield self._model

    def _encode(self, prompt: Prompt, params: SamplingParams) -> list[int]:
        ids = self._tokens_of(prompt)
        if self._context is not None and len(ids) + params.max_tokens > self._context:
            raise ModelServerError(
                f"prompt ({len(ids)} tokens) and completion (max_tokens {params.max_tokens}) need "
                f"{len(ids) + params.max_tokens} tokens, but model {self._info.model!r} has a context of "
                f"{self._context}; shorten the prompt, use fewer shots or lower max_tokens"
            )
        return ids

    def _tokens_of(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str):
            ids: list[int] = self._tokenizer(prompt)["input_ids"]
        else:
            ids = self._tokenizer(self._render(prompt), add_special_tokens=False)["input_ids"]
        if not ids:
            raise ModelServerError(
                f"model {self._info.model!r} was given an empty prompt; there is nothing to continue"
            )
        return ids

    def _render(self, messages: Sequence[Mapping[str, str]]) -> str:
        if self._tokenizer.chat_template is None:
            raise ModelServerError(
                f"model {self._info.model!r} has no chat template, so it cannot be given messages; send the prompt "
                "as text (`chat: false`) or give the option chat_template"
            )
        text: str = self._tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=False,
            add_generation_prompt=True,
            **self._template_values,
        )
        return text

    def _set_threads(self) -> None:
        # The setting is the process's, and another model may have changed it since the last request.
        if self._info.device == "cpu" and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)


def _revision(checkpoint: Checkpoint) -> str | None:
    """Commit of a hub model, content hash of a local one."""
    commit = getattr(checkpoint.model.config, "_commit_hash", None)
    return str(commit) if commit else fingerprint(checkpoint.path)
