"""Closed loops hold their number, open loops their schedule, whatever the model does; nothing waits for ever."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.modelserver import ModelServerError, SamplingParams
from ianvs_collab.modelserver.bench import Load, Traffic, run
from ianvs_collab.modelserver.bench.board import Board
from ianvs_collab.modelserver.bench.measurement import Measurement
from ianvs_collab.modelserver.bench.runner import warm_up
from ianvs_collab.modelserver.bench.workers import Workers

PARAMS = SamplingParams(8)
BOUND = 20.0  # seconds after which a test that went wrong ends


def traffic(count: int, load: Load, **more: Any) -> Traffic:
    return Traffic([f"prompt {number}" for number in range(count)], PARAMS, load, **{"timeout": BOUND, **more})


def together(parties: int, generation: Any) -> Any:
    """Answers only when so many requests are with the model at once."""
    barrier = threading.Barrier(parties)

    def answer(prompt: object) -> Any:
        barrier.wait(BOUND)
        return generation

    return answer


@settings(max_examples=8, deadline=None)
@given(places=st.integers(1, 6), rounds=st.integers(1, 4))
def test_a_closed_loop_has_exactly_its_number_in_flight(
    fake: Any, make_generation: Any, places: int, rounds: int
) -> None:
    server = fake(together(places, make_generation(0.0, 0.0)))
    load = Load("concurrency", concurrency=places)
    found = run(server, traffic(places * rounds, load))
    assert server.peak == places
    assert [one.number for one in found] == list(range(places * rounds))
    assert all(one.ok and one.scheduled == one.sent for one in found)


@pytest.mark.parametrize(("load", "peak"), [(Load("single"), 1), (Load("concurrency", concurrency=9), 4)])
def test_a_closed_loop_asks_each_prompt_once_and_never_more_at_once(
    fake: Any, make_generation: Any, load: Load, peak: int
) -> None:
    server = fake(lambda prompt: make_generation(0.0))
    found = run(server, traffic(4, load))
    assert sorted(server.asked) == [f"prompt {number}" for number in range(4)]
    assert server.peak <= peak
    assert all(one.ok for one in found)


def test_an_open_loop_waits_for_no_answer(fake: Any, make_generation: Any) -> None:
    """No request is answered before the last one is sent: a loop that waited for answers would never end."""
    times = [0.002 * number for number in range(40)]
    server = fake(together(40, make_generation(0.001)))
    found = run(server, traffic(40, Load("constant", rate=500.0), times=times))
    assert [one.scheduled for one in found] == times
    assert all(one.ok and one.late >= 0 for one in found)
    assert all(one.sent <= found[-1].sent <= one.ended for one in found)
    assert all(one.ttft == pytest.approx(one.late + 0.001) for one in found)


def test_offline_sends_everything_at_the_start(fake: Any, make_generation: Any) -> None:
    server = fake(together(300, make_generation(0.0)))
    found = run(server, traffic(300, Load("offline")))
    assert [one.scheduled for one in found] == [0.0] * 300
    assert server.peak == 300


def test_offline_batches_are_all_due_at_the_start(fake: Any, make_generation: Any) -> None:
    server = fake(lambda prompt: make_generation(0.5, 1.0))
    found = run(server, traffic(7, Load("offline"), batch=3))
    assert server.batches == [3, 3, 1]
    assert [one.number for one in found] == list(range(7))
    assert [one.scheduled for one in found] == [0.0] * 7
    assert found[6].sent >= found[3].ended >= found[3].sent >= found[0].ended
    assert found[6].ttft == pytest.approx(found[6].sent + 0.5)


def test_a_batch_that_fails_does_not_stop_the_others(fake: Any, make_generation: Any) -> None:
    def answer(prompt: str) -> Any:
        if prompt == "prompt 1":
            raise ModelServerError("out of memory")
        return make_generation(0.5)

    found = run(fake(answer), traffic(4, Load("offline"), batch=2))
    assert [one.outcome for one in found] == ["error", "error", "ok", "ok"]
    assert found[0].error == "out of memory"


def test_requests_that_fail_are_counted_and_the_others_go_on(fake: Any, make_generation: Any) -> None:
    def answer(prompt: str) -> Any:
        if prompt in ("prompt 1", "prompt 2"):
            raise OSError("connection lost")
        return make_generation(0.0)

    found = run(fake(answer), traffic(4, Load("single")))
    assert [one.outcome for one in found] == ["ok", "error", "error", "ok"]


@pytest.mark.parametrize("load", [Load("constant", rate=1000.0), Load("concurrency", concurrency=2)])
def test_a_request_that_hangs_is_given_up_and_the_others_are_not(
    fake: Any, make_generation: Any, released: threading.Event, load: Load
) -> None:
    def answer(prompt: str) -> Any:
        if prompt == "prompt 1":
            released.wait(BOUND)
        return make_generation(0.0)

    found = run(fake(answer), traffic(5, load, times=[0.0] * 5, timeout=0.3))
    assert [one.outcome for one in found] == ["ok", "timeout", "ok", "ok", "ok"]
    assert "no answer within 0.3 s; raise --timeout" in found[1].error
    assert found[1].ended - found[1].sent >= 0.3


def test_a_model_that_hangs_altogether_ends_a_closed_loop(
    fake: Any, make_generation: Any, released: threading.Event
) -> None:
    server = fake(lambda prompt: make_generation(0.0) if released.wait(BOUND) else None)
    found = run(server, traffic(5, Load("concurrency", concurrency=2), timeout=0.2))
    assert [one.outcome for one in found] == ["timeout", "timeout", "error", "error", "error"]
    assert "not sent" in found[4].error
    assert server.peak == len(server.asked) == 2


def test_an_answer_that_comes_too_late_is_a_timeout_and_one_after_the_end_is_not_heard() -> None:
    clock = itertools.chain([0.0, 0.0], itertools.count(2.0))
    board = Board(2, lambda: next(clock), patience=1.0)
    board.begin(0.0)
    board.begin(0.0)
    board.end(Measurement(0, 0.0, 0.0, 1.5))
    late, lost = board.results()
    assert (late.outcome, lost.outcome) == ("timeout", "timeout")
    assert (late.ended, lost.ended) == (1.5, 3.0)  # nothing was waited for: the clock was asked twice
    board.end(Measurement(1, 0.0, 0.0, 2.5))
    assert board.results()[1].outcome == "timeout"
    assert board.next() is None


def test_a_late_first_arrival_is_not_taken_for_a_hanging_one(fake: Any, make_generation: Any) -> None:
    found = run(
        fake(lambda prompt: make_generation(0.0)), traffic(1, Load("constant", rate=1.0), times=[0.25], timeout=0.2)
    )
    assert found[0].ok


def test_idle_threads_are_used_again_and_end_when_dismissed() -> None:
    before = set(threading.enumerate())
    workers = Workers(2)
    mine = [thread for thread in threading.enumerate() if thread not in before]
    assert len(mine) == 2
    gate, done = threading.Barrier(4), threading.Semaphore(0)

    def work() -> None:
        gate.wait(BOUND)
        done.release()

    for _ in range(3):
        workers.run(work)
    gate.wait(BOUND)
    assert all(done.acquire(timeout=BOUND) for _ in range(3))
    mine = [thread for thread in threading.enumerate() if thread not in before]
    assert len(mine) == 3
    workers.dismiss()
    for thread in mine:
        thread.join(BOUND)
        assert not thread.is_alive()


def test_a_warm_up_that_fails_or_has_no_times_ends_the_bench(fake: Any, make_generation: Any) -> None:
    server = fake(lambda prompt: make_generation(0.1))
    warm_up(server, ["a", "b"], PARAMS)
    assert server.asked == ["a", "b"]
    with pytest.raises(ModelServerError, match="'fake' says nothing of when its tokens came"):
        warm_up(fake(lambda prompt: make_generation(tokens=3)), ["a"], PARAMS)
