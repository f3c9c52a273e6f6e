"""`vllm serve` as long as it is needed: started on a free port of this machine, waited for, and ended for sure.

For benchmarks and tests, which need a server for a while. A server that stays is started by hand.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from ianvs_collab.machine import free_port
from ianvs_collab.modelserver.backends.vllm.log import root_cause
from ianvs_collab.modelserver.types import ModelServerError

_ENDING = 20.0  # seconds that a server has for ending by itself
_LAST_LINES = 5


@contextmanager
def serve(
    command: Sequence[str | Path],
    model: str | Path,
    *,
    name: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    patience: float = 600.0,
) -> Iterator[str]:
    """Serve a model with vLLM while the context lasts.

    Args:
        command: The program with arguments of its own, e.g. `[".venv-vllm/bin/vllm", "--dtype", "float32"]`.
        model: What it is to serve: a folder or a hub name.
        name: What clients are to call the model.
        log: File for what it prints.
        environment: Its environment variables; None for those of this process.
        patience: Seconds to wait until it answers.

    Yields:
        The address for the back-end `openai`, `http://127.0.0.1:PORT/v1`.

    Raises:
        ModelServerError: If it cannot be started, ends, or does not answer in time; with what it said last.
    """
    port = free_port()
    program, *arguments = command
    line = [program, "serve", model, "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    page = f"http://127.0.0.1:{port}/health"
    with running([*line, *arguments], page, log=log, environment=environment, patience=patience):
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def running(
    line: Sequence[str | Path],
    page: str,
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    patience: float = 600.0,
) -> Iterator[None]:
    """Run any server while the context lasts, from when it answers.

    Args:
        line: The program and its arguments.
        page: A page that it gives, with a status below 400, when it is ready.
        log: File for what it prints.
        environment: Its environment variables; None for those of this process.
        patience: Seconds to wait until it answers.

    Raises:
        ModelServerError: If it cannot be started, ends, or does not answer in time; with what it said last.
    """
    try:
        with log.open("wb") as output:
            server = subprocess.Popen(  # noqa: S603 - whoever calls says what to run
                line, env=environment, stdout=output, stderr=output, start_new_session=True
            )
    except OSError as error:
        raise ModelServerError(f"{line[0]} cannot be started: {error.strerror}; is it installed there?") from error
    try:
        _wait(server, page, log, patience)
        yield
    finally:
        _stop(server)


def _wait(server: subprocess.Popen[bytes], page: str, log: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(page, timeout=5).is_success:
                return
        time.sleep(0.1)
    state = f"did not answer within {patience:g} s" if server.poll() is None else f"ended with {server.returncode}"
    last = " / ".join(log.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])
    raise ModelServerError(
        f"vllm serve {state}: {root_cause(log) or last or 'it said nothing'}; its output is in {log}"
    )


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and every process of its session."""
    server.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        server.wait(_ENDING)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
