"""A model under vLLM as a model server. Calls run one at a time; `generate_batch` gives vLLM its prompts together."""

from __future__ import annotations

import dataclasses
import multiprocessing
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ianvs_collab.modelserver.backends.vllm.library import vllm
from ianvs_collab.modelserver.backends.vllm.log import root_cause
from ianvs_collab.modelserver.backends.vllm.running import complete, vllm_params
from ianvs_collab.modelserver.types import (
    GREEDY,
    Footprint,
    Generation,
    ModelInfo,
    ModelServerError,
    Prompt,
    SamplingParams,
)

if TYPE_CHECKING:
    from ianvs_collab.modelserver.backends.vllm.options import Options

_PATIENCE = 5  # seconds that vLLM's processes have for ending by themselves


class VllmServer:
    """A causal language model under vLLM; make one with `load_model("vllm", ...)`.

    Args:
        info: Its provenance, without its footprint.
        llm: vLLM's `LLM`.
        options: How it was loaded.
        scratch: A folder that goes when the server is closed.
        log: What vLLM's processes print.
    """

    def __init__(
        self, info: ModelInfo, llm: Any, options: Options, scratch: tempfile.TemporaryDirectory[str], log: Path
    ) -> None:
        self.info, self._name = info, info.model
        self._engine: Any = llm.llm_engine
        self._tokenizer = llm.get_tokenizer()
        if options.chat_template is not None:
            self._tokenizer.chat_template = options.chat_template
        self._template_values = dict(options.chat_template_kwargs)
        self._context: int = llm.model_config.max_model_len
        self._lock = threading.Lock()
        self._log = log
        self._release = weakref.finalize(self, _shut_down, self._engine, scratch)

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        """Complete one prompt.

        Raises:
            ModelServerError: If prompt and completion do not fit into the context, a chat is given and there is no chat
                template, the prompt is empty, vLLM's engine has died, or the server is closed.
        """
        return self._answer([prompt], params)[0]

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        """Complete several prompts, batched by vLLM's scheduler; all are timed from the start of the call."""
        return self._answer(prompts, params) if prompts else []

    def warm_up(self) -> None:
        """Run the model a few steps, so that no first-time cost (kernels, samplers) falls on a measured query."""
        greedy = SamplingParams(max_tokens=2, logprobs=True)
        drawn = SamplingParams(max_tokens=2, temperature=1.0, top_p=0.9, top_k=8, seed=0)
        with self._at_work() as engine:
            for params in (greedy, drawn):
                for length in (1, min(16, self._context - 2)):
                    complete(engine, [[0] * length], params, vllm_params(vllm(), params), time.monotonic())

    def weigh(self, measure: Callable[[Any, str], Footprint | None]) -> None:
        """Note in `info` what the model takes of memory, and how long loading took.

        Args:
            measure: Tells it of the engine and the precision that it computes in.
        """
        with self._at_work() as engine:
            self.info = dataclasses.replace(self.info, footprint=measure(engine, self.info.extra["compute_dtype"]))

    def close(self) -> None:
        """End vLLM's processes, and with them release the model's memory. Closing twice is harmless."""
        with self._lock:
            self._engine = None
            self._release()

    def _answer(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[Generation]:
        start = time.monotonic()
        with self._at_work() as engine:
            encoded = [self._encode(prompt, params) for prompt in prompts]
            return complete(engine, encoded, params, vllm_params(vllm(), params), start)

    @contextmanager
    def _at_work(self) -> Iterator[Any]:
        """The engine, for one call at a time."""
        with self._lock:
            if self._engine is None:
                raise ModelServerError(f"model {self._name!r} is closed; load it again")
            try:
                yield self._engine
            except ModelServerError:
                raise
            except Exception as error:  # of whatever kind, as in loading
                reason = root_cause(self._log) or str(error)
                raise ModelServerError(
                    f"vLLM failed while model {self._name!r} was answering: {reason}; load the model again, with less "
                    "at once (max_num_seqs, max_model_len) if memory was short"
                ) from error

    def _encode(self, prompt: Prompt, params: SamplingParams) -> list[int]:
        ids = self._tokens_of(prompt)
        if not ids:
            raise ModelServerError(f"model {self._name!r} was given an empty prompt; there is nothing to continue")
        if len(ids) + params.max_tokens > self._context:
            raise ModelServerError(
                f"prompt ({len(ids)} tokens) and completion (max_tokens {params.max_tokens}) need "
                f"{len(ids) + params.max_tokens} tokens, but model {self._name!r} has a context of {self._context}; "
                "shorten the prompt, use fewer shots, lower max_tokens, or give a larger `max_model_len`"
            )
        return ids

    def _tokens_of(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str):
            return list(self._tokenizer(prompt)["input_ids"])
        return list(self._tokenizer(self._render(prompt), add_special_tokens=False)["input_ids"])

    def _render(self, messages: Sequence[Mapping[str, str]]) -> str:
        if self._tokenizer.chat_template is None:
            raise ModelServerError(
                f"model {self._name!r} has no chat template, so it cannot be given messages; send the prompt as text "
                "(`chat: false`) or give the option chat_template"
            )
        chat = [dict(message) for message in messages]
        return str(
            self._tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True, **self._template_values
            )
        )


def _shut_down(engine: Any, scratch: tempfile.TemporaryDirectory[str]) -> None:
    engine.engine_core.shutdown(timeout=_PATIENCE)
    multiprocessing.active_children()  # takes leave of those that have ended, which else stay in the process table
    scratch.cleanup()
