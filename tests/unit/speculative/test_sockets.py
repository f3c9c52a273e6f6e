"""A query over a real socket: edge and cloud share nothing but the bytes, and the bytes are those that are counted."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from ianvs_collab.link import Deployment, Timeline
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import CloudLostError, ModelDrafter, make_codec
from ianvs_collab.speculative.loop import CloudHalf, EdgeHalf, FixedLength, VirtualExchange, run_synchronous
from ianvs_collab.speculative.modes import make_generator, make_picker, make_verifier
from ianvs_collab.speculative.protocols import Ids, frame

from .toys import ToyStepper, alone

PROMPT = [1, 2, 3]
TARGET = ToyStepper()


class Wire:
    """Frames on a socket; counts what it sends."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self.sent = sock, 0
        sock.settimeout(20)

    def send(self, payload: bytes) -> None:
        self._sock.sendall(frame(payload))
        self.sent += len(frame(payload))

    def receive(self) -> bytes:
        length = shift = 0
        while True:
            (byte,) = self._exactly(1)
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._sock.recv(count - len(data))
            if not piece:
                raise ConnectionResetError("the other side has gone")
            data += piece
        return data


class FarCloud:
    """The cloud's half as the edge sees it: a connection."""

    def __init__(self, wire: Wire, codec: Ids) -> None:
        self._wire, self._codec = wire, codec

    def open(self, payload: bytes) -> None:
        self._wire.send(payload)

    def answer(self, payload: bytes) -> Iterator[bytes]:
        self._wire.send(payload)
        for _ in range(max(1, self._codec.decode_block(payload).wanted)):
            yield self._wire.receive()

    def close(self) -> None:
        pass


def serve(sock: socket.socket, cloud: CloudHalf, counts: list[int], answers: int) -> None:
    wire = Wire(sock)
    with sock:
        cloud.open(wire.receive())
        try:
            for _ in range(answers):
                for verdict in cloud.answer(wire.receive()):
                    wire.send(verdict)
        except ConnectionResetError:
            pass  # the edge has what it wanted
    cloud.close()
    counts.append(wire.sent)


def over_a_socket(mode: str, protocol: str, answers: int = 1000) -> tuple[VirtualExchange, list[int], SamplingParams]:
    codec = make_codec(protocol, 8)
    params = SamplingParams(temperature=0.0 if mode == "greedy" else 1.0, seed=3, max_tokens=40)
    near, far = socket.socketpair()
    counts: list[int] = []
    cloud = CloudHalf(TARGET, codec, make_verifier(mode, params, codec))
    thread = threading.Thread(target=serve, args=(far, cloud, counts, answers))
    thread.start()
    drafter = ModelDrafter(TARGET.blurred(0.6), 8)
    edge = EdgeHalf(drafter, codec, make_generator(params), 40, ())
    wire = Wire(near)
    exchange = VirtualExchange(edge, FarCloud(wire, codec), codec, Timeline(Deployment(tier="real")))
    try:
        with near:
            exchange.start(PROMPT, lambda: drafter.begin(PROMPT, make_picker(mode, params, codec)))
            run_synchronous(exchange, FixedLength(4), 3)
    finally:
        thread.join(20)
    assert not thread.is_alive()
    return exchange, [wire.sent, *counts], params


@pytest.mark.parametrize(("mode", "protocol"), [("greedy", "ids"), ("gumbel", "ids")])
def test_a_query_over_a_socket_gives_the_targets_tokens(mode: str, protocol: str) -> None:
    exchange, _, params = over_a_socket(mode, protocol)
    assert exchange.edge.tokens == alone(TARGET, mode, PROMPT, params)


@pytest.mark.parametrize("protocol", ["ids", "quantised-q", "dssd", "full-q"])
def test_the_bytes_on_the_socket_are_those_that_are_counted(protocol: str) -> None:
    exchange, counts, _ = over_a_socket("greedy" if protocol == "ids" else "rejection", protocol)
    assert len(exchange.edge.tokens) == 40
    assert counts == [exchange.meter.wire_uplink_bytes, exchange.meter.wire_downlink_bytes]
    assert exchange.timeline.nbytes("uplink") == counts[0]


def test_a_cloud_that_goes_away_is_an_error_with_the_tokens_so_far() -> None:
    with pytest.raises(CloudLostError, match="lost after") as lost:
        over_a_socket("greedy", "ids", answers=3)
    tokens = lost.value.tokens
    expected = alone(TARGET, "greedy", PROMPT, SamplingParams(max_tokens=40))
    assert 3 <= len(tokens) < 40
    assert tokens == expected[: len(tokens)]
