"""Fixtures for the cloud worker: workers in this process on a loop of their own, clients, and raw streams for abuse."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from ianvs_collab.cloud.backend import load
from ianvs_collab.cloud.client.server import CloudServer
from ianvs_collab.cloud.handling import load_messages
from ianvs_collab.cloud.server.host import Host
from ianvs_collab.cloud.server.limits import Limits
from ianvs_collab.cloud.server.security import Security
from ianvs_collab.cloud.server.service import Service
from ianvs_collab.cloud.wire.frame import METHOD, SERVICE, Frame, decode_frame, encode_frame
from ianvs_collab.cloud.wire.message import decode, encode
from ianvs_collab.modelserver import ModelServer, load_model, open_stepper
from ianvs_collab.modelserver.stepping import Stepper

WAIT = 60.0


class Kept:
    """A model that many workers of the tests use; closing a worker leaves it open."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self.info = server.info
        self.generate, self.generate_batch = server.generate, server.generate_batch

    def stepper(self) -> Stepper:
        return open_stepper(self._server)

    def close(self) -> None:
        """Stay open."""


@dataclass
class Worker:
    """A worker that listens."""

    host: Host
    port: int
    stop: Callable[[], None]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def settles(self, sessions: int = 0) -> None:
        """Wait until it has as many sessions."""
        end = time.monotonic() + WAIT
        while self.host.census.open != sessions:
            assert time.monotonic() < end, f"{self.host.census.open} sessions are open, not {sessions}"
            time.sleep(0.01)


@dataclass
class RawReply:
    """What a raw stream got back."""

    frame: Frame
    message: Any


class RawStream:
    """A stream on which a test sends whatever bytes it likes."""

    def __init__(self, address: str, metadata: tuple[tuple[str, str], ...] = (), timeout: float | None = WAIT) -> None:
        self._channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        begin = self._channel.stream_stream(f"/{SERVICE}/{METHOD}")
        self.call = begin(iter(self._outgoing.get, None), metadata=metadata, timeout=timeout)
        self.nonce = os.urandom(8)

    def send(self, data: bytes) -> None:
        self._outgoing.put(data)

    def say(self, message: Any, sequence: int, **fields: Any) -> bytes:
        """Send a message as a client would; the bytes."""
        kind, body = encode(message)
        data = encode_frame(Frame(kind, body, fields.pop("nonce", self.nonce), sequence, **fields))
        self.send(data)
        return data

    def receive(self) -> RawReply:
        frame = decode_frame(next(self.call), 2**26)
        return RawReply(frame, decode(frame.kind, frame.body))

    def ended(self) -> tuple[str, str]:
        """How the stream ended: code and details."""
        with pytest.raises(grpc.RpcError):
            next(self.call)
        return self.call.code().name, self.call.details()

    def close(self) -> None:
        self._outgoing.put(None)
        self.call.cancel()
        self._channel.close()


@pytest.fixture(scope="session")
def local() -> Iterator[ModelServer]:
    """The nano edge model in this process."""
    server = load_model("transformers", "zoo:edge")
    yield server
    server.close()


@pytest.fixture(scope="session")
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="workers of the tests")
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


Serve = Callable[..., Worker]


@pytest.fixture(scope="session")
def _start(local: ModelServer, _loop: asyncio.AbstractEventLoop) -> Callable[..., Worker]:
    load_messages()

    def start(
        limits: Limits | None = None,
        security: Security | None = None,
        port: int = 0,
        model: Any = None,
        slowdown: float = 1.0,
    ) -> Worker:
        host = Host(model or Kept(local), limits or Limits(), slowdown)
        service = Service(host, security or Security())
        run = lambda work: asyncio.run_coroutine_threadsafe(work, _loop).result(WAIT)  # noqa: E731
        found = run(service.start("127.0.0.1", port))
        return Worker(host, found, lambda: run(service.stop()))

    return start


@pytest.fixture
def serve(_start: Serve) -> Iterator[Serve]:
    """Starts workers: `serve(Limits(sessions=2))`."""
    started = []

    def start(*args: Any, **options: Any) -> Worker:
        started.append(_start(*args, **options))
        return started[-1]

    yield start
    for worker in started:
        worker.stop()


@pytest.fixture(scope="session")
def worker(_start: Serve) -> Iterator[Worker]:
    """A worker with the usual limits."""
    running = _start()
    yield running
    running.stop()


@pytest.fixture
def connect() -> Iterator[Callable[..., CloudServer]]:
    """Connects to a worker: `connect(worker.address, timeout=5)`."""
    opened = []

    def open_client(address: str, **options: Any) -> CloudServer:
        opened.append(load(address, **{"connect_timeout": WAIT, "timeout": WAIT, **options}))
        return opened[-1]

    yield open_client
    for server in opened:
        server.close()


@pytest.fixture
def remote(worker: Worker, connect: Callable[..., CloudServer]) -> CloudServer:
    """A client of the worker with the usual limits."""
    return connect(worker.address)


@pytest.fixture
def raw() -> Iterator[Callable[..., RawStream]]:
    """Opens raw streams: `raw(worker.address)`."""
    opened = []

    def open_stream(address: str, **options: Any) -> RawStream:
        opened.append(RawStream(address, **options))
        return opened[-1]

    yield open_stream
    for stream in opened:
        stream.close()
