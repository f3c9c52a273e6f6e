"""The relay of the namespaces tier: it runs beside the cloud, and only delays; the rate is the kernel's business."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ianvs_collab.link.deployment import Deployment
from ianvs_collab.link.namespaces.network import (
    Cable,
    Frames,
    NamespaceError,
    check_system,
    enter,
    listen_inside,
)
from ianvs_collab.link.relay.relay import START_SECONDS, Relay

POLL_SECONDS = 0.002


class NamespacedRelay(Relay):
    """A link between this process and a server in a network namespace of its own.

    Everything of `Relay`, but for the traces, works here too.

    Args:
        deployment: Its link and seed are emulated, as in the virtual tier.
        server: Host and port of the server that plays the cloud, inside the namespace: start it by `command`.
        **more: `port`, `check`, `handshake`, `realtime` and `max_connections`, as for `Relay`.

    Raises:
        NamespaceError: On entering, if the system cannot or may not make namespaces.
        RelayError: On entering, if the relay cannot be started.
        CalibrationError: On entering, if the link that comes about is not the one asked for.
    """

    _prefix = ("unshare", "--net", "--")

    def __init__(self, deployment: Deployment, server: tuple[str, int], **more: Any) -> None:
        traces = sorted({"uplink_trace", "downlink_trace"} & set(more))
        if traces:
            raise NamespaceError(
                f"the namespaces tier has constant rates, so {traces[0]} cannot be had; use tier: relay"
            )
        super().__init__(deployment, server, **more)
        self.settings = replace(self.settings, kernel_rate=True)
        self._cable: Cable | None = None

    def command(self, command: Sequence[str]) -> list[str]:
        """A command that runs in the cloud's namespace.

        Raises:
            NamespaceError: If the relay is not running.
        """
        return [*enter(self._running()), *command]

    def frames(self) -> Frames:
        """What the kernel has counted on the cable so far, calibration and headers included.

        Raises:
            NamespaceError: If the relay is not running.
        """
        self._running()
        assert self._cable is not None
        return self._cable.frames()

    def __enter__(self) -> NamespacedRelay:
        """Make the namespace and the cable, start the relay and check it."""
        check_system()
        super().__enter__()
        return self

    def _place(self, pid: int) -> socket.socket:
        _wait_for_namespace(pid)
        self._cable = Cable(pid, self.settings)
        self.host = self._cable.cloud_address
        return listen_inside(pid)

    def _running(self) -> int:
        if self.pid is None:
            raise NamespaceError("the relay is not running: use it in a with statement")
        return self.pid


def _wait_for_namespace(pid: int) -> None:
    """Wait until `unshare` has left this process's network namespace."""
    ours, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{pid}/ns/net")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if theirs.readlink() != ours.readlink():
                return
        except OSError:
            break  # it has ended already
        time.sleep(POLL_SECONDS)
    raise NamespaceError(
        "a network namespace cannot be made here; run as root, or put `unshare --user --map-root-user --net` before "
        "the command, or set tier: relay in the deployment"
    )
