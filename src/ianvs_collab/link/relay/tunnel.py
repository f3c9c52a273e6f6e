"""One connection through the relay: an end at the edge, an end at the cloud, and a lane each way between them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from ianvs_collab.link.deployment import Direction
from ianvs_collab.link.relay.lane import READ_BYTES, Lane, Traffic, Wire

SOCKET_BYTES = 256 * 1024
"""What the system may buffer for each socket of the relay; left to itself it grows to many megabytes."""

CONNECT_SECONDS = 10.0

Address = tuple[str, int]


class End(asyncio.BufferedProtocol):
    """The relay's socket at one side: reads into the lane that leaves it, is written to by the lane that comes in."""

    transport: asyncio.Transport

    def __init__(self, outgoing: Lane, incoming: Lane, opened: Callable[[], None], gone: Callable[[], None]) -> None:
        self.connected = False
        self._outgoing, self._incoming, self._opened, self._gone = outgoing, incoming, opened, gone
        self._buffer = bytearray(READ_BYTES)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tie the lanes to the socket, and bound what the system and asyncio buffer."""
        assert isinstance(transport, asyncio.Transport)
        self.connected = True
        self.transport = self._outgoing.source = self._incoming.sink = transport
        transport.set_write_buffer_limits(high=0)
        sock = transport.get_extra_info("socket")
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BYTES)
        self._opened()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where asyncio reads to."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        self._outgoing.push(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> bool:
        """The peer sends no more, but may still read (a half-closed connection)."""
        self._outgoing.finish()
        return True

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        self._incoming.block()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._incoming.unblock()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed: nothing can be delivered here any more."""
        self._incoming.close()
        self._gone()


class Tunnel:
    """A connection from edge to cloud.

    Args:
        wire: The link it goes over.
        server: Where the cloud listens.
        traffic: Where bytes are counted.
        failed: Called with the reason if the cloud cannot be reached.
        closed: Called when both ends are gone.
    """

    def __init__(
        self,
        wire: Wire,
        server: Address,
        traffic: dict[Direction, Traffic],
        failed: Callable[[str], None],
        closed: Callable[[Tunnel], None],
    ) -> None:
        self._wire, self._server, self._failed, self._closed = wire, server, failed, closed
        self._up = Lane(wire, "uplink", traffic["uplink"], self._finished)
        self._down = Lane(wire, "downlink", traffic["downlink"], self._finished)
        self.edge = End(self._up, self._down, self._start, lambda: self._lost(self._up))
        self._cloud = End(self._down, self._up, self._open, lambda: self._lost(self._down))
        self._ends_open = 0
        self._connecting: asyncio.Task[None] | None = None

    def _start(self) -> None:
        """The edge has connected: read nothing before the cloud has, too."""
        self._ends_open += 1
        loop = asyncio.get_running_loop()
        # Early releases of Python 3.11 begin to read after this method, whatever it says; so pause after that.
        loop.call_soon(self._hold)
        self._connecting = loop.create_task(self._connect())

    def _hold(self) -> None:
        if not self._cloud.connected:
            self.edge.transport.pause_reading()

    async def _connect(self) -> None:
        """Reach the cloud, a round trip after the edge asked for it."""
        if self._wire.settings.handshake:
            await self._wire.clock.sleep(self._wire.settings.rtt_ms / 1000)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().create_connection(lambda: self._cloud, *self._server)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else f"no answer within {CONNECT_SECONDS:g} s"
            self._failed(f"{self._server[0]}:{self._server[1]}: {reason}")
            self.edge.transport.close()

    def _open(self) -> None:
        """The cloud has connected: bytes may flow."""
        self._ends_open += 1
        self.edge.transport.resume_reading()

    def abort(self) -> None:
        """Close both ends at once."""
        if self._connecting:
            self._connecting.cancel()
        for end in (self.edge, self._cloud):
            if end.connected:
                end.transport.abort()

    def _finished(self) -> None:
        """One direction has ended; when both have, the connection is closed in good order."""
        if self._both_finished():
            self.edge.transport.close()
            self._cloud.transport.close()

    def _both_finished(self) -> bool:
        return self._up.finished and self._down.finished

    def _lost(self, lane: Lane) -> None:
        self._ends_open -= 1
        if not self._ends_open:
            self._closed(self)
        elif not self._both_finished():
            lane.reset()
