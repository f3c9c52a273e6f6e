"""The relay's process: two listening sockets, the link between them and their servers, and a control connection.

The control connection is a socket pair that the parent makes and this process inherits, so nobody else can reach it,
and its end is the parent's end. Requests and replies are lines of JSON: the first request holds the settings, the first
reply the ports.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from dataclasses import asdict
from typing import Any

from ianvs_collab.link.deployment import Direction
from ianvs_collab.link.relay.clock import LinkClock
from ianvs_collab.link.relay.lane import Traffic, Wire
from ianvs_collab.link.relay.precision import lower_timer_slack, precise_loop, raise_priority
from ianvs_collab.link.relay.settings import DIRECTIONS, RelaySettings
from ianvs_collab.link.relay.shaper import Shaper
from ianvs_collab.link.relay.tunnel import Address, Tunnel

ORPHAN_CHECK_SECONDS = 1.0


class Refusal(asyncio.Protocol):
    """Ends a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Reset it at once."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class Switchboard:
    """Accepts connections, keeps track of them, and does what the control connection asks for."""

    def __init__(self, settings: RelaySettings) -> None:
        self._wire = Wire(settings, LinkClock(), Shaper(settings))
        self._wire.shaper.restart(self._wire.clock.now(), "")
        self._tunnels: set[Tunnel] = set()
        self._probes: set[Tunnel] = set()
        self._servers: list[asyncio.Server] = []
        self._accepted = self._refused = 0
        self._last_error = ""

    async def listen(self, server: Address, *, host: str, port: int = 0, counted: bool = True) -> int:
        """Relay connections to a server; returns the port to connect to.

        Args:
            server: Host and port of the cloud.
            host: Address to listen on.
            port: Where to listen; 0 for a free port.
            counted: Whether the connections and their bytes count.

        Raises:
            OSError: If the port is taken.
        """
        accept = self._accept if counted else self._accept_probe
        listener = await asyncio.get_running_loop().create_server(lambda: accept(server), host, port)
        self._servers.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    def reply(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request of the control connection says."""
        match request["do"]:
            case "cut":
                self._wire.clock.cut(request["seconds"])
                return {}
            case "restart":
                self._wire.shaper.restart(self._wire.clock.now(), request["key"])
                return {"origin": time.monotonic()}
            case _:
                return self._counters()

    def close(self) -> None:
        """Stop listening and drop all connections."""
        for server in self._servers:
            server.close()
        for tunnel in self._tunnels | self._probes:
            tunnel.abort()

    def _accept(self, server: Address) -> asyncio.BaseProtocol:
        if len(self._tunnels) >= self._wire.settings.max_connections:
            self._fail(f"more than {self._wire.settings.max_connections} connections at once")
            return Refusal()
        self._accepted += 1
        return self._tunnel(server, self._wire.traffic, self._tunnels)

    def _accept_probe(self, server: Address) -> asyncio.BaseProtocol:
        return self._tunnel(server, {one: Traffic() for one in DIRECTIONS}, self._probes)

    def _tunnel(
        self, server: Address, traffic: dict[Direction, Traffic], register: set[Tunnel]
    ) -> asyncio.BaseProtocol:
        tunnel = Tunnel(self._wire, server, traffic, self._fail, register.discard)
        register.add(tunnel)
        return tunnel.edge

    def _fail(self, reason: str) -> None:
        self._refused += 1
        self._last_error = reason

    def _counters(self) -> dict[str, Any]:
        return {
            "uplink": asdict(self._wire.traffic["uplink"]),
            "downlink": asdict(self._wire.traffic["downlink"]),
            "accepted": self._accepted,
            "open": len(self._tunnels),
            "refused": self._refused,
            "last_error": self._last_error,
            "cpu_seconds": time.process_time(),
        }


async def serve(control: socket.socket) -> None:
    """Relay until the control connection ends."""
    reader, writer = await asyncio.open_unix_connection(sock=control)
    orphaned = asyncio.get_running_loop().create_task(_close_when_orphaned(writer, os.getppid()))
    hello = json.loads(await reader.readline())
    settings = RelaySettings.from_json(hello["settings"])
    board = Switchboard(settings)
    try:
        _write(writer, await _open(board, hello, settings))
        async for line in reader:
            _write(writer, board.reply(json.loads(line)))
    finally:
        board.close()
        orphaned.cancel()
        writer.close()
        await asyncio.sleep(0)  # lets transports close their sockets


async def _open(board: Switchboard, hello: dict[str, Any], settings: RelaySettings) -> dict[str, Any]:
    try:
        port = await board.listen(tuple(hello["server"]), host=hello["host"], port=hello["port"])
        probe = await board.listen(tuple(hello["probe"]), host=hello["host"], counted=False)
    except OSError as error:
        return {"error": f"cannot listen on {hello['host']}:{hello['port']}: {error.strerror or error}"}
    return {"port": port, "probe_port": probe, "realtime": settings.realtime and raise_priority(), "pid": os.getpid()}


async def _close_when_orphaned(writer: asyncio.StreamWriter, parent: int) -> None:
    """End even where a child of the parent has inherited the other end of the control connection and lives on."""
    while os.getppid() == parent:
        await asyncio.sleep(ORPHAN_CHECK_SECONDS)
    writer.close()


def _write(writer: asyncio.StreamWriter, reply: dict[str, Any]) -> None:
    writer.write(json.dumps(reply).encode() + b"\n")


def main() -> None:
    """Run the relay; the argument is the file descriptor of the control connection."""
    lower_timer_slack()
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
