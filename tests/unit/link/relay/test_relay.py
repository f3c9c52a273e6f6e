from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Link, RateTrace
from ianvs_collab.link.relay import Relay, RelayError
from ianvs_collab.link.relay.lane import READ_BYTES

from .ends import PATIENCE, Cloud, Ends, eventually, read_exactly, read_to_the_end

Three = tuple[socket.socket, socket.socket, Relay]

NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() reset the connection."""


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Cloud, Relay]]:
    """A short link, for tests that close what they open."""
    with ExitStack() as stack:
        cloud = Cloud(stack)
        yield cloud, cloud.relay(rtt_ms=4)


@pytest.fixture
def ends(shared: tuple[Cloud, Relay]) -> Iterator[Three]:
    """A new connection through it: client's end, server's end, the relay."""
    cloud, relay = shared
    client, server = cloud.connect(relay)
    with client, server:
        yield client, server, relay
    eventually(lambda: relay.counters().open == 0)
    assert held(relay) == 0


@pytest.fixture(scope="module")
def shaky() -> Iterator[tuple[Cloud, Relay]]:
    with ExitStack() as stack:
        cloud = Cloud(stack)
        yield cloud, cloud.relay(rtt_ms=2, jitter_ms=2, loss=0.2, uplink_mbps=400, downlink_mbps=400)


def held(relay: Relay) -> int:
    counters = relay.counters()
    return counters.uplink.held + counters.downlink.held


def exchange(ends: Ends, sends: list[tuple[bool, bytes]]) -> tuple[bytes, bytes]:
    """Send chunks from the client (True) or the server (False); returns what arrives at (server, client)."""
    client, server = ends
    for from_client, chunk in sends:
        (client if from_client else server).sendall(chunk)
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)
    return read_to_the_end(server), read_to_the_end(client)


def expected(sends: list[tuple[bool, bytes]]) -> tuple[bytes, bytes]:
    return (
        b"".join(chunk for from_client, chunk in sends if from_client),
        b"".join(chunk for from_client, chunk in sends if not from_client),
    )


def test_what_is_sent_at_once_waits_for_the_handshake(cloud: Cloud) -> None:
    """A client does not know that the server is not there yet; its first bytes come a round trip and a half later."""
    relay = cloud.relay(rtt_ms=60)
    start = time.monotonic()
    with socket.create_connection((relay.host, relay.port), PATIENCE) as client:
        client.sendall(b"at once")
        with cloud.listener.accept()[0] as server:
            server.settimeout(PATIENCE)
            assert read_exactly(server, 7) == b"at once"
    assert time.monotonic() - start >= 0.09


chunks = st.lists(
    st.tuples(
        st.booleans(),
        st.one_of(st.binary(max_size=50), st.integers(0, 40_000).map(lambda n: random.Random(n).randbytes(n))),
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=50)
@given(chunks)
def test_every_byte_arrives_and_is_counted(shared: tuple[Cloud, Relay], sends: list[tuple[bool, bytes]]) -> None:
    cloud, relay = shared
    before = relay.counters()
    client, server = cloud.connect(relay)
    with client, server:
        assert exchange((client, server), sends) == expected(sends)
    after = relay.counters()
    up, down = map(len, expected(sends))
    assert after.uplink.sent - before.uplink.sent == after.uplink.delivered - before.uplink.delivered == up
    assert after.downlink.sent - before.downlink.sent == after.downlink.delivered - before.downlink.delivered == down
    assert held(relay) == 0


@settings(deadline=None, max_examples=20)
@given(chunks)
def test_jitter_and_loss_do_not_change_the_order(shaky: tuple[Cloud, Relay], sends: list[tuple[bool, bytes]]) -> None:
    cloud, relay = shaky
    client, server = cloud.connect(relay)
    with client, server:
        assert exchange((client, server), sends) == expected(sends)


def test_many_connections_at_once_keep_their_bytes_apart(shaky: tuple[Cloud, Relay]) -> None:
    cloud, relay = shaky
    pairs = [cloud.connect(relay) for _ in range(30)]
    for index, (client, _) in enumerate(pairs):
        client.sendall(bytes([index]) * 5000)
    for _, server in pairs:  # the listener hands them out in the order of their arrival, which may differ
        data = read_exactly(server, 5000)
        assert len(set(data)) == 1
        server.sendall(data)
    for index, (client, _) in enumerate(pairs):
        assert read_exactly(client, 5000) == bytes([index]) * 5000
    for pair in pairs:
        for end in pair:
            end.close()
    eventually(lambda: relay.counters().open == 0)


def test_delay_and_rate_are_never_less_than_asked(cloud: Cloud) -> None:
    relay = cloud.relay(rtt_ms=40, uplink_mbps=8, downlink_mbps=80)
    client, server = cloud.connect(relay)
    start = time.monotonic()
    client.sendall(bytes(20_000))
    read_exactly(server, 20_000)
    middle = time.monotonic()
    server.sendall(bytes(20_000))
    read_exactly(client, 20_000)
    assert middle - start >= 0.020 + 0.020
    assert time.monotonic() - middle >= 0.020 + 0.002


def test_a_trace_begins_with_the_relay_and_at_each_restart(cloud: Cloud) -> None:
    trace = RateTrace(((0.0, 0.1), (3600.0, 1000.0)))  # slow for the first hour: 2000 bytes take 0.16 s
    with Relay(Deployment(), cloud.address, uplink_trace=trace, check=False) as relay:
        client, server = cloud.connect(relay)
        for _ in range(2):
            start = time.monotonic()
            client.sendall(bytes(2000))
            read_exactly(server, 2000)
            assert time.monotonic() - start >= 0.16
            assert relay.restart("query") >= start


def test_a_new_connection_costs_a_round_trip(cloud: Cloud) -> None:
    relay = cloud.relay(rtt_ms=60)
    start = time.monotonic()
    cloud.connect(relay)
    assert time.monotonic() - start >= 0.06


def test_the_round_trip_of_a_new_connection_can_be_left_out(cloud: Cloud) -> None:
    deployment = Deployment(link=Link(rtt_ms=3_600_000))
    with Relay(deployment, cloud.address, check=False, handshake=False) as relay:
        client, server = cloud.connect(relay)
        client.shutdown(socket.SHUT_WR)
        assert relay.counters().open == 1


def fill(client: socket.socket) -> int:
    """Send until nothing is taken for a while; returns the bytes taken."""
    client.setblocking(False)
    taken, quiet_since = 0, time.monotonic()
    while time.monotonic() - quiet_since < 1.0:
        try:
            taken += client.send(_pattern(taken, 65536))
            quiet_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    client.settimeout(30)
    return taken


def _pattern(start: int, nbytes: int) -> bytes:
    whole = bytes(range(256)) * (nbytes // 256 + 2)
    return whole[start % 256 :][:nbytes]


def test_a_slow_reader_blocks_the_sender_and_memory_stays_bounded(cloud: Cloud) -> None:
    relay = cloud.relay(uplink_mbps=1000)
    client, server = cloud.connect(relay)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    assert relay.pid is not None
    process = psutil.Process(relay.pid)
    resident = process.memory_info().rss
    taken = fill(client)
    bound = relay.settings.capacity("uplink") + READ_BYTES
    uplink = relay.counters().uplink
    assert 0 < uplink.held <= bound
    assert uplink.sent < taken  # the rest waits in the sockets' own buffers, where it blocks the sender
    assert process.memory_info().rss - resident < 16 * 2**20
    reader = threading.Thread(target=client.sendall, args=(_pattern(taken, 8_000_000),))
    reader.start()
    assert read_exactly(server, taken + 8_000_000) == _pattern(0, taken + 8_000_000)
    reader.join()
    assert relay.counters().uplink.peak <= bound
    assert held(relay) == 0


def test_a_blocked_direction_does_not_block_the_other(ends: Three) -> None:
    client, server, relay = ends
    fill(client)
    server.sendall(b"still here")
    assert read_exactly(client, 10) == b"still here"
    assert held(relay) > 0


def test_a_cut_holds_everything_back_and_loses_nothing(cloud: Cloud) -> None:
    relay = cloud.relay(rtt_ms=10, uplink_mbps=8)
    client, server = cloud.connect(relay)
    client.sendall(b"a" * 5000)  # under way when the link is cut
    eventually(lambda: relay.counters().uplink.sent == 5000)
    start = time.monotonic()
    relay.cut(0.4)
    client.sendall(b"b" * 5000)
    server.sendall(b"c" * 5000)
    eventually(lambda: relay.counters().downlink.sent == 5000)
    delivered = relay.counters().uplink.delivered
    read_exactly(server, delivered)
    assert read_exactly(server, 10_000 - delivered) == (b"a" * 5000 + b"b" * 5000)[delivered:]
    assert time.monotonic() - start >= 0.4
    assert read_exactly(client, 5000) == b"c" * 5000


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_a_cut_has_a_length(shared: tuple[Cloud, Relay], seconds: float) -> None:
    with pytest.raises(ValueError, match="0 seconds or more"):
        shared[1].cut(seconds)


def test_one_side_may_end_while_the_other_goes_on(ends: Three) -> None:
    client, server, relay = ends
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert read_to_the_end(server) == b"question"
    server.sendall(b"a long answer")
    assert read_exactly(client, 13) == b"a long answer"
    assert relay.counters().open == 1
    server.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    eventually(lambda: relay.counters().open == 0)


def test_a_client_that_resets_is_known_to_the_server_and_freed(ends: Three) -> None:
    client, server, relay = ends
    client.sendall(b"hello")
    assert read_exactly(server, 5) == b"hello"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    client.close()
    with pytest.raises(ConnectionResetError):
        server.recv(1)
    eventually(lambda: relay.counters().open == 0)


def test_a_client_that_vanishes_from_a_streamed_answer_is_freed(ends: Three) -> None:
    client, server, relay = ends
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert read_to_the_end(server) == b"question"
    client.close()
    with pytest.raises(ConnectionError):
        while True:
            server.sendall(bytes(1000))
            time.sleep(0.001)
    eventually(lambda: relay.counters().open == 0)


def test_a_client_that_vanishes_while_the_server_reads_nothing_is_freed(ends: Three) -> None:
    client, server, relay = ends
    fill(client)
    before = relay.counters().downlink.delivered
    server.sendall(bytes(1000))  # unread at the client, so that its close is a reset
    eventually(lambda: relay.counters().downlink.delivered == before + 1000)
    client.close()
    server.sendall(bytes(1000))
    eventually(lambda: relay.counters().open == 0)


def test_without_a_server_the_client_is_told_at_once(cloud: Cloud) -> None:
    relay = cloud.relay(rtt_ms=2)
    cloud.listener.close()
    with socket.create_connection((relay.host, relay.port), 30) as client:
        assert read_to_the_end(client) == b""
    eventually(lambda: relay.counters().open == 0)
    counters = relay.counters()
    assert (counters.accepted, counters.refused) == (1, 1)
    assert counters.last_error == f"127.0.0.1:{cloud.address[1]}: Connection refused"


def test_a_server_that_comes_back_is_reached_again(cloud: Cloud) -> None:
    relay = cloud.relay()
    cloud.listener.close()
    with socket.create_connection((relay.host, relay.port), 30) as client:
        read_to_the_end(client)
    with socket.create_server(cloud.address, reuse_port=False) as listener:
        listener.settimeout(30)
        with socket.create_connection((relay.host, relay.port), 30) as client, listener.accept()[0] as server:
            client.sendall(b"again")
            assert read_exactly(server, 5) == b"again"


def test_one_connection_too_many_is_reset(cloud: Cloud) -> None:
    with Relay(Deployment(), cloud.address, check=False, max_connections=1) as relay:
        first = cloud.connect(relay)
        with socket.create_connection((relay.host, relay.port), 30) as second:
            assert read_to_the_end(second) == b""
        assert "more than 1 connections" in relay.counters().last_error
        first[0].sendall(b"fine")
        assert read_exactly(first[1], 4) == b"fine"


def test_connections_end_when_the_relay_is_closed(cloud: Cloud) -> None:
    relay = cloud.relay()
    client, server = cloud.connect(relay)
    relay.close()
    assert read_to_the_end(client) == read_to_the_end(server) == b""
    with pytest.raises(RelayError, match="not running: use it in a with statement"):
        relay.counters()
    relay.close()
