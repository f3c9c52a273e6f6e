"""Two namespaces and a cable, made for real where this user may; else only what is said of it."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from ianvs_collab.link import Deployment, Link, RateTrace, Timeline
from ianvs_collab.link.namespaces import NamespacedRelay, NamespaceError, network

PATIENCE = 30.0
SYSTEM = {**os.environ, "PATH": network.search_path()}
SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)
"""


def possible() -> bool:
    try:
        network.check_system()
    except NamespaceError:
        return False
    made = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "probe", "type", "veth"], check=False, capture_output=True
    )
    return made.returncode == 0


def cables() -> set[str]:
    shown = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, check=True, env=SYSTEM).stdout)
    return {one["ifname"] for one in shown if one["ifname"].startswith("ianvs")}


needs_namespaces = pytest.mark.skipif(
    not possible(), reason="needs root (or `unshare --user --map-root-user --net`), iproute2 and util-linux"
)


@contextmanager
def echoing(link: Link, *, port: int = 9000, **more: object) -> Iterator[NamespacedRelay]:
    """A relay to a server in the namespace that sends everything back."""
    with NamespacedRelay(Deployment(link=link), ("127.0.0.1", port), check=False, **more) as relay:
        command = relay.command([sys.executable, "-c", SERVER, str(port)])
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            assert server.stdout.readline() == "ready\n"
            try:
                yield relay
            finally:
                server.kill()


@pytest.fixture(scope="module")
def relay() -> Iterator[NamespacedRelay]:
    with echoing(Link(rtt_ms=20, uplink_mbps=8, downlink_mbps=80)) as made:
        yield made


def exchange(connection: socket.socket, data: bytes) -> float:
    """Seconds until data have come back."""
    start, got = time.monotonic(), bytearray()
    connection.sendall(data)
    while len(got) < len(data):
        got += connection.recv(65536)
    assert bytes(got) == data
    return time.monotonic() - start


@needs_namespaces
def test_the_server_is_reached_over_the_cable_and_not_otherwise(relay: NamespacedRelay) -> None:
    with closing(socket.create_connection((relay.host, relay.port), PATIENCE)) as connection:
        exchange(connection, b"over the cable")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 9000), 1.0)


@needs_namespaces
@pytest.mark.parametrize("nbytes", [200, 6000])
def test_messages_take_what_the_virtual_tier_says(relay: NamespacedRelay, nbytes: int) -> None:
    """Within a quarter: 200 bytes lie in the token bucket, 6000 go beyond it and wait 6 ms for the uplink."""
    with closing(socket.create_connection((relay.host, relay.port), PATIENCE)) as connection:
        exchange(connection, b"warm")
        measured = statistics.median(exchange(connection, os.urandom(nbytes)) for _ in range(7))
    timeline = Timeline(Deployment(link=Link(rtt_ms=20, uplink_mbps=8, downlink_mbps=80)))
    timeline.transfer("uplink", nbytes, "there")
    wanted = timeline.transfer("downlink", nbytes, "back")
    assert measured == pytest.approx(wanted, rel=0.25)
    assert measured >= wanted - 0.001  # and never early


@needs_namespaces
def test_bytes_are_counted_twice_as_payload_and_as_frames(relay: NamespacedRelay) -> None:
    payload, frames = relay.counters(), relay.frames()
    with closing(socket.create_connection((relay.host, relay.port), PATIENCE)) as connection:
        exchange(connection, bytes(50_000))
    more, wire = relay.counters(), relay.frames()
    assert more.uplink.sent - payload.uplink.sent == more.downlink.sent - payload.downlink.sent == 50_000
    for crossed in (wire.uplink_bytes - frames.uplink_bytes, wire.downlink_bytes - frames.downlink_bytes):
        assert 50_000 * 1.02 < crossed < 50_000 * 1.25  # Ethernet, IP and TCP headers, and acknowledgements
    assert wire.uplink_packets > frames.uplink_packets
    assert wire.downlink_packets > frames.downlink_packets


@needs_namespaces
def test_a_cut_holds_everything_up(relay: NamespacedRelay) -> None:
    with closing(socket.create_connection((relay.host, relay.port), PATIENCE)) as connection:
        exchange(connection, b"before")
        relay.cut(0.4)
        assert exchange(connection, b"after") >= 0.4


@needs_namespaces
def test_the_link_measures_itself() -> None:
    link = Link(rtt_ms=10, uplink_mbps=20, downlink_mbps=40)
    with NamespacedRelay(Deployment(link=link), ("127.0.0.1", 9), check=False) as relay:
        found = relay.calibrate()
    assert found.rtt_ms == pytest.approx(10, rel=0.3)
    assert found.rtt_ms >= found.rtt_asked_ms - 0.05
    assert (found.uplink_mbps, found.downlink_mbps) == (pytest.approx(20, rel=0.2), pytest.approx(40, rel=0.2))


@needs_namespaces
def test_nothing_is_left_behind() -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(NamespacedRelay(Deployment(), ("127.0.0.1", 9), check=False)) for _ in range(2)]
        names = {one._cable.name for one in both if one._cable}
        assert len(names & cables()) == 2
        assert both[0].host != both[1].host
        os.kill(both[1].pid or 0, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while names & cables():  # the kernel takes a moment to free a namespace
        assert time.monotonic() < deadline
        time.sleep(0.01)


@needs_namespaces
def test_networks_that_are_taken_are_passed_over(relay: NamespacedRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = (int(ipaddress.ip_address(relay.host)) - int(network.RANGE[0])) // 4
    draws = iter([taken, taken, (taken + 1) % 2**15])
    monkeypatch.setattr(network.random.SystemRandom, "randrange", lambda self, most: next(draws))
    with NamespacedRelay(Deployment(), ("127.0.0.1", 9), check=False) as other:
        assert other.host != relay.host
        assert ipaddress.ip_address(other.host) in network.RANGE


def test_missing_commands_are_named_with_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(network, "SYSTEM_FOLDERS", ())
    with pytest.raises(NamespaceError, match="commands ip, tc, unshare, nsenter.*install iproute2 and util-linux"):
        NamespacedRelay(Deployment(), ("127.0.0.1", 9)).__enter__()


def test_a_rate_trace_is_refused() -> None:
    with pytest.raises(NamespaceError, match="uplink_trace cannot be had; use tier: relay"):
        NamespacedRelay(Deployment(), ("127.0.0.1", 9), uplink_trace=RateTrace.constant(1.0))


def test_a_user_who_may_not_is_told_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network.shutil, "which", lambda name, path: name)
    monkeypatch.setattr(NamespacedRelay, "_prefix", ("false",))
    relay = NamespacedRelay(Deployment(), ("127.0.0.1", 9))
    with pytest.raises(NamespaceError, match=re.escape("`unshare --user --map-root-user --net` before")):
        relay.__enter__()
    assert relay.pid is None


def test_a_command_that_fails_is_quoted() -> None:
    with pytest.raises(NamespaceError, match=r"'ip link show dev nothing0' failed: .*nothing0"):
        network._run("ip", "link", "show", "dev", "nothing0")


def test_a_namespace_that_is_gone_is_an_error() -> None:
    with pytest.raises(NamespaceError, match="cannot enter the cloud's network namespace"):
        network.listen_inside(2**22 + 1)
