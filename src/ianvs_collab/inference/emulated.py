"""The cloud in a process of its own, behind a link that is really there: the relay and namespaces tiers of a job.

The worker is `ianvs cloud`, as in a data centre. It is started after the link, because a link is calibrated
while nothing keeps the processors busy, and ends with this process, however that ends.
"""

from __future__ import annotations

import dataclasses
import subprocess  # noqa: S404 - this interpreter is started with a module of this package
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from threading import Thread
from typing import IO, Any

import yaml

from ianvs_collab.link.deployment import Deployment
from ianvs_collab.link.relay import CalibrationError, Relay, RelayError
from ianvs_collab.machine import free_port
from ianvs_collab.modelserver import load_model
from ianvs_collab.modelserver.stepping import Stepper, open_stepper
from ianvs_collab.modelserver.types import (
    GREEDY,
    Generation,
    ModelInfo,
    ModelServerError,
    Prompt,
    SamplingParams,
)

START_SECONDS = 600.0
STOP_SECONDS = 10.0
NAMESPACE_PORT = 50051  # in a namespace of its own every port is free


class EmulatedCloud:
    """A model server on the other side of a deployment's link.

    Args:
        deployment: Its tier says how the link is made, its cloud device how slow the worker is.
        backend: Back-end of the worker.
        model: Model of the worker.
        options: Options of the back-end.
        extensions: Modules with further messages that the worker is to answer.

    Attributes:
        relay: The link.

    Raises:
        ModelServerError: If link or worker cannot be started, or the link is not the one asked for.
    """

    def __init__(
        self,
        deployment: Deployment,
        backend: str,
        model: str,
        options: dict[str, Any],
        *,
        extensions: Sequence[str] = (),
    ) -> None:
        self._open, self._extensions = ExitStack(), tuple(extensions)
        try:
            self.relay, port = self._start_link(deployment)
            self._start_worker(deployment, backend, model, options, port)
            address = f"{self.relay.host}:{self.relay.port}"
            # Both ends are on this machine, and a worker that has died does not come back.
            self._server = load_model("cloud", address, insecure=True, recovery_timeout=0)
            self._open.callback(self._server.close)
        except (RelayError, CalibrationError) as error:
            self._open.close()
            raise ModelServerError(f"tier {deployment.tier!r} of deployment {deployment.name!r}: {error}") from error
        except BaseException:
            self._open.close()
            raise
        self._info = self._describe(deployment)

    @property
    def info(self) -> ModelInfo:
        """Provenance of the model, with the link that it is behind and its calibration."""
        return self._info

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        """Complete one prompt over the link, whose jitter and losses are those of the virtual tier for this query.

        Raises:
            ModelServerError: If link or worker fail.
            ModelTimeoutError: If it is not done in time.
        """
        try:
            self.relay.restart(query_id or "")
            before = self.relay.counters()
            generation = self._server.generate(prompt, params)
            after = self.relay.counters()
        except RelayError as error:
            raise ModelServerError(f"the link to the cloud is down: {error}") from error
        crossed = after.uplink.sent - before.uplink.sent, after.downlink.sent - before.downlink.sent
        return dataclasses.replace(generation, link_bytes=crossed)

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        """Complete several prompts, one after the other."""
        return [self.generate(prompt, params) for prompt in prompts]

    def stepper(self) -> Stepper:
        """The step interface, over the link.

        Raises:
            ModelServerError: If the model has none.
        """
        return open_stepper(self._server)

    def close(self) -> None:
        """Stop worker and link. Closing twice is harmless."""
        self._open.close()

    def _start_link(self, deployment: Deployment) -> tuple[Relay, int]:
        if deployment.tier == "namespaces":
            from ianvs_collab.link.namespaces import NamespacedRelay  # noqa: PLC0415 - Linux only

            server = ("127.0.0.1", NAMESPACE_PORT)
            return self._open.enter_context(NamespacedRelay(deployment, server)), NAMESPACE_PORT
        server = ("127.0.0.1", free_port())
        return self._open.enter_context(Relay(deployment, server)), server[1]

    def _start_worker(
        self, deployment: Deployment, backend: str, model: str, options: dict[str, Any], port: int
    ) -> None:
        command = [sys.executable, "-m", "ianvs_collab.inference.cloudprocess"]
        command += ["--model", model, "--backend", backend, "--port", str(port)]
        command += ["--slowdown", repr(deployment.cloud.slowdown)]
        for name in self._extensions:
            command += ["--extension", name]
        for name, value in options.items():
            command += ["--option", f"{name}={yaml.safe_dump(value, default_flow_style=True).strip()}"]
        process = subprocess.Popen(  # noqa: S603 - fixed program
            self.relay.command(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._open.callback(_stop, process)
        _wait_until_ready(process, model)

    def _describe(self, deployment: Deployment) -> ModelInfo:
        calibration = self.relay.calibration
        link = {
            "tier": deployment.tier,
            "deployment": deployment.name,
            "calibration": calibration.to_dict() if calibration else None,
            "realtime": self.relay.realtime,
        }
        return dataclasses.replace(self._server.info, extra={**self._server.info.extra, "link": link})


def _wait_until_ready(process: subprocess.Popen[str], model: str) -> None:
    """Wait for the worker's first line.

    Raises:
        ModelServerError: If it ends instead, with what it said last.
    """
    assert process.stdout
    assert process.stderr
    said: deque[str] = deque(maxlen=20)
    listener = Thread(target=_listen, args=(process.stderr, said), daemon=True)
    listener.start()
    if not process.stdout.readline():
        process.wait(STOP_SECONDS)
        listener.join(STOP_SECONDS)
        raise ModelServerError(f"the cloud worker with model {model!r} did not start: {' '.join(said).strip()}")


def _listen(stream: IO[str], said: deque[str]) -> None:
    said.extend(stream)


def _stop(process: subprocess.Popen[str]) -> None:
    """End the worker: it hears that its input has ended."""
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stderr:
        process.stderr.close()
