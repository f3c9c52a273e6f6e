"""An answer becomes times on the load's clock; what was not timed has none, and a failure is a result."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ianvs_collab.modelserver import ModelServerError, ModelTimeoutError, SamplingParams
from ianvs_collab.modelserver.bench.measurement import answered, measure
from ianvs_collab.modelserver.types import Generation

PARAMS = SamplingParams(8)


def test_latencies_count_from_when_the_request_was_due(make_generation: Callable[..., Generation]) -> None:
    one = answered(make_generation(0.5, 0.75, 1.25), 3, scheduled=10.0, sent=12.0, ended=13.5)
    assert (one.number, one.late, one.ended) == (3, 2.0, 13.5)
    assert (one.ttft, one.e2e, one.tpot) == (2.5, 3.25, 0.375)
    assert one.itl == [0.25, 0.5]
    assert (one.prompt_tokens, one.output_tokens, one.ok) == (7, 3, True)


def test_tokens_that_came_together_are_one_commit(make_generation: Callable[..., Generation]) -> None:
    one = answered(make_generation(0.5, 0.5, 1.0, 1.0, 1.0), 0, 0.0, 0.0, 1.0)
    assert one.commits == (0.5, 1.0)
    assert one.itl == [0.5]
    assert one.tpot == pytest.approx(0.5 / 4)


def test_a_bundled_answers_last_token_came_at_its_end(make_generation: Callable[..., Generation]) -> None:
    """Five tokens in two pieces, the last of them an end token that has no text."""
    bundled = make_generation(0.5, 1.0, tokens=5, exact=False, duration=1.5)
    one = answered(bundled, 0, 0.0, 0.0, 1.6)
    assert (one.last, one.e2e, one.exact) == (1.5, 1.5, False)
    assert one.tpot == pytest.approx(1.0 / 4)
    assert answered(replace(bundled, duration=None), 0, 0.0, 0.0, 1.6).last == 1.0


@pytest.mark.parametrize("change", [{"token_times": ()}, {"shared": True}])
def test_an_answer_made_earlier_has_no_latency(
    make_generation: Callable[..., Generation], change: dict[str, Any]
) -> None:
    one = answered(replace(make_generation(0.5, 1.0), **change), 0, 0.0, 0.0, 1.0)
    assert (one.ttft, one.tpot, one.e2e, one.itl, one.last) == (None, None, None, [], None)
    assert (one.ok, one.output_tokens) == (True, 2)


def test_one_token_has_no_time_per_further_token(make_generation: Callable[..., Generation]) -> None:
    one = answered(make_generation(0.5), 0, 0.0, 0.0, 1.0)
    assert (one.ttft, one.e2e, one.tpot) == (0.5, 0.5, None)


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (ModelServerError("it refused"), "error", "it refused"),
        (ModelTimeoutError("it was slow"), "timeout", "it was slow"),
        (KeyError("x"), "error", "KeyError: 'x'"),
    ],
)
def test_a_failure_is_a_result(fake: Any, error: Exception, outcome: str, words: str) -> None:
    def fail(prompt: object) -> Generation:
        raise error

    ticks = itertools.count(1.0)
    one = measure(fake(fail), "?", PARAMS, number=5, clock=lambda: next(ticks), scheduled=0.5)
    assert (one.number, one.scheduled, one.sent, one.ended) == (5, 0.5, 1.0, 2.0)
    assert (one.outcome, one.error, one.ok) == (outcome, words, False)
    assert (one.ttft, one.output_tokens) == (None, 0)


def test_without_a_schedule_a_request_is_due_when_it_is_sent(fake: Any, make_generation: Any) -> None:
    ticks = itertools.count(1.0)
    one = measure(fake(lambda prompt: make_generation(0.25)), "?", PARAMS, number=0, clock=lambda: next(ticks))
    assert (one.scheduled, one.sent, one.ended, one.ttft) == (1.0, 1.0, 2.0, 0.25)
