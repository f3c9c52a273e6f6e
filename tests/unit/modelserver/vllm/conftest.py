"""A stand-in for the package vLLM, which the tests' environment does not have.

It has the surface that the back-end uses (checked against the real one by tests/integration/test_vllm.py) and plays
scripted steps, so that what is done with them, and every way to fail, can be tested everywhere.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from ianvs_collab.modelserver.backends.vllm import library


@dataclass
class Step:
    """What one step of the engine gives to each request: tokens, their text, perhaps the end, and when."""

    tokens: list[int]
    text: str = "x"
    finish: str | None = None
    late: float = 0.0


@dataclass
class FakeEngine:
    """Plays `script` for whatever requests there are; an exception in it is raised instead."""

    script: list[Step | Exception] = field(default_factory=list)
    requests: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    aborted: list[str] = field(default_factory=list)
    down: int = 0
    vllm_config: Any = None

    def __post_init__(self) -> None:
        self.engine_core = SimpleNamespace(shutdown=self._shutdown)
        self.begun: list[tuple[Any, Any]] = []
        self._played: list[Step | Exception] = []

    def add_request(self, name: str, prompt: Any, params: Any) -> str:
        self.requests[name] = (prompt, params)
        self.begun.append((prompt, params))
        self._played = list(self.script)
        return f"{name}-internal"

    def abort_request(self, names: list[str], internal: bool) -> None:
        assert internal
        self.aborted += names
        self.requests.clear()

    def step(self) -> list[Any]:
        step = self._played.pop(0)
        if isinstance(step, Exception):
            raise step
        outputs = [self._output(name, step) for name in self.requests]
        if step.finish:
            self.requests.clear()
        return [*outputs, SimpleNamespace(request_id="of somebody else", finished=False, outputs=[])]

    def collective_rpc(self, method: str) -> list[float]:
        assert method == "ianvs_kv_bytes_per_token"
        return [100.0, 28.0]

    def _output(self, name: str, step: Step) -> Any:
        params = self.requests[name][1]
        logprobs = None
        if params.logprobs is not None:
            logprobs = [{token: SimpleNamespace(logprob=-float(token)), 9: None} for token in step.tokens]
        new = SimpleNamespace(token_ids=step.tokens, text=step.text, logprobs=logprobs, finish_reason=step.finish)
        metrics = SimpleNamespace(last_token_ts=time.monotonic() + step.late)
        return SimpleNamespace(request_id=name, outputs=[new], metrics=metrics, finished=step.finish is not None)

    def _shutdown(self, timeout: float) -> None:
        self.down += 1


class FakeVllm(ModuleType):
    """The package.

    Attributes:
        engine: The engine of every model that is loaded.
        arguments: Of the latest `LLM`.
        tokenizer: The tokenizer of every model.
        failure: What `LLM` raises, or None.
        says: What it prints before.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__("vllm")
        self.engine, self.tokenizer = FakeEngine([Step([3], "a"), Step([4, 0], "b", "stop")]), tokenizer
        self.arguments: dict[str, Any] = {}
        self.failure: Exception | None = None
        self.says = ""
        self.quantization: str | None = None
        self.hf_config = SimpleNamespace(_commit_hash=None)
        kinds = SimpleNamespace(DELTA="delta")
        self.sampling_params = SimpleNamespace(RequestOutputKind=kinds)
        self.SamplingParams = SimpleNamespace
        self.cpu = True

    def LLM(self, **arguments: Any) -> Any:  # noqa: N802 - vLLM's name
        self.arguments = arguments
        os.write(1, self.says.encode())  # as a worker process does, past sys.stdout
        if self.failure is not None:
            raise self.failure
        self.engine.vllm_config = SimpleNamespace(
            device_config=SimpleNamespace(device_type="cpu" if self.cpu else "cuda"),
            cache_config=SimpleNamespace(cache_dtype="auto", enable_prefix_caching=False),
            scheduler_config=SimpleNamespace(max_num_seqs=256),
        )
        config = SimpleNamespace(
            max_model_len=128,
            dtype="torch.float32",
            quantization=self.quantization,
            hf_config=self.hf_config,
            enforce_eager=arguments["enforce_eager"],
        )
        return SimpleNamespace(llm_engine=self.engine, model_config=config, get_tokenizer=lambda: self.tokenizer)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, chat_tokenizer: PreTrainedTokenizerFast) -> Iterator[FakeVllm]:
    """The stand-in, where `import vllm` finds it."""
    fake = FakeVllm(chat_tokenizer)
    platform = SimpleNamespace(is_cpu=lambda: fake.cpu)
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.setitem(sys.modules, "vllm.platforms", SimpleNamespace(current_platform=platform))
    library.vllm.cache_clear()
    yield fake
    library.vllm.cache_clear()


@pytest.fixture
def chat_tokenizer(checkpoint: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(checkpoint)


@pytest.fixture
def scripted() -> Callable[..., Step]:
    """Makes a step: `scripted([tokens], text, finish)`."""
    return Step
