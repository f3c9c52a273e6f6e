"""Two network namespaces and a cable between them: a veth pair whose ends a token-bucket filter slows down.

The kernel sends what TCP gives it, headers and acknowledgements included, at the link's rate. Delay is not made here,
because the queueing discipline for it (netem) is missing from many kernels.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import math
import os
import random
import shutil
import socket
import subprocess  # noqa: S404 - iproute2's commands, with arguments of our own
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ianvs_collab.link.deployment import Direction
from ianvs_collab.link.rate import BITS_PER_MEGABIT
from ianvs_collab.link.relay.relay import RelayError
from ianvs_collab.link.relay.settings import SEGMENT_BYTES, RelaySettings

CLONE_NEWNET = 0x40000000
FRAME_BYTES = 1514
"""A full Ethernet frame: a TCP segment, 66 bytes of headers."""

QUEUE_BYTES = 4 * 1024 * 1024
"""What may wait at an end of the cable; TCP fills it before it sees the link's rate, and nothing is dropped."""

RANGE = ipaddress.ip_network("198.18.0.0/15")
"""Addresses set apart for benchmarks of networks (RFC 2544); each cable is a network of four of them."""

ATTEMPTS = 8
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")
_T = TypeVar("_T")


class NamespaceError(RelayError):
    """Namespaces cannot be made on this machine, or by this user; the message says what to do."""


@dataclass(frozen=True)
class Frames:
    """What the kernel has counted at the edge's end of the cable, Ethernet, IP and TCP headers included.

    Attributes:
        uplink_bytes: From edge to cloud.
        uplink_packets: Likewise.
        downlink_bytes: From cloud to edge.
        downlink_packets: Likewise.
    """

    uplink_bytes: int
    uplink_packets: int
    downlink_bytes: int
    downlink_packets: int


class Cable:
    """A veth pair from this process's network namespace to another one; it vanishes with that namespace.

    Args:
        pid: A process in the other namespace.
        settings: Rates and token buckets of the two ends.

    Raises:
        NamespaceError: If the system refuses.
    """

    def __init__(self, pid: int, settings: RelaySettings) -> None:
        self.name, self.cloud_address = self._connect(pid)
        inside = enter(pid)
        _run(*inside, "ip", "link", "set", "lo", "up")
        _shape((), self.name, settings, "uplink")
        _shape(inside, f"{self.name}c", settings, "downlink")

    def frames(self) -> Frames:
        """What has crossed so far.

        Raises:
            NamespaceError: If the cable is gone.
        """
        found: list[dict[str, Any]] = json.loads(_run("ip", "-s", "-j", "link", "show", "dev", self.name))
        counts = found[0]["stats64"]
        up, down = counts["tx"], counts["rx"]
        return Frames(up["bytes"], up["packets"], down["bytes"], down["packets"])

    def _connect(self, pid: int) -> tuple[str, str]:
        """Lay the cable at a network that is free; returns the name of the edge's end and the cloud's address."""
        draws = random.SystemRandom()
        for attempt in range(ATTEMPTS):
            number = draws.randrange(RANGE.num_addresses // 4)
            name, first = f"ianvs{number:04x}", RANGE[number * 4]
            try:
                _run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}c", "netns", str(pid))
            except NamespaceError as error:
                if "exists" in str(error) and attempt < ATTEMPTS - 1:
                    continue
                raise
            self._address((), name, f"{first + 1}/30")
            self._address(enter(pid), f"{name}c", f"{first + 2}/30")
            return name, str(first + 2)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @staticmethod
    def _address(inside: tuple[str, ...], name: str, address: str) -> None:
        _run(*inside, "ip", "address", "add", address, "dev", name)
        _run(*inside, "ip", "link", "set", name, "up")


def _shape(inside: tuple[str, ...], name: str, settings: RelaySettings, direction: Direction) -> None:
    """Let an end of the cable send at a rate of payload: full frames, so a little more than the rate on the wire."""
    frames = FRAME_BYTES / SEGMENT_BYTES
    bits = settings.rate(direction).peak_mbps * BITS_PER_MEGABIT * frames
    burst = math.ceil(settings.bucket_bytes(direction) * frames)
    rate = ["rate", f"{bits:.0f}bit", "burst", f"{burst}b", "limit", f"{QUEUE_BYTES}b"]
    _run(*inside, "tc", "qdisc", "add", "dev", name, "root", "tbf", *rate)


def enter(pid: int) -> tuple[str, ...]:
    """What stands before a command that is to run in the network namespace of a process."""
    return ("nsenter", "--target", str(pid), "--net", "--")


def listen_inside(pid: int) -> socket.socket:
    """A socket of this process that listens on the loopback of another process's network namespace.

    Raises:
        NamespaceError: If the system refuses.
    """
    return _inside(pid, lambda: socket.create_server(("127.0.0.1", 0)))


def _inside(pid: int, make: Callable[[], _T]) -> _T:
    """Call a function in a network namespace: in a thread of its own, because a namespace belongs to a thread."""
    made: list[_T] = []
    failed: list[OSError] = []

    def run() -> None:
        try:
            with open(f"/proc/{pid}/ns/net", "rb") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            made.append(make())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise NamespaceError(f"cannot enter the cloud's network namespace: {failed[0]}") from failed[0]
    return made[0]


def search_path() -> str:
    """Where commands are looked for; not every user's PATH holds the folders of system commands."""
    return os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS])


def check_system() -> None:
    """See that this machine has the commands that namespaces take.

    Raises:
        NamespaceError: If not; the message names what to install.
    """
    package = {"ip": "iproute2", "tc": "iproute2", "unshare": "util-linux", "nsenter": "util-linux"}
    missing = [command for command in package if shutil.which(command, path=search_path()) is None]
    if missing:
        raise NamespaceError(
            f"the namespaces tier needs the command{'s' if missing[1:] else ''} {', '.join(missing)} of Linux; install "
            f"{' and '.join(sorted({package[one] for one in missing}))}, or set tier: relay in the deployment"
        )


def _run(*command: str) -> str:
    environment = {**os.environ, "PATH": search_path()}
    done = subprocess.run(  # noqa: S603 - as above
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip()
    if "not permitted" in said:
        said += "; run as root, or put `unshare --user --map-root-user --net` before the command, or set tier: relay"
    raise NamespaceError(f"{' '.join(command)!r} failed: {said}")
