"""Back-end `cloud`: a model behind `ianvs cloud`, on another machine or in another process.

It needs the extra `cloud`. PyTorch is loaded only for sessions, whose logits are tensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ianvs_collab.cloud.client.server import CloudServer


def load(
    model: str,
    *,
    ca: str | None = None,
    token_file: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    server_name: str | None = None,
    insecure: bool = False,
    logits: str = "float32",
    zstd: bool = False,
    timeout: float = 60.0,
    connect_timeout: float = 10.0,
    recovery_timeout: float = 30.0,
    concurrency: int = 4,
    max_reply_mib: int = 64,
) -> CloudServer:
    """Connect to a worker.

    Args:
        model: Its address, `host:port`.
        ca: File with the certificate (PEM) by which the worker's is checked; None for plaintext.
        token_file: File with the token; None for `IANVS_COLLAB_CLOUD_TOKEN` in the environment, if it is set.
        certificate: File with this client's own certificate (PEM), for mutual TLS.
        key: File with its key.
        server_name: Name in the worker's certificate, if it is reached by another one.
        insecure: Whether plaintext may be spoken with another machine.
        logits: Type in which sessions' logits travel: `float32`, `float16` or `bfloat16`.
        zstd: Whether to compress messages that become shorter by it.
        timeout: Seconds allowed for one request.
        connect_timeout: Seconds to wait for the worker at the beginning.
        recovery_timeout: Seconds to wait for it when the connection breaks; 0 to give up at once.
        concurrency: Requests of a batch under way at once.
        max_reply_mib: Longest reply to accept, in MiB.

    Raises:
        ModelServerError: If an option has no meaning, the extra is not installed, or the worker is not to be had.
    """
    from ianvs_collab.cloud.client.channel import Access  # noqa: PLC0415 - loaded when asked for
    from ianvs_collab.cloud.client.client import Client  # noqa: PLC0415
    from ianvs_collab.cloud.client.server import CloudServer  # noqa: PLC0415
    from ianvs_collab.cloud.errors import CloudError  # noqa: PLC0415
    from ianvs_collab.cloud.wire.tensors import FLOATS  # noqa: PLC0415

    for fits, complaint in (
        (logits in FLOATS, f"logits travel as {', '.join(FLOATS)}, not {logits!r}"),
        (timeout > 0 and connect_timeout > 0, "timeout and connect_timeout must be above 0"),
        (recovery_timeout >= 0, f"recovery_timeout must be 0 or more, not {recovery_timeout!r}"),
        (concurrency >= 1 and max_reply_mib >= 1, "concurrency and max_reply_mib must be at least 1"),
    ):
        if not fits:
            raise CloudError(f"{complaint}; correct the option")
    access = Access(
        model,
        ca=_path(ca),
        token_file=_path(token_file),
        certificate=_path(certificate),
        key=_path(key),
        server_name=server_name,
        insecure=insecure,
        reply_bytes=max_reply_mib * 2**20,
    )
    client = Client(
        access, timeout=timeout, connect_timeout=connect_timeout, recovery_timeout=recovery_timeout, zstd=zstd
    )
    return CloudServer(model, client, logits, concurrency)


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)
