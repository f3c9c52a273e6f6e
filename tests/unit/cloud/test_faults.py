"""A worker in a process of its own, killed, cut off, crowded and left alone: no hang, no leak, no wrong answer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from ianvs_collab.cloud.backend import load
from ianvs_collab.cloud.client.server import CloudServer
from ianvs_collab.cloud.errors import UnreachableError
from ianvs_collab.link import Deployment
from ianvs_collab.link.relay import Relay
from ianvs_collab.modelserver import ModelServer, SamplingParams, open_stepper

START = "import sys; from ianvs_collab.cloud.command import main; sys.exit(main(sys.argv[1:]))"
READY = re.compile(r"serving zoo:edge \(transformers, float32\) on 127\.0\.0\.1:(\d+), plaintext\n")
TEXT = [3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 32, 38]
WAIT = 300.0  # only a worker that is stuck takes so long
MIB = 2**20


class WorkerProcess:
    """`ianvs cloud --model zoo:edge` with further arguments; `address` waits until it is ready."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, "--model", "zoo:edge", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._port = 0

    @property
    def port(self) -> int:
        if not self._port:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            ready = READY.fullmatch(line)
            assert ready, (line, self.stop(signal.SIGKILL))
            self._port = int(ready[1])
        return self._port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal and wait for the end: status and what stands on stderr."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            errors = self._process.communicate(timeout=WAIT)[1]
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        return self._process.returncode, errors


@pytest.fixture(scope="module")
def processes() -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers: `processes("--port", "0")`."""
    started = []

    def start(*arguments: str) -> WorkerProcess:
        started.append(WorkerProcess(*arguments))
        return started[-1]

    yield start
    for process in started:
        process.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def process(processes: Callable[..., WorkerProcess]) -> WorkerProcess:
    return processes("--port", "0")


def settles(server: CloudServer) -> dict[str, Any]:
    """What the worker tells of itself once it has no sessions."""
    end = time.monotonic() + WAIT
    while (stats := server.stats())["sessions"]:
        assert time.monotonic() < end, stats
        time.sleep(0.02)
    return stats


def logits(local: ModelServer, text: list[int]) -> torch.Tensor:
    with open_stepper(local).open() as session:
        return session.step(text)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_hundred_sessions_at_once(process: WorkerProcess, connect: Any, local: ModelServer) -> None:
    server = connect(process.address, timeout=WAIT)
    expected = [logits(local, [number, *TEXT]) for number in range(100)]
    levels = [settles(server)["rss_bytes"]]
    for _ in range(2):
        stepper, together = server.stepper(), threading.Barrier(101, timeout=WAIT)

        def use(number: int, stepper: Any = stepper, together: threading.Barrier = together) -> None:
            with stepper.open() as session:
                session.prefill([number])
                together.wait()  # all hundred are open
                together.wait()
                close(session.step(TEXT), expected[number][1:])
                session.rollback(3)
                close(session.step(TEXT[-3:]), expected[number][-3:])

        with ThreadPoolExecutor(100) as pool:
            users = [pool.submit(use, number) for number in range(100)]
            together.wait()
            assert server.stats()["sessions"] == 100
            together.wait()
            for user in users:
                user.result(WAIT)
        levels.append(settles(server)["rss_bytes"])
    assert levels[-1] - levels[0] < 16 * MIB, levels
    assert server.stats()["streams"] == 1  # the one that asks


def test_a_client_that_is_killed_is_forgotten(process: WorkerProcess, connect: Any) -> None:
    script = (
        "import sys, time; from ianvs_collab.cloud.backend import load; stepper = load(sys.argv[1]).stepper();"
        "sessions = [stepper.open() for _ in range(5)]; print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, process.address], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "open\n"
        server = connect(process.address)
        assert server.stats()["sessions"] == 5
        client.kill()
    settles(server)


def test_the_link_is_cut_for_two_seconds(process: WorkerProcess, connect: Any, local: ModelServer) -> None:
    with Relay(Deployment(name="cut"), ("127.0.0.1", process.port), check=False, realtime=False) as relay:
        server = connect(f"{relay.host}:{relay.port}")
        with server.stepper().open() as session:
            session.prefill(TEXT)
            relay.cut(2.0)
            close(session.step([1, 2]), logits(local, [*TEXT, 1, 2])[-2:])
            assert session.recoveries == 0  # nothing was lost, it came late
            assert session.cost.network_s > 1.5
            counters = relay.counters()
            assert counters.uplink.sent > server.traffic.sent_bytes  # HTTP/2 has its own bytes
            assert counters.downlink.sent > server.traffic.received_bytes
        settles(server)


def test_the_connection_breaks_and_comes_back(process: WorkerProcess, connect: Any, local: ModelServer) -> None:
    place = ("127.0.0.1", process.port)
    first = Relay(Deployment(name="first"), place, check=False, realtime=False)
    with first:
        server = connect(f"{first.host}:{first.port}")
        session = server.stepper().open(hidden=True)
        session.prefill(TEXT)
        session.step([4, 5, 6])
        session.rollback(1)
        twin = session.fork()
        states = session.hidden(2)
    direct = connect(process.address)
    settles(direct)  # the worker has noticed
    with pytest.raises(UnreachableError, match=r"does not answer: .*Waited 0.3 s"):
        load(f"{first.host}:{first.port}", connect_timeout=0.3)
    assert session.tokens == (*TEXT, 4, 5)
    with Relay(Deployment(name="second"), place, port=first.port, check=False, realtime=False):
        close(session.hidden(2), states)
        close(twin.step([9]), logits(local, [*TEXT, 4, 5, 9])[-1:])
        close(session.step([1, 2]), logits(local, [*TEXT, 4, 5, 1, 2])[-2:])
        assert (session.recoveries, twin.recoveries) == (1, 1)
        assert server.generate("One", SamplingParams(max_tokens=2)).completion_tokens == 2
        session.close()
        twin.close()
        settles(direct)


def test_the_worker_is_killed_and_started_again(
    processes: Callable[..., WorkerProcess], process: WorkerProcess, connect: Any, local: ModelServer
) -> None:
    server = connect(process.address, recovery_timeout=WAIT)
    hasty = connect(process.address, recovery_timeout=0)
    session, lost = server.stepper().open(), hasty.stepper().open()
    for each in (session, lost):
        each.prefill(TEXT)
    assert process.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    with pytest.raises(UnreachableError, match="is it running .*Waited 0 s"):
        lost.step([1])
    assert lost.tokens == tuple(TEXT)
    found: list[torch.Tensor] = []
    waiting = threading.Thread(target=lambda: found.append(session.step([1, 2])))
    waiting.start()
    second = processes("--port", str(process.port))
    assert second.port == process.port
    waiting.join(WAIT)
    close(found[0], logits(local, [*TEXT, 1, 2])[-2:])
    assert session.recoveries == 1
    close(lost.step([1]), logits(local, [*TEXT, 1])[-1:])  # what gave up can be taken up again
    session.close()
    status, errors = second.stop(signal.SIGTERM)
    assert status == 0
    assert "Traceback" not in errors
    with pytest.raises(UnreachableError):
        hasty.generate("One")
