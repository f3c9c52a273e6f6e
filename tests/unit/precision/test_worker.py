"""The worker process: its messages, its honesty about time and memory, and how its death is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from ianvs_collab.modelserver import ModelServerError
from ianvs_collab.precision.live import process, worker
from ianvs_collab.precision.live.process import WorkerError, WorkerProcess, close_all
from ianvs_collab.precision.variant import Variant

from .conftest import MakeVariant
from .fake_worker import load_model

LIMIT = 60.0


class Clocks:
    """Time that passes only when something is done."""

    def __init__(self, share: float) -> None:
        self.wall, self.share, self.slept = 0.0, share, list[float]()

    def work(self, seconds: float) -> None:
        self.wall += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.wall += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Clocks]:
    def make(share: float = 1.0) -> Clocks:
        clock = Clocks(share)
        monkeypatch.setattr(worker, "load_model", load_model)
        monkeypatch.setattr(worker, "_CLOCKS", {"wall": lambda: clock.wall, "cpu": lambda: clock.wall * share})
        monkeypatch.setattr("ianvs_collab.precision.live.worker.time.perf_counter", lambda: clock.wall)
        monkeypatch.setattr("ianvs_collab.precision.live.worker.time.sleep", clock.sleep)
        return clock

    return make


def ask(one: worker.Worker, clock: Clocks, seconds: float, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    one.handle({"do": "load", "number": 1, "variant": "v", "backend": "fake", "model": "{}", "options": {}})
    server: Any = one._servers["v"]
    plain = server.generate

    def generate(prompt: Any, params: Any) -> Any:
        clock.work(seconds)
        return plain(prompt, params)

    monkeypatch.setattr(server, "generate", generate)
    return one.handle({"do": "answer", "number": 2, "variant": "v", "prompt": "?", "max_tokens": 4})


@pytest.mark.parametrize(
    ("slowdown", "clock", "share", "worked", "slept", "late"),
    [
        (1.0, "wall", 1.0, 2.0, [], False),
        (4.0, "wall", 1.0, 2.0, [6.0], False),
        (4.0, "cpu", 0.5, 1.0, [2.0], False),  # half of the time the processor was someone else's
        (1.5, "cpu", 0.5, 1.0, [], True),  # the neighbours took longer than the emulated device would have
        (0.5, "wall", 1.0, 2.0, [], True),
        (1.0, "cpu", 0.5, 1.0, [], False),
    ],
)
def test_a_slow_device_is_emulated_by_staying_busy(
    clocks: Callable[[float], Clocks],
    monkeypatch: pytest.MonkeyPatch,
    *,
    slowdown: float,
    clock: str,
    share: float,
    worked: float,
    slept: list[float],
    late: bool,
) -> None:
    times = clocks(share)
    reply = ask(worker.Worker(slowdown, clock), times, 2.0, monkeypatch)
    assert (reply["worked_s"], reply["computed_s"], reply["late"]) == (worked, 2.0, late)
    assert times.slept == slept
    assert reply["busy_s"] == 2.0 + sum(slept)


def test_what_a_model_complains_of_is_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "load_model", load_model)
    one = worker.Worker(1.0, "wall")
    message = {"do": "load", "number": 3, "variant": "v", "backend": "broken", "model": "", "options": {"a": 1}}
    assert one.handle(message) == {"number": 3, "failed": "no such model, ['a']"}

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(worker, "load_model", full)
    assert one.handle(message) == {"number": 3, "failed": "MemoryError"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_not_that_of_the_process_that_started_it() -> None:
    heavy = bytearray(os.urandom(1) * 200_000_000)
    script = f"import runpy; print(runpy.run_path({worker.__file__!r})['peak_rss_bytes']())"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 1_000_000 < int(told.stdout) < len(heavy)


def test_a_worker_loads_and_answers(fakes: MakeVariant) -> None:
    with WorkerProcess("edge", slowdown=3.0) as one:
        loaded = one.load(fakes(), LIMIT)
        assert loaded["revision"] == "r1"
        assert loaded["footprint"]["weight_bytes"] == 1000
        assert loaded["peak_rss_bytes"] >= loaded["rss_before_bytes"] > 1_000_000
        reply = one.answer("v", [{"role": "user", "content": "?"}], 8, LIMIT)
        assert reply["text"] == "It is Paris."
        assert reply["busy_s"] >= 3 * reply["worked_s"]
        assert one.pid != os.getpid()
    assert one._process.returncode is not None
    one.close()


def test_what_goes_wrong_in_a_model_is_told_and_the_worker_lives(fakes: MakeVariant) -> None:
    with WorkerProcess("edge") as one:
        with pytest.raises(WorkerError, match="no such model"):
            one.load(Variant("x", "broken", "{}", {"b": 2}), LIMIT)
        one.load(fakes(fail_at=1), LIMIT)
        with pytest.raises(WorkerError, match="the prompt is too long"):
            one.answer("v", "?", 8, LIMIT)
        assert one.answer("v", "?", 8, LIMIT)["text"]


def test_a_worker_that_dies_is_told_with_its_last_words(fakes: MakeVariant) -> None:
    with WorkerProcess("edge") as one:
        one.load(fakes(die_at=1), LIMIT)
        with pytest.raises(WorkerError, match="the worker 'edge' ended with status 7; its last words: out of luck"):
            one.answer("v", "?", 8, LIMIT)
        with pytest.raises(WorkerError, match="ended with status 7"):
            one.answer("v", "?", 8, LIMIT)


def test_a_worker_that_is_killed_is_noticed(fakes: MakeVariant) -> None:
    with WorkerProcess("edge") as one:
        one.load(fakes(hang_at=1), LIMIT)
        one.send("answer", variant="v", prompt="?", max_tokens=1)
        os.kill(one.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match="status -9 and said nothing"):
            one.receive()


def test_a_worker_that_hangs_is_ended(fakes: MakeVariant) -> None:
    with WorkerProcess("edge") as one:
        one.load(fakes(hang_at=1), LIMIT)
        with pytest.raises(WorkerError, match=r"edge: answering with v took more than 0\.2 s"):
            one.answer("v", "?", 8, 0.2)
        assert one._process.returncode == -signal.SIGTERM


def test_one_that_does_not_listen_is_killed(fakes: MakeVariant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_GRACE_S", 0.1)
    one = WorkerProcess("edge")
    one.load(fakes(stubborn=True, hang_at=1), LIMIT)
    one.send("answer", variant="v", prompt="?", max_tokens=1)
    close_all([one])
    assert one._process.returncode == -signal.SIGKILL


def test_a_worker_ends_with_its_other_side(fakes: MakeVariant) -> None:
    one = WorkerProcess("edge")
    one.load(fakes(), LIMIT)
    one.link.close()
    assert one._process.wait(LIMIT) == 0
    one.close()


def test_a_reply_to_somebody_who_left_is_dropped(fakes: MakeVariant) -> None:
    one = WorkerProcess("edge")
    one.load(fakes(seconds=0.3), LIMIT)
    one.send("answer", variant="v", prompt="?", max_tokens=1)
    time.sleep(0.05)  # so that it has begun
    one.link.close()
    assert one._process.wait(LIMIT) == 0
    one.close()


def test_a_reply_that_nobody_waits_for_any_more_is_skipped(fakes: MakeVariant) -> None:
    with WorkerProcess("edge") as one:
        one.load(fakes(echo=True), LIMIT)
        one.send("answer", variant="v", prompt=[{"role": "user", "content": "first"}], max_tokens=1)
        assert one.answer("v", [{"role": "user", "content": "second"}], 1, LIMIT)["text"] == "second"


def test_loaders_errors_are_model_server_errors() -> None:
    with pytest.raises(ModelServerError):
        load_model("broken", "")
