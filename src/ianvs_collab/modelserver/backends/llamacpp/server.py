"""A model of llama.cpp as a model server. Requests run one at a time: two at once would only measure each other."""

from __future__ import annotations

import dataclasses
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ianvs_collab.modelserver.backends.llamacpp.chat import ChatTemplate
from ianvs_collab.modelserver.backends.llamacpp.completion import complete
from ianvs_collab.modelserver.backends.llamacpp.context import Context, Settings
from ianvs_collab.modelserver.backends.llamacpp.model import GgufModel
from ianvs_collab.modelserver.backends.stopping import Stopping
from ianvs_collab.modelserver.memory import peak_rss_bytes
from ianvs_collab.modelserver.stepping.protocol import Stepper
from ianvs_collab.modelserver.types import (
    GREEDY,
    Footprint,
    Generation,
    ModelInfo,
    ModelServerError,
    Prompt,
    SamplingParams,
)


class LlamaCppServer:
    """A model of llama.cpp; make one with `load_model("llamacpp", ...)`.

    Args:
        info: Its provenance, without its footprint.
        model: The loaded file.
        settings: How to run it.
        template: Its chat template.
    """

    def __init__(self, info: ModelInfo, model: GgufModel, settings: Settings, template: ChatTemplate) -> None:
        self.info, self._name = info, info.model
        self._template, self._settings = template, settings
        self._model: GgufModel | None = model
        self._contexts: weakref.WeakSet[Context] = weakref.WeakSet()
        self._context = self._new_context()
        self._ends = model.end_tokens
        self._lock = threading.RLock()

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        """Complete one prompt.

        Raises:
            ModelServerError: If prompt and completion do not fit into the context, a chat is given and there is no chat
                template, the prompt is empty, llama.cpp fails, or the server is closed.
        """
        start = time.perf_counter()
        with self._at_work() as model:
            ids = self._encode(prompt)
            self._check_room(len(ids), params.max_tokens)
            stopping = Stopping(model, self._ends, params.stop)
            return complete(self._context, ids, params, stopping, start).generation(len(ids), start)

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        """Complete several prompts one after the other, each timed from its own start."""
        return [self.generate(prompt, params) for prompt in prompts]

    def stepper(self) -> Stepper:
        """The step interface; sessions have a context each, and memory for it.

        Raises:
            ModelServerError: If the server is closed.
        """
        from ianvs_collab.modelserver.backends.llamacpp.stepping import Engine, LlamaCppStepper  # noqa: PLC0415 - torch

        with self._at_work() as model:
            vocabulary = model.vocabulary
        engine = Engine(self._name, self._at_work, self._new_context, vocabulary, self._settings.context)
        return LlamaCppStepper(engine, self._encode)

    def warm_up(self) -> None:
        """Run the model a few steps, so that no first-time cost (kernels, buffers) falls on a measured query."""
        with self._at_work():
            for count in (16, 1):
                self._context.truncate(0)
                self._context.evaluate([0] * min(count, self._settings.context), 1)

    def weigh(self, start: float) -> None:
        """Note in `info` what the model takes of memory, and how long loading took.

        Args:
            start: When loading began, by `time.perf_counter()`.
        """
        seconds = time.perf_counter() - start
        with self._at_work() as model:
            footprint = Footprint(
                weight_bytes=model.nbytes,
                kv_bytes_per_token=self._kv_bytes_per_token(),
                load_s=seconds,
                peak_rss_bytes=peak_rss_bytes(),
            )
        self.info = dataclasses.replace(self.info, footprint=footprint)

    def close(self) -> None:
        """Release the model's memory, and that of its sessions, which are closed with it."""
        with self._lock:
            model, self._model = self._model, None
            if model is not None:
                for context in list(self._contexts):  # they point into the model
                    context.close()
                model.close()

    @contextmanager
    def _at_work(self) -> Iterator[GgufModel]:
        with self._lock:
            if self._model is None:
                raise ModelServerError(f"model {self._name!r} is closed; load it again")
            yield self._model

    def _new_context(self) -> Context:
        assert self._model is not None
        context = Context(self._model, self._settings)
        self._contexts.add(context)
        return context

    def _encode(self, prompt: Prompt) -> list[int]:
        assert self._model is not None
        if isinstance(prompt, str):
            ids = self._model.encode(prompt, special=True)
        else:
            ids = self._model.encode(self._template.render(prompt), special=False)
        if not ids:
            raise ModelServerError(f"model {self._name!r} was given an empty prompt; there is nothing to continue")
        return ids

    def _check_room(self, prompt: int, completion: int) -> None:
        room = self._settings.context
        if prompt + completion > room:
            raise ModelServerError(
                f"prompt ({prompt} tokens) and completion (max_tokens {completion}) need {prompt + completion} tokens, "
                f"but model {self._name!r} was loaded with a context of {room}; shorten the prompt, use fewer shots, "
                "lower max_tokens, or give a larger `context`"
            )

    def _kv_bytes_per_token(self) -> int:
        sizes = []
        self._context.truncate(0)
        for _ in range(2):
            self._context.evaluate([0], 1)
            sizes.append(self._context.state_bytes())
        return sizes[1] - sizes[0]
