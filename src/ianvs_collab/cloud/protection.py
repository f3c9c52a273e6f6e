"""What both sides need to protect themselves: the token, files with certificates, which addresses are this machine.

A token is read from a file or the environment, never from the command line, where every user of a machine can see it.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from ianvs_collab.cloud.errors import CloudError

TOKEN_VARIABLE = "IANVS_COLLAB_CLOUD_TOKEN"  # noqa: S105 - its name
_SHORTEST = 16


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(file: Path | None) -> str | None:
    """The token of a file, else of the environment, else none.

    Raises:
        CloudError: If the file cannot be read, or the token is too short to be one.
    """
    token = read_file(file).decode().strip() if file else os.environ.get(TOKEN_VARIABLE)
    if token is not None and (len(token) < _SHORTEST or not token.isascii() or not token.isprintable()):
        raise CloudError(
            f"the token in {file or TOKEN_VARIABLE} must have at least {_SHORTEST} printable ASCII characters; "
            "`openssl rand -hex 32` makes one"
        )
    return token


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        CloudError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CloudError(f"{path} cannot be read: {error.strerror}; give an existing file") from error
