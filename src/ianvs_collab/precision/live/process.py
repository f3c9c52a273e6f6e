"""The near side of a worker process: starts it, hands it work, takes its replies, and notices when it dies.

Nothing here waits without a limit, and a worker that dies or hangs is an error that says so, never a silence.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from ianvs_collab.precision.portfolio import PrecisionError
from ianvs_collab.precision.variant import Variant

Clock = Literal["wall", "cpu"]
_SCRIPT = Path(__file__).with_name("worker.py")
_TAIL = 2000  # characters of what a dead worker wrote last
_GRACE_S = 5.0


class WorkerError(PrecisionError):
    """A worker process died, hangs, or could not do what it was asked."""


class WorkerProcess:
    """A process that serves variants one request at a time, first come first served.

    Args:
        name: For messages, e.g. the device's name.
        slowdown: How many times slower than this machine the emulated device is.
        clock: By which the work of an answer is measured, see `ianvs_collab.precision.live.worker`.
    """

    def __init__(self, name: str, slowdown: float = 1.0, clock: Clock = "wall") -> None:
        self.name, self.slowdown, self.clock = name, slowdown, clock
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        near, far = socket.socketpair()
        with far:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a file of this package
                [sys.executable, "-P", str(_SCRIPT), str(far.fileno()), repr(slowdown), clock],
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
            )
        self.link = Connection(near.detach())
        self._asked = 0

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def load(self, variant: Variant, timeout_s: float) -> dict[str, Any]:
        """Load a variant and wait for it.

        Returns:
            The worker's reply: load time, memory, revision.

        Raises:
            WorkerError: If it cannot be loaded, the worker dies, or it takes too long.
        """
        request = {"variant": variant.name, "backend": variant.backend, "model": variant.model}
        number = self.send("load", **request, options=dict(variant.options))
        return self._reply_to(number, f"loading {variant.name}", timeout_s)

    def answer(self, variant: str, prompt: Any, max_tokens: int, timeout_s: float) -> dict[str, Any]:
        """Ask one question and wait for the answer.

        Raises:
            WorkerError: If the model does not answer, the worker dies, or it takes too long.
        """
        number = self.send("answer", variant=variant, prompt=prompt, max_tokens=max_tokens)
        return self._reply_to(number, f"answering with {variant}", timeout_s)

    def send(self, task: str, **fields: Any) -> int:
        """Hand over work without waiting; returns the number that its reply will bear.

        Raises:
            WorkerError: If the worker is dead.
        """
        self._asked += 1
        try:
            self.link.send_bytes(json.dumps({"do": task, "number": self._asked, **fields}).encode())
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self.death() from error
        return self._asked

    def receive(self) -> dict[str, Any]:
        """Take the next reply, which must be there or on its way.

        Raises:
            WorkerError: If the worker is dead.
        """
        try:
            reply: dict[str, Any] = json.loads(self.link.recv_bytes())
        except (EOFError, ConnectionResetError) as error:
            raise self.death() from error
        return reply

    def death(self) -> WorkerError:
        """The error for a worker that has ended or is given up: it is killed if need be, and how it ended is told."""
        self._end()
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip()[-_TAIL:]
        told = f"; its last words: {said}" if said else " and said nothing"
        return WorkerError(f"the worker {self.name!r} ended with status {self._process.returncode}{told}")

    def close(self) -> None:
        """End the process, if it has not ended, and wait for it. Closing twice is harmless."""
        self.link.close()
        self._end()
        self._errors.close()

    def __enter__(self) -> Self:
        """The worker itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    def _reply_to(self, number: int, doing: str, timeout_s: float) -> dict[str, Any]:
        until = time.monotonic() + timeout_s
        while wait([self.link], max(until - time.monotonic(), 0)):
            reply = self.receive()
            if reply["number"] == number:
                if "failed" in reply:
                    raise WorkerError(reply["failed"])
                return reply
        self._end()
        raise WorkerError(f"{self.name}: {doing} took more than {timeout_s:g} s, so the worker was ended")

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


def close_all(workers: Sequence[WorkerProcess]) -> None:
    """Close several workers."""
    for worker in workers:
        worker.close()
