"""The command line, the back-end's options, extensions, and what is said when a package is missing."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ianvs_collab.cloud import command, handling
from ianvs_collab.cloud.backend import load
from ianvs_collab.cloud.command import main
from ianvs_collab.cloud.errors import CloudError
from ianvs_collab.cloud.handling import handles, load_messages
from ianvs_collab.cloud.messages.admin import Ping
from ianvs_collab.cloud.optional import need
from ianvs_collab.cloud.server.limits import Limits
from ianvs_collab.cloud.wire.message import known
from ianvs_collab.modelserver import ModelServer


def examples(repository: Path) -> list[str]:
    """The Python blocks of the reference."""
    page = (repository / "docs" / "reference" / "cloud-worker.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)


def test_an_extension_is_one_file(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Any, connect: Any
) -> None:
    _, module, use = examples(repository)
    (tmp_path / "judging.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    load_messages(("judging",))
    import judging

    worker = serve()
    server = connect(worker.address)
    assert server._client.capabilities["messages"]["200"] == "Judge"
    with server.stepper().open() as session, worker.host.stepper.open() as near:
        session.prefill([3, 4])
        near.prefill([3, 4])
        best = session.step_argmax([5])
        session.rollback(1)
        draft = [5, *best, 1, 2]
        names = {"session": session, "Judge": judging.Judge, "draft": tuple(draft)}
        exec(use, names)
        assert names["judged"] == judging.Judged(1)
        assert session.tokens == (3, 4, 5, *best)
        assert session.cost is not None
        assert session.cost.compute_s > 0
        session._stream.close()
        expected = near.step([*draft[:2], 7])[-1:]
        torch.testing.assert_close(session.step([7]), expected, atol=1e-5, rtol=0)


def test_the_first_example_of_the_reference_runs(
    repository: Path, serve: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    example = examples(repository)[0].replace("127.0.0.1:50051", serve().address)
    names: dict[str, Any] = {}
    exec(example, names)
    names["server"].close()
    assert len(capsys.readouterr().out.splitlines()) == 2


def described(repository: Path) -> dict[str, list[str]]:
    """Rows of the reference's tables by what stands in their first cell."""
    page = (repository / "docs" / "reference" / "cloud-worker.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    found: dict[str, list[str]] = {}
    for row in rows:
        for name in row[0].split(","):
            found.setdefault(name.strip("` "), row)  # a later one of the same name is a measurement
    return found


def test_every_option_is_described_with_its_default(repository: Path) -> None:
    rows = described(repository)
    for action in command.make_parser()._actions[1:]:
        default = rows[action.option_strings[0]][1].strip("`")
        assert default == ("" if action.default in (None, False, []) else f"{action.default}".removesuffix(".0"))
    for name, given in list(signature(load).parameters.items())[1:]:
        default = "none" if given.default is None else str(given.default).lower().removesuffix(".0")
        assert rows[name][1].strip("`") == default


def test_the_commands_and_options_of_the_documents_exist(repository: Path) -> None:
    commands = []
    for name in ("how-to/run-the-cloud-worker.md", "reference/cloud-worker.md"):
        page = (repository / "docs" / name).read_text(encoding="utf-8")
        for block in re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S):
            commands += [line for line in block.replace("\\\n", " ").splitlines() if line.startswith("ianvs cloud")]
        for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S):
            for module in yaml.safe_load(block) if block.lstrip().startswith("-") else []:
                options = {name for setting in module["hyperparameters"] for name in setting}
                assert options <= {"backend", *signature(load).parameters}
    assert len(commands) == 4
    for line in commands:
        command.make_parser().parse_args(shlex.split(line, comments=True)[2:])


def test_every_message_is_described_with_its_number(repository: Path) -> None:
    rows = described(repository)
    for number, name in known().items():
        assert number > 31 or rows[name][1] == str(number)


def test_a_message_has_one_handler() -> None:
    async def other(call: Any, request: Ping) -> None: ...

    with pytest.raises(ValueError, match="Ping is answered by ping already"):
        handles(Ping)(other)
    ping = handling._handlers[Ping]
    assert handles(Ping)(ping) is ping


def test_an_extension_that_is_not_there() -> None:
    with pytest.raises(CloudError, match="the messages of 'no.such.module' cannot be had: No module named 'no'"):
        load_messages(("no.such.module",))


@pytest.mark.parametrize("package", ["grpcio", "cryptography", "zstandard"])
def test_a_missing_package_is_named(package: str) -> None:
    with pytest.raises(CloudError, match=rf"{package!r}; type: pip install \"ianvs-collab\[cloud\]\""):
        need("there_is_no_such_module", package)


def test_without_grpc_the_back_end_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(CloudError, match="the Python package 'grpcio'; type: pip install"):
        load("localhost:5")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"logits": "float64"}, "logits travel as float32, float16, bfloat16, not 'float64'"),
        ({"timeout": 0}, "must be above 0"),
        ({"connect_timeout": -1}, "must be above 0"),
        ({"recovery_timeout": -1}, "recovery_timeout must be 0 or more"),
        ({"concurrency": 0}, "must be at least 1"),
        ({"max_reply_mib": 0}, "must be at least 1"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CloudError, match=complaint):
        load("localhost:5", **options)


@pytest.mark.parametrize("name", vars(Limits()))
def test_limits_allow_something(name: str) -> None:
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"{name} must be above 0, not {value}"):
            Limits(**{name: value})


def test_a_worker_on_the_command_line(
    local: ModelServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded: list[Any] = []

    class Model:
        info, stepper = local.info, staticmethod(local.stepper)

        def close(self) -> None:
            loaded.append("closed")

    monkeypatch.setattr(
        "ianvs_collab.modelserver.registry.load_model",
        lambda *names, **options: (loaded.append((names, options)), Model())[1],
    )
    run = command._run

    async def stopped(*given: Any) -> None:
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
        await run(*given)

    monkeypatch.setattr(command, "_run", stopped)
    arguments = ["--model", "m", "--port", "0", "--option", "dtype=bfloat16", "--option", "threads=2", "--idle", "7"]
    assert main(arguments) == 0
    assert loaded == [(("transformers", "m"), {"dtype": "bfloat16", "threads": 2}), "closed"]
    line = capsys.readouterr().out
    assert line.startswith("serving zoo:edge (transformers, float32) on 127.0.0.1:")
    assert line.endswith(", plaintext\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "zoo:edge", "--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines"),
        (["--model", "no/such/folder/at all"], "no/such/folder"),
        (["--model", "m", "--backend", "nothing"], "there is no back-end 'nothing'"),
        (["--model", "m", "--option", "dtype"], "--option 'dtype' is no option; write --option NAME=VALUE"),
        (["--model", "m", "--option", "dtype={"], "is not in YAML"),
        (["--model", "m", "--sessions", "0"], "sessions must be above 0"),
        (["--model", "m", "--token-file", "/nothing"], "/nothing cannot be read"),
        (["--model", "m", "--key", "k"], "TLS needs both a certificate and its key"),
        (["--model", "m", "--extension", "no.such"], "the messages of 'no.such' cannot be had"),
    ],
)
def test_what_is_wrong_stands_on_stderr(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert complaint in told
    assert told.endswith("no cloud worker is running\n")


def test_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status in (([], 2), (["--port", "x", "--model", "m"], 2), (["--help"], 0)):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == status
    assert "name a model: --model zoo:cloud" in capsys.readouterr().err


def test_certificates_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--make-certificates", str(tmp_path / "new"), "--name", "cloud.lan"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "new" / "ca.pem")
    assert main(["--make-certificates", str(tmp_path / "new")]) == 1
    assert "exists already" in capsys.readouterr().err
