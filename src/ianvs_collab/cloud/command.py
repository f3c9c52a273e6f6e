"""`ianvs cloud`: serve a model to edge devices."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ianvs_collab.cloud.errors import CloudError
from ianvs_collab.cloud.server.limits import MIB, Limits
from ianvs_collab.modelserver.types import ModelServerError

if TYPE_CHECKING:
    from ianvs_collab.cloud.server.host import Host

PORT = 50051


def main(argv: Sequence[str]) -> int:
    """Run `ianvs cloud <argv>`.

    Args:
        argv: What stands behind `ianvs cloud` on the command line, e.g. `["--model", "zoo:cloud"]`.

    Returns:
        0 if the worker was stopped by a signal or certificates were made, 1 if not (the reason stands on stderr).

    Raises:
        SystemExit: If the command line is wrong (status 2) or asks for help (0).
    """
    parser = make_parser()
    options = parser.parse_args(list(argv))
    if options.model is None and options.make_certificates is None:
        parser.error("name a model: --model zoo:cloud")
    try:
        if options.make_certificates is not None:
            return _make_certificates(options)
        return _serve(options)
    except (ModelServerError, ValueError) as error:
        print(f"{error}\nno cloud worker is running", file=sys.stderr)
        return 1


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="ianvs cloud",
        description="Serve a model to edge devices: completions, scores, and sessions driven token by token.",
    )
    parser.add_argument("--model", metavar="MODEL", help="zoo:cloud, a folder, a hub name: what the back-end takes")
    parser.add_argument("--backend", default="transformers", metavar="NAME", help="(default: transformers)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="option of the back-end, as in YAML"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"0 for any (default: {PORT})")
    parser.add_argument(
        "--slowdown", type=float, default=1.0, metavar="X", help="emulate a machine X times slower (default: 1)"
    )
    parser.add_argument("--extension", action="append", default=[], metavar="MODULE", help="module with more messages")
    _add_security(parser.add_argument_group("who may use it"))
    _add_limits(parser.add_argument_group("limits"))
    return parser


def _add_security(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--certificate", type=Path, metavar="FILE", help="certificate of the worker (PEM), for TLS")
    group.add_argument("--key", type=Path, metavar="FILE", help="its key (PEM)")
    group.add_argument("--client-ca", type=Path, metavar="FILE", help="clients need a certificate signed by this one")
    group.add_argument(
        "--token-file", type=Path, metavar="FILE", help="clients need this token (or IANVS_COLLAB_CLOUD_TOKEN)"
    )
    group.add_argument("--insecure", action="store_true", help="allow plaintext, or anybody, from other machines")
    group.add_argument("--make-certificates", type=Path, metavar="FOLDER", help="make an authority and certificates")
    group.add_argument("--name", action="append", default=[], metavar="NAME", help="name of the worker in them")


def _add_limits(group: argparse._ArgumentGroup) -> None:
    default = Limits()
    group.add_argument("--sessions", type=int, default=default.sessions, metavar="N", help="sessions at once")
    group.add_argument("--sessions-per-client", type=int, default=default.sessions_per_client, metavar="N")
    group.add_argument("--prompt-tokens", type=int, default=default.prompt_tokens, metavar="N", help="in one request")
    group.add_argument("--message-mib", type=float, default=default.message_bytes / MIB, metavar="X", help="a request")
    group.add_argument("--reply-mib", type=float, default=default.reply_bytes / MIB, metavar="X", help="a reply")
    group.add_argument("--idle", type=float, default=default.idle_s, metavar="S", help="seconds without a request")
    group.add_argument("--request", type=float, default=default.request_s, metavar="S", help="seconds for a request")


def _make_certificates(options: argparse.Namespace) -> int:
    from ianvs_collab.cloud.certificates import make_certificates  # noqa: PLC0415 - needs a package of its own

    for path in make_certificates(options.make_certificates, options.name):
        print(path)
    return 0


def _serve(options: argparse.Namespace) -> int:
    from ianvs_collab.cloud.handling import load_messages  # noqa: PLC0415 - slow; `-h` answers at once
    from ianvs_collab.cloud.optional import need  # noqa: PLC0415
    from ianvs_collab.cloud.protection import read_token  # noqa: PLC0415
    from ianvs_collab.cloud.server.host import Host  # noqa: PLC0415
    from ianvs_collab.cloud.server.security import Security  # noqa: PLC0415
    from ianvs_collab.modelserver.registry import load_model  # noqa: PLC0415

    need("grpc", "grpcio")
    limits = Limits(
        message_bytes=round(options.message_mib * MIB),
        reply_bytes=round(options.reply_mib * MIB),
        prompt_tokens=options.prompt_tokens,
        sessions=options.sessions,
        sessions_per_client=options.sessions_per_client,
        idle_s=options.idle,
        request_s=options.request,
    )
    token = read_token(options.token_file)
    security = Security(options.certificate, options.key, options.client_ca, token, options.insecure)
    security.check_place(options.host)  # before a model is loaded for minutes
    load_messages(tuple(options.extension))
    model = load_model(options.backend, options.model, **_options(options.option))
    asyncio.run(_run(Host(model, limits, options.slowdown), security, options.host, options.port))
    return 0


async def _run(host: Host, security: Any, address: str, port: int) -> None:
    """Serve until a signal comes."""
    from ianvs_collab.cloud.server.service import Service  # noqa: PLC0415

    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    service = Service(host, security)
    try:
        found = await service.start(address, port)
        info = host.model.info
        print(
            f"serving {info.model} ({info.backend}, {info.dtype}) on {address}:{found}, {security.told()}", flush=True
        )
        await over.wait()
    finally:
        await service.stop()


def _options(pairs: list[str]) -> dict[str, Any]:
    import yaml  # noqa: PLC0415

    found = {}
    for pair in pairs:
        name, given, value = pair.partition("=")
        if not given or not name:
            raise CloudError(f"--option {pair!r} is no option; write --option NAME=VALUE, e.g. --option dtype=bfloat16")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise CloudError(f"the value in --option {pair!r} is not in YAML: {error}") from error
    return found
