"""Who may talk to the worker: TLS, a token, clients' certificates. Plaintext stays on this machine unless allowed."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ianvs_collab.cloud.errors import CloudError
from ianvs_collab.cloud.optional import need
from ianvs_collab.cloud.protection import is_loopback, read_file


@dataclass(frozen=True)
class Security:
    """How the worker is protected.

    Attributes:
        certificate: File with its certificate (PEM), the chain included.
        key: File with the certificate's key (PEM).
        client_ca: File with the certificates (PEM) that sign clients' certificates; clients then need one.
        token: What clients have to know.
        insecure: Whether plaintext, or TLS without token and client certificates, may leave this machine.

    Raises:
        CloudError: If a certificate stands without its key, or clients' certificates are asked for without TLS.
    """

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    token: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        """Refuse half of a set-up."""
        if (self.certificate is None) != (self.key is None):
            raise CloudError("TLS needs both a certificate and its key; give --certificate and --key")
        if self.client_ca is not None and self.certificate is None:
            raise CloudError("clients' certificates are a part of TLS; give --certificate and --key as well")

    def check_place(self, host: str) -> None:
        """Refuse to listen where this is too little protection.

        Raises:
            CloudError: If it is.
        """
        if self.insecure or is_loopback(host):
            return
        if self.certificate is None:
            raise CloudError(
                f"{host} can be reached from other machines, and the worker would speak plaintext; give --certificate "
                "and --key (`ianvs cloud --make-certificates FOLDER` makes them), or --insecure if the network is safe"
            )
        if self.token is None and self.client_ca is None:
            raise CloudError(
                f"{host} can be reached from other machines, and anybody could use the model; give --token-file or "
                "--client-ca, or --insecure if the network is safe"
            )

    def credentials(self) -> Any:
        """Credentials of gRPC, or None for plaintext.

        Raises:
            CloudError: If a file cannot be read.
        """
        if self.certificate is None or self.key is None:
            return None
        pair = read_file(self.key), read_file(self.certificate)
        ca = read_file(self.client_ca) if self.client_ca else None
        return need("grpc", "grpcio").ssl_server_credentials([pair], ca, require_client_auth=ca is not None)

    def told(self) -> str:
        """How the worker is protected, for its first line."""
        if self.certificate is None:
            return "plaintext" + (", with a token" if self.token else "")
        return "TLS" + (", clients' certificates" if self.client_ca else "") + (", a token" if self.token else "")

    def admits(self, metadata: Any) -> bool:
        """Whether a stream's metadata have the token; the time that takes tells nothing about it."""
        if self.token is None:
            return True
        given = [value for name, value in metadata or () if name == "authorization"]
        wanted = f"Bearer {self.token}".encode()
        return len(given) == 1 and hmac.compare_digest(str(given[0]).encode(), wanted)


def client_of(context: Any) -> str:
    """Who a stream is from: the name in its certificate, else its address without the port."""
    names = context.auth_context().get("x509_common_name")
    if names:
        return f"certificate {names[0].decode()}"
    address: str = context.peer().rpartition(":")[0]
    return address
