"""Who may talk to the worker, and over what."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from ianvs_collab.cloud.backend import load
from ianvs_collab.cloud.certificates import make_certificates
from ianvs_collab.cloud.client.channel import Access
from ianvs_collab.cloud.client.server import CloudServer
from ianvs_collab.cloud.errors import CloudError, UnreachableError
from ianvs_collab.cloud.protection import TOKEN_VARIABLE, is_loopback, read_token
from ianvs_collab.cloud.server.security import Security
from ianvs_collab.modelserver import SamplingParams

TOKEN = "0123456789abcdef0123456789abcdef"
FEW = SamplingParams(max_tokens=2)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates") / "new"
    assert [path.name for path in make_certificates(folder, ["cloud.example", "10.0.0.7"])] == [
        "ca.pem", "ca.key", "server.pem", "server.key", "client.pem", "client.key"
    ]  # fmt: skip
    return folder


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text(TOKEN + "\n")
    return tmp_path / "token"


def tls(folder: Path, **more: Any) -> Security:
    return Security(folder / "server.pem", folder / "server.key", **more)


def test_tls_with_a_token(
    serve: Any, connect: Callable[..., CloudServer], certificates: Path, token_file: Path
) -> None:
    worker = serve(security=tls(certificates, token=TOKEN))
    ca = str(certificates / "ca.pem")
    for address in (worker.address, f"localhost:{worker.port}"):
        server = connect(address, ca=ca, token_file=str(token_file))
        assert server.generate("Two and two", FEW).completion_tokens == 2
        assert server.stepper().open().step([1, 2]).shape[0] == 2
    named = connect(worker.address, ca=ca, token_file=str(token_file), server_name="cloud.example")
    assert named.stats()["clients"] >= 0
    with pytest.raises(CloudError, match="refuses this client: the token is missing or wrong; give the worker's token"):
        load(worker.address, ca=ca)


@pytest.mark.parametrize("wrong", [None, "", TOKEN[:-1], TOKEN + "0", TOKEN.upper(), "é" * 32])
def test_a_wrong_token_is_refused(serve: Any, raw: Any, wrong: str | None) -> None:
    worker = serve(security=Security(token=TOKEN))
    metadata = () if wrong is None else (("authorization", f"Bearer {wrong}".encode().decode("latin-1")),)
    if wrong == "é" * 32:
        metadata = (("authorization-bin", wrong.encode()),)
    stream = raw(worker.address, metadata=metadata)
    assert stream.ended() == ("UNAUTHENTICATED", "the token is missing or wrong")
    assert worker.host.streams == 0


def test_the_token_must_stand_alone_and_as_a_bearer_token() -> None:
    security = Security(token=TOKEN)
    good = ("authorization", f"Bearer {TOKEN}")
    assert security.admits((good, ("other", "value")))
    for metadata in ((), None, (good, good), (("authorization", TOKEN),), (("Authorization2", good[1]),)):
        assert not security.admits(metadata)
    assert Security().admits(())


def test_mutual_tls(serve: Any, connect: Callable[..., CloudServer], certificates: Path, tmp_path: Path) -> None:
    worker = serve(security=tls(certificates, client_ca=certificates / "ca.pem"))
    own = {"certificate": str(certificates / "client.pem"), "key": str(certificates / "client.key")}
    server = connect(worker.address, ca=str(certificates / "ca.pem"), **own)
    session = server.stepper().open()
    assert session.step([1]).shape[0] == 1
    assert list(worker.host.census._clients) == ["certificate ianvs-collab client"]
    make_certificates(tmp_path / "others")
    stranger = {name: str(tmp_path / "others" / Path(path).name) for name, path in own.items()}
    for attempt in ({}, stranger):
        with pytest.raises(CloudError):
            load(worker.address, ca=str(certificates / "ca.pem"), connect_timeout=0.5, **attempt)


def test_a_worker_with_another_certificate_is_not_trusted(serve: Any, certificates: Path, tmp_path: Path) -> None:
    worker = serve(security=tls(certificates))
    make_certificates(tmp_path / "others")
    with pytest.raises(
        CloudError, match="no TLS with the cloud worker: .*does the option ca belong to its certificate"
    ):
        load(worker.address, ca=str(tmp_path / "others" / "ca.pem"))


def test_plaintext_does_not_reach_a_worker_with_tls(serve: Any, certificates: Path) -> None:
    worker = serve(security=tls(certificates))
    with pytest.raises(UnreachableError, match="does not answer: "):
        load(worker.address, connect_timeout=0.5)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("cloud.lan", False),
        ("localhost.evil.example", False),
    ],
)
def test_what_is_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    if loopback:
        Security().check_place(host)
        Access(f"{host}:5")
        return
    with pytest.raises(CloudError, match="would speak plaintext; give --certificate"):
        Security(token=TOKEN).check_place(host)
    with pytest.raises(CloudError, match="anybody could use the model; give --token-file or --client-ca"):
        Security(Path("c"), Path("k")).check_place(host)
    Security(insecure=True).check_place(host)
    Security(Path("c"), Path("k"), token=TOKEN).check_place(host)
    Security(Path("c"), Path("k"), client_ca=Path("a")).check_place(host)
    with pytest.raises(CloudError, match="sent in plaintext, the token too; give the option ca"):
        Access(f"{host}:5")
    Access(f"{host}:5", insecure=True)
    Access(f"{host}:5", ca=Path("ca"))


def test_half_a_set_up_is_refused() -> None:
    for half in ({"certificate": Path("c")}, {"key": Path("k")}):
        with pytest.raises(CloudError, match="TLS needs both a certificate and its key"):
            Security(**half)
        with pytest.raises(CloudError, match="mutual TLS needs both a certificate and its key"):
            Access("localhost:5", ca=Path("ca"), **half)
    with pytest.raises(CloudError, match="clients' certificates are a part of TLS"):
        Security(client_ca=Path("a"))
    with pytest.raises(CloudError, match="a certificate is used with TLS only; give the option ca"):
        Access("localhost:5", certificate=Path("c"), key=Path("k"))


@pytest.mark.parametrize("address", ["", "localhost", ":5", "localhost:", "localhost:x", "localhost:0", "a:65536"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(CloudError, match="is no address of a cloud worker; give host:port"):
        Access(address)


def test_where_the_token_comes_from(tmp_path: Path, token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_token(None) is None
    assert Access("localhost:5").metadata() == ()
    assert read_token(token_file) == TOKEN
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN[::-1])
    assert read_token(None) == TOKEN[::-1]
    assert Access("localhost:5", token_file=token_file).metadata() == (("authorization", f"Bearer {TOKEN}"),)
    for bad in ("short", "with\nnew line in it", "é" * 20, ""):
        monkeypatch.setenv(TOKEN_VARIABLE, bad)
        with pytest.raises(CloudError, match="must have at least 16 printable ASCII characters; `openssl rand"):
            read_token(None)
    with pytest.raises(CloudError, match=r"nothing cannot be read: No such file or directory; give an existing file"):
        read_token(tmp_path / "nothing")


def test_files_that_are_not_there(serve: Any, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="server.key cannot be read"):
        serve(security=tls(tmp_path))
    with pytest.raises(CloudError, match="ca.pem cannot be read"):
        load("localhost:5", ca=str(tmp_path / "ca.pem"))


def test_keys_are_for_their_owner(certificates: Path) -> None:
    for path in certificates.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.suffix == ".key" else 0o644)


def test_certificates_are_not_overwritten(certificates: Path, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"ca.pem exists already; choose another folder"):
        make_certificates(certificates)
    (tmp_path / "file").touch()
    with pytest.raises(CloudError, match="cannot be written: .*; choose another folder"):
        make_certificates(tmp_path / "file" / "folder")


def test_how_the_worker_is_protected_is_told() -> None:
    assert Security().told() == "plaintext"
    assert Security(token=TOKEN).told() == "plaintext, with a token"
    files = Path("c"), Path("k")
    assert Security(*files, token=TOKEN).told() == "TLS, a token"
    assert Security(*files, client_ca=Path("a")).told() == "TLS, clients' certificates"


def test_the_health_check_needs_no_token(serve: Any) -> None:
    worker = serve(security=Security(token=TOKEN))
    with grpc.insecure_channel(worker.address) as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10) == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/grpc.health.v1.Health/Other")(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_port_is_not_shared(serve: Any) -> None:
    worker = serve()
    with pytest.raises(CloudError, match=f"127.0.0.1:{worker.port} cannot be listened on; is another program there"):
        serve(port=worker.port)
