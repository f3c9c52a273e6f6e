"""Puts a load on a model: closed loop, open loop, or everything at once."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from ianvs_collab.modelserver.bench.board import Board
from ianvs_collab.modelserver.bench.loads import Load
from ianvs_collab.modelserver.bench.measurement import Clock, Measurement, answered, failure, measure, since
from ianvs_collab.modelserver.bench.workers import Workers
from ianvs_collab.modelserver.types import ModelServer, ModelServerError, Prompt, SamplingParams

_READY = 256  # threads started before the clock; more are started when they are needed


@dataclass(frozen=True)
class Traffic:
    """What to send and how long to wait for it.

    Attributes:
        prompts: A prompt for each request, in the order in which they are sent.
        params: How to decode.
        load: How they are sent.
        times: Seconds at which each is due, of an open loop; empty for the other loads.
        timeout: Seconds after which a request is given up.
        batch: Most requests of one `generate_batch` call, where `offline` makes such calls; None sends each request
            on its own.
    """

    prompts: Sequence[Prompt]
    params: SamplingParams
    load: Load
    times: Sequence[float] = ()
    timeout: float = 300.0
    batch: int | None = None


def run(server: ModelServer, traffic: Traffic) -> list[Measurement]:
    """Put a load on a model.

    Args:
        server: The model.
        traffic: The load.

    Returns:
        One measurement for each request, in their order.
    """
    if traffic.load.kind == "offline" and traffic.batch is not None:
        return _batches(server, traffic, traffic.batch)
    times = [0.0] * len(traffic.prompts) if traffic.load.kind == "offline" else traffic.times
    in_flight = traffic.load.in_flight
    return _arrivals(server, traffic, times) if in_flight is None else _closed_loop(server, traffic, in_flight)


def warm_up(server: ModelServer, prompts: Sequence[Prompt], params: SamplingParams) -> None:
    """Make requests that are not measured, one after the other, so that first-time costs fall on none that is.

    Raises:
        ModelServerError: If the model does not answer, or its answers carry no times.
    """
    for prompt in prompts:
        generation = server.generate(prompt, params)
        if not generation.token_times or generation.shared:
            raise ModelServerError(
                f"the back-end {server.info.backend!r} says nothing of when its tokens came, so there is nothing to "
                "measure; bench the model that made these answers"
            )


def _closed_loop(server: ModelServer, traffic: Traffic, places: int) -> list[Measurement]:
    workers = Workers(min(places, len(traffic.prompts)))
    with _undisturbed() as clock:
        board = Board(len(traffic.prompts), clock, traffic.timeout)

        def keep_asking() -> None:
            while (number := board.next()) is not None:
                board.end(measure(server, traffic.prompts[number], traffic.params, number=number, clock=clock))

        for _ in range(min(places, len(traffic.prompts))):
            workers.run(keep_asking)
        found = board.results()
    workers.dismiss()
    return found


def _arrivals(server: ModelServer, traffic: Traffic, times: Sequence[float]) -> list[Measurement]:
    workers = Workers(min(_READY, len(traffic.prompts)))
    with _undisturbed() as clock:
        board = Board(len(traffic.prompts), clock, traffic.timeout)

        def ask(number: int, prompt: Prompt, due: float) -> None:
            board.end(measure(server, prompt, traffic.params, number=number, clock=clock, scheduled=due))

        for prompt, due in zip(traffic.prompts, times, strict=True):
            wait = due - clock()
            if wait > 0:
                time.sleep(wait)
            workers.run(partial(ask, board.begin(due), prompt, due))
        found = board.results()
    workers.dismiss()
    return found


def _batches(server: ModelServer, traffic: Traffic, size: int) -> list[Measurement]:
    """All requests are due at the start; a batch that waits for those before it has waited."""
    found: list[Measurement] = []
    with _undisturbed() as clock:
        for first in range(0, len(traffic.prompts), size):
            found += _batch(server, traffic.prompts[first : first + size], traffic.params, first, clock)
    return found


def _batch(
    server: ModelServer, prompts: Sequence[Prompt], params: SamplingParams, first: int, clock: Clock
) -> list[Measurement]:
    sent = clock()
    try:
        generations = server.generate_batch(prompts, params)
    except Exception as error:  # the batches after this one go on
        return [failure(first + index, 0.0, sent, clock(), error) for index in range(len(prompts))]
    ended = clock()
    return [answered(generation, first + index, 0.0, sent, ended) for index, generation in enumerate(generations)]


@contextmanager
def _undisturbed() -> Iterator[Clock]:
    """The clock of a load, without Python's garbage collector walking through all that was loaded before it."""
    gc.collect()
    gc.freeze()
    try:
        yield since(time.perf_counter())
    finally:
        gc.unfreeze()
