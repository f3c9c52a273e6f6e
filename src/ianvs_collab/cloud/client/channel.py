"""The connection to a worker: address, TLS, token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ianvs_collab.cloud.errors import CloudError
from ianvs_collab.cloud.optional import need
from ianvs_collab.cloud.protection import is_loopback, read_file, read_token
from ianvs_collab.cloud.wire.frame import METHOD, SERVICE

PATH = f"/{SERVICE}/{METHOD}"


@dataclass(frozen=True)
class Access:
    """Where a worker is and what opens it.

    Attributes:
        address: `host:port`.
        ca: File with the certificates (PEM) that the worker's is signed by; None for plaintext.
        token_file: File with the token; None for the environment's, if there is one.
        certificate: File with the client's own certificate (PEM), for mutual TLS.
        key: File with its key (PEM).
        server_name: Name in the worker's certificate, if it is not the one it is reached by.
        insecure: Whether plaintext may leave this machine.
        reply_bytes: Longest reply to accept.

    Raises:
        CloudError: If the address is none, or the set-up is half of one.
    """

    address: str
    ca: Path | None = None
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None
    insecure: bool = False
    reply_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        """Refuse what cannot work, or would give the token away."""
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise CloudError(f"{self.address!r} is no address of a cloud worker; give host:port, e.g. cloud.lan:50051")
        if (self.certificate is None) != (self.key is None):
            raise CloudError("mutual TLS needs both a certificate and its key; give the options certificate and key")
        if self.ca is None and self.certificate is not None:
            raise CloudError("a certificate is used with TLS only; give the option ca as well")
        if self.ca is None and not self.insecure and not is_loopback(host):
            raise CloudError(
                f"{host} is another machine, and everything would be sent in plaintext, the token too; give the option "
                "ca (the worker's certificate authority), or `insecure: true` if the network is safe"
            )

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every stream.

        Raises:
            CloudError: If the token cannot be read.
        """
        token = read_token(self.token_file)
        return () if token is None else (("authorization", f"Bearer {token}"),)

    def open(self) -> Any:
        """A channel of gRPC; it connects when it is used.

        Raises:
            CloudError: If a file cannot be read, or gRPC is not installed.
        """
        grpc = need("grpc", "grpcio")
        if self.ca is None:
            return grpc.insecure_channel(self.address, self._options())
        key = read_file(self.key) if self.key else None
        certificate = read_file(self.certificate) if self.certificate else None
        credentials = grpc.ssl_channel_credentials(read_file(self.ca), key, certificate)
        return grpc.secure_channel(self.address, credentials, self._options())

    def _options(self) -> list[tuple[str, Any]]:
        named = [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []
        return [
            *named,
            ("grpc.max_receive_message_length", self.reply_bytes),
            ("grpc.max_send_message_length", -1),  # the worker has its own limit
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.keepalive_time_ms", 20_000),  # finds a worker that vanished without a word
            ("grpc.keepalive_timeout_ms", 15_000),
            ("grpc.use_local_subchannel_pool", 1),  # two clients of one program do not share a connection
        ]
