"""The relay as its user sees it: a context manager around a process.

The relay never shares a process with a model: beside a busy thread of the same interpreter a short sleep overshoots by
milliseconds.
"""

from __future__ import annotations

import json
import math
import socket
import subprocess  # noqa: S404 - this interpreter is started with a module of this package
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self

from ianvs_collab.link.deployment import Deployment
from ianvs_collab.link.rate import RateTrace
from ianvs_collab.link.relay.calibration import KEY, Calibration, Probe, calibrate
from ianvs_collab.link.relay.lane import Traffic
from ianvs_collab.link.relay.settings import MAX_CONNECTIONS, RelaySettings

START_SECONDS = 60.0
PROBE_SECONDS = 60.0
REPLY_SECONDS = 10.0
STOP_SECONDS = 5.0
HOST = "127.0.0.1"
ATTEMPTS = 3  # calibrations before a link is refused


class RelayError(RuntimeError):
    """The relay could not be started, or is no longer there."""


@dataclass(frozen=True)
class Counters:
    """What has gone over the link so far, calibration excluded.

    Attributes:
        uplink: Bytes from edge to cloud.
        downlink: Bytes from cloud to edge.
        accepted: Connections that were made to the relay.
        open: Those that are still open at one end or both.
        refused: Connections that failed because the server was not there, or that were too many.
        last_error: What the latest of these died of; empty if there was none.
        cpu_seconds: Processor time of the relay's process.
    """

    uplink: Traffic
    downlink: Traffic
    accepted: int
    open: int
    refused: int
    last_error: str
    cpu_seconds: float


class Relay:
    """A link between a client and a server on this machine, in a process of its own.

    Args:
        deployment: Its link and seed are emulated, as in the virtual tier.
        server: Host and port of the server that plays the cloud; it need not run yet.
        port: Where clients connect to; 0 for a free port, to be read from `port`.
        uplink_trace: A rate that changes with time, instead of the deployment's constant one.
        downlink_trace: Likewise.
        check: Calibrate at the start, and refuse to work when off.
        handshake: Whether a new connection costs a round trip first, as it does in TCP.
        realtime: Whether to ask for real-time priority, which only root gets.
        max_connections: Connections open at once.

    Raises:
        RelayError: On entering, if the relay cannot be started.
        CalibrationError: On entering, if the link that it makes is not the one asked for.
    """

    host: str = HOST
    _prefix: tuple[str, ...] = ()

    def __init__(
        self,
        deployment: Deployment,
        server: tuple[str, int],
        *,
        port: int = 0,
        uplink_trace: RateTrace | None = None,
        downlink_trace: RateTrace | None = None,
        check: bool = True,
        handshake: bool = True,
        realtime: bool = True,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.settings = RelaySettings.of(
            deployment,
            uplink=uplink_trace,
            downlink=downlink_trace,
            handshake=handshake,
            realtime=realtime,
            max_connections=max_connections,
        )
        self.port = port
        self.calibration: Calibration | None = None
        self.realtime = False
        self._server, self._check = server, check
        self._lock = threading.Lock()
        self._open = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the relay and check it."""
        try:
            self._start()
            if self._check:
                self._insist()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop the relay; connections through it are reset."""
        self.close()

    @property
    def pid(self) -> int | None:
        """The relay's process, while there is one."""
        return self._process.pid if self._process else None

    def command(self, command: Sequence[str]) -> list[str]:
        """A command that runs at the cloud's side of the link; here that is this machine, so it is as it was."""
        return list(command)

    def counters(self) -> Counters:
        """Bytes and connections so far.

        Raises:
            RelayError: If the relay is not running.
        """
        reply = self._ask({"do": "counters"})
        return Counters(Traffic(**reply.pop("uplink")), Traffic(**reply.pop("downlink")), **reply)

    def cut(self, seconds: float) -> None:
        """Cut the link for a while from now. Nothing is lost: what was under way arrives that much later, in order.

        Raises:
            RelayError: If the relay is not running.
            ValueError: If the time is negative or not finite.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"a link is cut for 0 seconds or more, not {seconds!r}")
        self._ask({"do": "cut", "seconds": seconds})

    def restart(self, key: str = "") -> float:
        """Begin rate traces and draws afresh: from here on they are those of the virtual tier's query `key`.

        Returns:
            When that was, on this machine's monotonic clock, in seconds.

        Raises:
            RelayError: If the relay is not running.
        """
        return float(self._ask({"do": "restart", "key": key})["origin"])

    def calibrate(self) -> Calibration:
        """Measure the link that the relay makes, over a connection whose bytes do not count; then `restart`.

        Raises:
            RelayError: If the relay is not running or goes away.
        """
        try:
            with self._probe() as probe:
                self.calibration = calibrate(self.settings, probe)
        except OSError as error:
            raise RelayError(f"the relay's calibration broke off: {error}") from error
        self.restart()
        return self.calibration

    def close(self) -> None:
        """Stop the relay's process; harmless if it is gone."""
        process, self._process = self._process, None
        self._open.close()  # the relay ends when its control connection does
        if process:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _insist(self) -> None:
        """Calibrate until the link is the one asked for: a moment's disturbance ends no job, a lasting one does."""
        for _ in range(ATTEMPTS - 1):
            if not self.calibrate().problems:
                return
        self.calibrate().check()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._open.enter_context(ours)
        with theirs:
            command = [*self._prefix, sys.executable, "-m", f"{__package__}.process", str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603 - fixed arguments
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
            )
        self._listener = self._open.enter_context(self._place(self._process.pid))
        ours.settimeout(START_SECONDS)
        self._control, self._replies = ours, self._open.enter_context(ours.makefile("rb"))
        probe = self._listener.getsockname()
        settings = self.settings.to_json()
        where = {"server": self._server, "host": self.host, "port": self.port, "probe": probe}
        ready = self._ask({**where, "settings": settings})
        if "error" in ready:
            raise RelayError(f"the relay {ready['error']}; choose another port, or 0 for any that is free")
        self.port, self._probe_port, self.realtime = ready["port"], ready["probe_port"], ready["realtime"]
        ours.settimeout(REPLY_SECONDS)

    def _place(self, pid: int) -> socket.socket:
        """Make the surroundings of the relay's process, before it listens; returns where probes are accepted."""
        return socket.create_server((HOST, 0))

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if not self._process:
            raise RelayError("the relay is not running: use it in a with statement")
        with self._lock:
            try:
                self._control.sendall(json.dumps(request).encode() + b"\n")
                line = self._replies.readline()
            except OSError as error:
                raise RelayError(f"the relay does not answer: {error}{self._state()}") from error
        if not line:
            raise RelayError(f"the relay is gone{self._state()}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _state(self) -> str:
        status = self._process.poll() if self._process else None
        return "" if status is None else f"; its process ended with status {status}"

    @contextmanager
    def _probe(self) -> Iterator[Probe]:
        origin = self.restart(KEY)
        with socket.create_connection((self.host, self._probe_port), PROBE_SECONDS) as edge:
            self._listener.settimeout(PROBE_SECONDS)
            with self._listener.accept()[0] as cloud:
                cloud.settimeout(PROBE_SECONDS)
                for end in (edge, cloud):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                yield Probe(edge, cloud, origin)
