"""What becomes of the relay's process, and of those who rely on it, when something dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from ianvs_collab.link import Deployment
from ianvs_collab.link.relay import Relay, RelayError
from ianvs_collab.link.relay import relay as relay_module

from .ends import Cloud, eventually, gone, read_to_the_end

PARENT = """
import os, sys, time
from ianvs_collab.link import Deployment
from ianvs_collab.link.relay import Relay
with Relay(Deployment(), ("127.0.0.1", 9), check=False) as relay:
    child = os.fork() if sys.argv[1:] == ["fork"] else 0
    if child or not sys.argv[1:]:
        print(relay.pid, child, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("arguments", [[], ["fork"]], ids=["alone", "with a child that holds the control connection"])
def test_the_relay_dies_with_its_parent(arguments: list[str]) -> None:
    command = [sys.executable, "-c", PARENT, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        relay, child = map(int, parent.stdout.readline().split())
        assert not gone(relay)
        parent.kill()
        try:
            eventually(lambda: gone(relay))
        finally:
            with suppress(ProcessLookupError):
                if child:
                    os.kill(child, signal.SIGKILL)


def test_a_killed_relay_ends_connections_and_says_so(cloud: Cloud) -> None:
    relay = cloud.relay()
    client, server = cloud.connect(relay)
    assert relay.pid is not None
    os.kill(relay.pid, signal.SIGKILL)
    assert read_to_the_end(client) == read_to_the_end(server) == b""
    with pytest.raises(RelayError, match="the relay (is gone|does not answer)"):
        relay.counters()
    eventually(lambda: gone(relay.pid or 0))
    with pytest.raises(RelayError, match="ended with status -9"):
        relay.cut(1.0)
    with pytest.raises(RelayError, match="status -9"):
        relay.calibrate()


def test_a_relay_that_hangs_is_not_waited_for_for_ever(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "REPLY_SECONDS", 0.2)
    monkeypatch.setattr(relay_module, "STOP_SECONDS", 0.2)
    relay = cloud.relay()
    pid = relay.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(RelayError, match="does not answer"):
        relay.counters()
    relay.close()
    assert gone(pid)


def test_a_port_that_is_taken_is_named(cloud: Cloud) -> None:
    with pytest.raises(RelayError, match=rf"cannot listen on 127.0.0.1:{cloud.address[1]}.*choose another port"):
        Relay(Deployment(), cloud.address, port=cloud.address[1], check=False).__enter__()


def test_a_port_may_be_chosen(cloud: Cloud) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Relay(Deployment(), cloud.address, port=port, check=False) as relay:
        assert relay.port == port
        cloud.connect(relay)


def test_a_relay_that_cannot_start_is_reported(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module.sys, "executable", "/bin/false")
    with pytest.raises(RelayError, match="the relay (is gone|does not answer)"):
        Relay(Deployment(), cloud.address, check=False).__enter__()


def test_a_relay_that_is_not_running_says_how_to_run_it() -> None:
    relay = Relay(Deployment(), ("127.0.0.1", 9))
    assert relay.pid is None
    with pytest.raises(RelayError, match="with statement"):
        relay.restart()
    relay.close()


def test_no_relay_outlives_its_with_statement(cloud: Cloud) -> None:
    with Relay(Deployment(), cloud.address, check=False) as relay:
        pid = relay.pid
        assert pid is not None
    assert gone(pid)
    with pytest.raises(KeyboardInterrupt), Relay(Deployment(), cloud.address, check=False) as relay:
        pid = relay.pid
        raise KeyboardInterrupt
    assert gone(pid or 0)


def test_connections_that_wait_for_the_round_trip_end_with_the_relay(cloud: Cloud) -> None:
    relay = cloud.relay(rtt_ms=60_000)
    with socket.create_connection((relay.host, relay.port), 30) as client:
        eventually(lambda: relay.counters().accepted == 1)
        start = time.monotonic()
        relay.close()
        assert read_to_the_end(client) == b""
        assert time.monotonic() - start < 30
