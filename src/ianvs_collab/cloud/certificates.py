"""Certificates for a worker and its clients, made on the spot: an authority, and two certificates that it signs.

For a laboratory or a private network. Whoever has the authority's key can pose as the worker; it is written for its
owner only, and is needed again only for further certificates.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ianvs_collab.cloud.errors import CloudError
from ianvs_collab.cloud.optional import need

_DAYS = 825
_LOCAL = ("localhost", "127.0.0.1", "::1")


def make_certificates(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """Write `ca.pem`, `server.pem`, `client.pem` and their keys.

    Args:
        folder: Where to; made if it is not there.
        names: Host names and IP addresses of the worker, beside those of this machine.

    Returns:
        The files.

    Raises:
        CloudError: If there are such files already, or they cannot be written.
    """
    files = [folder / f"{name}{kind}" for name in ("ca", "server", "client") for kind in (".pem", ".key")]
    there = [path for path in files if path.exists()]
    if there:
        raise CloudError(f"{there[0]} exists already; choose another folder, or delete it if nobody uses it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in zip(files, _contents(list(dict.fromkeys((*_LOCAL, *names)))), strict=True):
            _write(path, content, secret=path.suffix == ".key")
    except OSError as error:
        raise CloudError(f"{folder} cannot be written: {error.strerror}; choose another folder") from error
    return files


def _contents(names: list[str]) -> list[bytes]:
    x509 = need("cryptography.x509", "cryptography")
    oid = need("cryptography.x509.oid", "cryptography").ExtendedKeyUsageOID
    ca_key, ca = _certificate("ianvs-collab authority", [(x509.BasicConstraints(ca=True, path_length=0), True)])
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    pairs = [(ca_key, ca)]
    for name, usage, further in (
        ("ianvs-collab worker", oid.SERVER_AUTH, [(alternatives, False)]),
        ("ianvs-collab client", oid.CLIENT_AUTH, []),
    ):
        extensions = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage([usage]), False),
        ]
        pairs.append(_certificate(name, extensions + further, issuer=(ca_key, ca)))
    serialization = need("cryptography.hazmat.primitives.serialization", "cryptography")
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return [
        content
        for key, certificate in pairs
        for content in (
            certificate.public_bytes(pem),
            key.private_bytes(pem, form, serialization.NoEncryption()),
        )
    ]


def _certificate(name: str, extensions: list[Any], issuer: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """A key and its certificate, signed by the issuer's key or its own."""
    x509 = need("cryptography.x509", "cryptography")
    key = need("cryptography.hazmat.primitives.asymmetric.ec", "cryptography")
    private = key.generate_private_key(key.SECP256R1())
    subject = x509.Name([x509.NameAttribute(need("cryptography.x509.oid", "cryptography").NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    sha256 = need("cryptography.hazmat.primitives.hashes", "cryptography").SHA256()
    return private, builder.sign(issuer[0] if issuer else private, sha256)


def _general_name(name: str) -> Any:
    x509 = need("cryptography.x509", "cryptography")
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes, secret: bool) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
