"""Models whose timing the test decides, and measurements made by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from ianvs_collab.modelserver.bench.measurement import Measurement
from ianvs_collab.modelserver.types import GREEDY, Generation, ModelInfo, Prompt, SamplingParams

Answer = Callable[[Prompt], Generation]


def generation(
    *times: float, tokens: int | None = None, exact: bool = True, duration: float | None = None
) -> Generation:
    count = len(times) if tokens is None else tokens
    return Generation("Paris", 7, count, times, token_times_exact=exact, duration=duration)


@dataclass
class FakeServer:
    """Answers as a function tells it to, and knows how many requests were with it at once."""

    answer: Answer
    info: ModelInfo = field(default_factory=lambda: ModelInfo("fake", "fake"))
    peak: int = 0
    asked: list[Prompt] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    _inside: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        with self._lock:
            self.asked.append(prompt)
            self._inside += 1
            self.peak = max(self.peak, self._inside)
        try:
            return self.answer(prompt)
        finally:
            with self._lock:
                self._inside -= 1

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        self.batches.append(len(prompts))
        return [self.answer(prompt) for prompt in prompts]

    def close(self) -> None:
        pass


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """An event for hanging models to wait for; set at the end, so that no thread outlives its test for long."""
    event = threading.Event()
    yield event
    event.set()


def request(
    number: int = 0, due: float = 0.0, *commits: float, late: float = 0.0, tokens: int | None = None
) -> Measurement:
    """An answered request whose tokens came at these times."""
    return Measurement(
        number,
        due,
        due + late,
        commits[-1],
        prompt_tokens=7,
        output_tokens=len(commits) if tokens is None else tokens,
        commits=commits,
        last=commits[-1],
        finish_reason="stop",
    )


@pytest.fixture(scope="session")
def make_request() -> Callable[..., Measurement]:
    return request


@pytest.fixture(scope="session")
def make_generation() -> Callable[..., Generation]:
    return generation


@pytest.fixture(scope="session")
def fake() -> type[FakeServer]:
    return FakeServer
