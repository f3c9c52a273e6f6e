"""The gRPC service: one bidirectional stream of frames, and the standard health check.

`/ianvs.cloud.v1.Cloud/Talk` carries all messages. `/grpc.health.v1.Health/Check` is gRPC's health checking protocol, as
probes of Kubernetes use it; it tells that the worker is there, and needs no token.
"""

from __future__ import annotations

from typing import Any

from ianvs_collab.cloud.errors import CloudError
from ianvs_collab.cloud.optional import need
from ianvs_collab.cloud.server.conversation import Conversation
from ianvs_collab.cloud.server.host import Host
from ianvs_collab.cloud.server.security import Security, client_of
from ianvs_collab.cloud.wire.frame import METHOD, SERVICE

_SERVING = b"\x08\x01"  # HealthCheckResponse { status: SERVING } in protocol buffers
_FRAME_BYTES = 128  # more than a frame has around its message
_STOP_SECONDS = 2.0  # for what the model is doing


class Service:
    """A worker that listens.

    Args:
        host: The model.
        security: Who may talk to it.
    """

    def __init__(self, host: Host, security: Security) -> None:
        self._host, self._security = host, security
        self._grpc = need("grpc", "grpcio")
        self._server: Any = None

    async def start(self, address: str, port: int) -> int:
        """Listen.

        Args:
            address: Host name or IP address of this machine.
            port: 0 for any that is free.

        Returns:
            The port.

        Raises:
            CloudError: If the address needs more protection, or cannot be had.
        """
        self._security.check_place(address)
        credentials = self._security.credentials()
        server = self._grpc.aio.server(options=self._options(), maximum_concurrent_rpcs=self._most_streams())
        server.add_generic_rpc_handlers(self._handlers())
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        try:
            found: int = server.add_secure_port(place, credentials) if credentials else server.add_insecure_port(place)
        except RuntimeError as error:
            raise CloudError(f"{place} cannot be listened on; is another program there? Choose another port") from error
        await server.start()
        self._server = server
        return found

    async def stop(self) -> None:
        """Hang up on everybody and release the model."""
        if self._server is not None:
            self._host.hang_up()
            await self._server.stop(_STOP_SECONDS)
        self._host.close()

    def _handlers(self) -> tuple[Any, Any]:
        grpc = self._grpc
        talk = {METHOD: grpc.stream_stream_rpc_method_handler(self._talk)}
        check = {"Check": grpc.unary_unary_rpc_method_handler(_health)}
        return (
            grpc.method_handlers_generic_handler(SERVICE, talk),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", check),
        )

    async def _talk(self, _: Any, context: Any) -> None:
        if not self._security.admits(context.invocation_metadata()):
            await context.abort(self._grpc.StatusCode.UNAUTHENTICATED, "the token is missing or wrong")
        await Conversation(self._host, client_of(context), context).hold()

    def _most_streams(self) -> int:
        return 2 * self._host.limits.sessions + 16  # each session may have a stream, and some only ask for a text

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.max_receive_message_length", self._host.limits.message_bytes + _FRAME_BYTES),
            ("grpc.max_send_message_length", self._host.limits.reply_bytes + _FRAME_BYTES),
            ("grpc.max_metadata_size", 8192),
            ("grpc.so_reuseport", 0),  # a second worker on the port is an error, not a lottery
            ("grpc.keepalive_time_ms", 20_000),  # finds clients that vanished without a word
            ("grpc.keepalive_timeout_ms", 15_000),
            ("grpc.http2.max_ping_strikes", 0),
        ]


async def _health(_: bytes, __: Any) -> bytes:
    return _SERVING
