"""Connections through a relay with both ends in the test's hands, so a test needs no server thread."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import psutil

from ianvs_collab.link import Deployment, Link
from ianvs_collab.link.relay import Relay

PATIENCE = 30.0

Ends = tuple[socket.socket, socket.socket]


class Cloud:
    """A listening socket, and relays to it; everything is closed at the end of the test."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.listener.settimeout(PATIENCE)
        self.address: tuple[str, int] = self.listener.getsockname()

    def relay(self, *, check: bool = False, **link: float) -> Relay:
        return self._stack.enter_context(Relay(Deployment(link=Link(**link)), self.address, check=check))

    def connect(self, relay: Relay) -> Ends:
        """(client's end, server's end) of a new connection through the relay."""
        client = self._stack.enter_context(socket.create_connection((relay.host, relay.port), PATIENCE))
        server = self._stack.enter_context(self.listener.accept()[0])
        server.settimeout(PATIENCE)
        return client, server


def read_exactly(sock: socket.socket, nbytes: int) -> bytes:
    data = bytearray()
    while len(data) < nbytes:
        got = sock.recv(min(65536, nbytes - len(data)))
        assert got, f"the connection ended after {len(data)} of {nbytes} bytes"
        data += got
    return bytes(data)


def read_to_the_end(sock: socket.socket) -> bytes:
    """What comes until the other side ends the connection, in good order or not."""
    data = bytearray()
    try:
        while got := sock.recv(65536):
            data += got
    except ConnectionError:
        pass
    return bytes(data)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fails if it does not come true within a generous time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
