"""Starting, awaiting and ending a server program, with small programs in vLLM's place."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import httpx
import psutil
import pytest

from ianvs_collab.modelserver import ModelServerError
from ianvs_collab.modelserver.backends.vllm import serving
from ianvs_collab.modelserver.backends.vllm.serving import serve

SERVER = """
    import http.server, json, os, subprocess, sys

    class Handler(http.server.BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self):
            Handler.asked += 1
            self.send_response(503 if Handler.asked == 1 else 200)
            self.end_headers()
            self.wfile.write(json.dumps([os.getpid(), child.pid, sys.argv, os.environ["PLACE"]]).encode())

        def log_message(self, *_):
            pass

    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "program"


def write(program: Path, code: str) -> list[str | Path]:
    program.write_text(f"#!{sys.executable}\n{textwrap.dedent(code)}", "utf-8")
    program.chmod(0o755)
    return [program, "--dtype", "float32"]


def test_a_server_is_there_and_gone_with_all_its_processes(program: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PLACE": "here"}
    with serve(write(program, SERVER), "model", name="nano", log=tmp_path / "log", environment=environment) as address:
        assert address.endswith("/v1")
        own, child, arguments, place = httpx.get(address).json()
        assert psutil.pid_exists(own)
        assert psutil.pid_exists(child)
        assert arguments[1:5] == ["serve", "model", "--served-model-name", "nano"]
        assert arguments[-2:] == ["--dtype", "float32"]
        assert place == "here"
    assert not psutil.pid_exists(own)
    gone, alive = psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=10)
    assert alive == []


def test_a_server_that_does_not_listen_to_the_end_is_killed(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_ENDING", 0.2)
    code = "import signal\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + SERVER
    environment = {**os.environ, "PLACE": "here"}
    with serve(write(program, f"    {code}"), "m", name="n", log=tmp_path / "log", environment=environment) as address:
        own = httpx.get(address).json()[0]
    assert not psutil.pid_exists(own)


def test_an_error_inside_ends_the_server_too(program: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PLACE": "here"}
    own = 0
    with (
        pytest.raises(ZeroDivisionError),
        serve(write(program, SERVER), "m", name="n", log=tmp_path / "log", environment=environment) as address,
    ):
        own = httpx.get(address).json()[0]
        _ = 1 / 0
    assert not psutil.pid_exists(own)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('ValueError: no such model'); raise SystemExit(3)", "ended with 3: ValueError: no such model; its"),
        ("print('one'); print('two')", "ended with 0: one / two; its output is in"),
        ("", "ended with 0: it said nothing"),
        ("import time; time.sleep(60)", "did not answer within 0.5 s"),
    ],
)
def test_a_server_that_does_not_come_up_says_why(program: Path, tmp_path: Path, code: str, words: str) -> None:
    with (
        pytest.raises(ModelServerError, match=words),
        serve(write(program, code), "m", name="n", log=tmp_path / "log", patience=0.5 if "60" in code else 30),
    ):
        pytest.fail("it is not there")


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ModelServerError, match="no-vllm cannot be started: No such file"),
        serve([tmp_path / "no-vllm"], "m", name="n", log=tmp_path / "log"),
    ):
        pytest.fail("it is not there")
