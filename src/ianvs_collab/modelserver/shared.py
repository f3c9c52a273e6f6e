"""Answers given once in a run and used by every test case that asks the same of the same model.

Sharing makes comparisons paired (two routers that send a query to the cloud get the same answer with the same
timings) and a grid over networks fast. It is not a cache of latencies between runs: the store lives as long as the
process or, with the folder in `IANVS_COLLAB_RUN_CACHE`, as long as the run, and holds only what was measured on this
machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
from collections.abc import Sequence
from typing import Any

from ianvs_collab.modelserver.stepping import Stepper, open_stepper
from ianvs_collab.modelserver.store import AnswerStore
from ianvs_collab.modelserver.types import GREEDY, Generation, ModelInfo, ModelServer, Prompt, SamplingParams

FOLDER_VARIABLE = "IANVS_COLLAB_RUN_CACHE"

_stores: dict[tuple[str | None, str], AnswerStore] = {}
_stores_lock = threading.Lock()


class SharedAnswers:
    """A model server that gives an answer of this run again, marked `shared`, with the timings measured back then.

    Two requests share an answer if model (everything in its `ModelInfo`: revision, precision, threads, ...), prompt,
    query id and decoding agree. Sampling without a seed is never shared. A batch is shared only as a whole, because
    the timings of its members belong together.

    Args:
        server: The server that answers what has not been asked before.
    """

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        identity = model_identity(server.info)
        key = (os.environ.get(FOLDER_VARIABLE) or None, identity)
        with _stores_lock:
            if key not in _stores:
                _stores[key] = AnswerStore(*key)
            self._store = _stores[key]

    @property
    def info(self) -> ModelInfo:
        """Provenance of the model behind."""
        return self._server.info

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        """Complete one prompt, or give this run's answer to it again.

        Raises:
            ModelServerError: If the model does not answer; that is not remembered.
        """
        if not params.reproducible:
            return self._server.generate(prompt, params, query_id=query_id)
        key = _request_key([prompt], params, query_id)
        known = self._store.get(key)
        if known is None:
            fresh = self._server.generate(prompt, params, query_id=query_id)
            self._store.put(key, [fresh])
            return fresh
        return dataclasses.replace(known[0], shared=True)

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        """Complete several prompts, or give this run's answers to the same batch again."""
        if not params.reproducible:
            return self._server.generate_batch(prompts, params)
        key = "batch:" + _request_key(prompts, params, None)
        known = self._store.get(key)
        if known is None:
            fresh = self._server.generate_batch(prompts, params)
            self._store.put(key, fresh)
            return fresh
        return [dataclasses.replace(generation, shared=True) for generation in known]

    def stepper(self) -> Stepper:
        """The step interface of the server behind; what is done token by token is not shared.

        Raises:
            ModelServerError: If it has none.
        """
        return open_stepper(self._server)

    def close(self) -> None:
        """Close the server behind; the answers stay for the rest of the run."""
        self._server.close()


def model_identity(info: ModelInfo) -> str:
    """SHA-256 (hexadecimal) of a model's provenance: two models with the same one give the same answers."""
    return _sha256({part.name: getattr(info, part.name) for part in dataclasses.fields(info) if part.compare})


def _request_key(prompts: Sequence[Prompt], params: SamplingParams, query_id: str | None) -> str:
    if params.greedy:  # these do not matter then
        params = dataclasses.replace(params, seed=None, top_p=1.0, top_k=0)
    chats = [prompt if isinstance(prompt, str) else [dict(message) for message in prompt] for prompt in prompts]
    return _sha256([chats, dataclasses.asdict(params), query_id])


def _sha256(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=True, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
