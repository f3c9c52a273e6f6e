"""Worker processes side by side, one a device: work goes in, replies and deaths come out, and nothing hangs.

Each device serves its requests one at a time, first come first served. A few are handed to the worker ahead of time, so
that it never waits for the next one; the rest wait here, because a socket that is full would stop whoever writes to it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Self

from ianvs_collab.precision.live.process import Clock, WorkerError, WorkerProcess, close_all
from ianvs_collab.precision.portfolio import PrecisionError
from ianvs_collab.precision.variant import Variant

_AHEAD = 8  # requests handed over at once: a prompt is some kilobytes at most, a socket holds a hundred or more


@dataclass(frozen=True)
class Berth:
    """A device of a fleet.

    Attributes:
        name: Its name in the portfolio.
        variants: What it serves; all of them are loaded.
        slowdown: How many times slower than this machine it is.
    """

    name: str
    variants: Sequence[Variant]
    slowdown: float = 1.0


@dataclass(frozen=True)
class Reply:
    """An answer, or a model's complaint (then `content` has `failed`).

    Attributes:
        device: Who replies.
        tag: What the work was submitted with.
        at: When it came, by `time.perf_counter()`.
        content: See `ianvs_collab.precision.live.worker`.
    """

    device: str
    tag: int
    at: float
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Death:
    """A worker has died or was ended because it hung.

    Attributes:
        device: Whose.
        reason: How, in words.
        tags: Work that was submitted and will have no reply.
    """

    device: str
    reason: str
    tags: tuple[int, ...]


@dataclass
class _Lane:
    worker: WorkerProcess
    waiting: deque[tuple[int, dict[str, Any]]] = field(default_factory=deque)
    ahead: dict[int, int] = field(default_factory=dict)  # the worker's number of a request -> its tag
    since: float = 0.0  # when the worker last replied, or was given work after having none

    def feed(self) -> None:
        """Hand over what there is room for. A worker that has died is left to `Fleet.poll`: replies may come first."""
        while self.waiting and len(self.ahead) < _AHEAD:
            if not self.ahead:
                self.since = time.perf_counter()
            tag, request = self.waiting[0]
            try:
                self.ahead[self.worker.send("answer", **request)] = tag
            except WorkerError:
                return
            self.waiting.popleft()

    @property
    def tags(self) -> tuple[int, ...]:
        return (*self.ahead.values(), *(tag for tag, _ in self.waiting))


class Fleet:
    """Starts a worker for each device and loads its variants there.

    Args:
        berths: The devices.
        clock: By which the work of an answer is measured.
        max_tokens: Longest completion, in tokens.
        patience_s: Most seconds that one answer may take, before its worker counts as hung and is ended.
        load_timeout_s: Most seconds that loading a variant may take.

    Raises:
        PrecisionError: If there is no device, or two of one name.
        WorkerError: If a variant cannot be loaded; then no worker is left behind.
    """

    def __init__(
        self,
        berths: Sequence[Berth],
        *,
        clock: Clock = "wall",
        max_tokens: int = 64,
        patience_s: float = 60.0,
        load_timeout_s: float = 600.0,
    ) -> None:
        if not berths or len({berth.name for berth in berths}) != len(berths):
            raise PrecisionError("a fleet needs devices with different names, and at least one")
        self._max_tokens, self._patience, self._lanes = max_tokens, patience_s, dict[str, _Lane]()
        self.loaded: dict[str, dict[str, dict[str, Any]]] = {}
        self._dead: dict[str, str] = {}
        try:
            for berth in berths:
                worker = WorkerProcess(berth.name, berth.slowdown, clock)
                self._lanes[berth.name] = _Lane(worker)
                self.loaded[berth.name] = {each.name: worker.load(each, load_timeout_s) for each in berth.variants}
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> list[str]:
        """Devices whose workers live, as far as is known."""
        return list(self._lanes)

    def pid(self, device: str) -> int:
        """The process id of a device's worker."""
        return self._lanes[device].worker.pid

    def submit(self, device: str, variant: str, prompt: Any, tag: int) -> Death | None:
        """Put a request into a device's line.

        Args:
            device: Which.
            variant: Which of its variants is to answer.
            prompt: A text or a chat.
            tag: To know the reply by.

        Returns:
            None, or that the worker is known to be dead, with this request alone in `tags`.
        """
        lane = self._lanes.get(device)
        if lane is None:
            return Death(device, self._dead[device], (tag,))
        lane.waiting.append((tag, {"variant": variant, "prompt": prompt, "max_tokens": self._max_tokens}))
        lane.feed()
        return None

    def poll(self, timeout_s: float) -> list[Reply | Death]:
        """Wait for replies and deaths, at most `timeout_s` seconds; whatever has come is returned."""
        links: dict[Any, str] = {lane.worker.link: name for name, lane in self._lanes.items()}
        limits = [timeout_s, *(left for left in map(self._left, self._lanes) if left is not None)]
        found: list[Reply | Death] = []
        for link in wait(list(links), max(min(limits), 0.0)):
            found.append(self._take(links[link]))
        hung = [name for name in self._lanes if (left := self._left(name)) is not None and left <= 0]
        return [*found, *(self._bury(name, f"no answer in {self._patience:g} s") for name in hung)]

    def close(self) -> None:
        """End all workers. Closing twice is harmless."""
        close_all([lane.worker for lane in self._lanes.values()])
        self._lanes.clear()

    def __enter__(self) -> Self:
        """The fleet itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    def _left(self, device: str) -> float | None:
        """Seconds until a device's patience ends; None if it has nothing to do."""
        lane = self._lanes[device]
        return lane.since + self._patience - time.perf_counter() if lane.ahead else None

    def _take(self, device: str) -> Reply | Death:
        lane = self._lanes[device]
        try:
            content = lane.worker.receive()
        except WorkerError as error:
            return self._bury(device, str(error))
        at = lane.since = time.perf_counter()
        tag = lane.ahead.pop(content["number"])
        lane.feed()
        return Reply(device, tag, at, content)

    def _bury(self, device: str, reason: str) -> Death:
        lane = self._lanes.pop(device)
        tags = lane.tags
        lane.worker.close()
        self._dead[device] = f"the worker of {device!r} is gone: {reason}"
        return Death(device, self._dead[device], tags)
