"""What all streams of a worker share: the model and its thread, the limits, the counts."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil

from ianvs_collab import __version__
from ianvs_collab.cloud.server.census import Census
from ianvs_collab.cloud.server.compute import ComputeThread
from ianvs_collab.cloud.server.limits import Limits
from ianvs_collab.cloud.server.memory import Trimmer
from ianvs_collab.cloud.server.order import Nonces
from ianvs_collab.cloud.wire import compression
from ianvs_collab.cloud.wire.frame import VERSION
from ianvs_collab.cloud.wire.message import known
from ianvs_collab.modelserver.stepping.protocol import open_stepper
from ianvs_collab.modelserver.types import ModelServer


class Host:
    """A model at work for many clients.

    Args:
        model: The model; closed with the host.
        limits: What clients may do.
        slowdown: How many times slower than this machine the worker is to be.

    Raises:
        ModelServerError: If the model has no step interface.
        ValueError: If the slowdown is less than 1.
    """

    def __init__(self, model: ModelServer, limits: Limits, slowdown: float = 1.0) -> None:
        self.model, self.limits, self.slowdown = model, limits, slowdown
        self.stepper = open_stepper(model)
        self.thread = ComputeThread(slowdown)
        self.census = Census(limits)
        self.nonces = Nonces()
        self.stopping = False
        self._waiting: set[asyncio.Timeout] = set()
        self._trimmer = Trimmer()
        self.requests = self.streams = 0
        self._started = time.monotonic()
        self._process = psutil.Process()

    def capabilities(self) -> dict[str, Any]:
        """What a client has to know: the model, its measures, the messages and limits."""
        info = self.model.info
        return {
            "worker": __version__,
            "protocol": VERSION,
            "model": {name: getattr(info, name) for name in ("model", "backend", "revision", "dtype", "parameters")}
            | {"device": info.device, "remote_code": info.remote_code, "extra": dict(info.extra)},
            "footprint": dataclasses.asdict(info.footprint) if info.footprint else None,
            "slowdown": self.slowdown,
            "vocabulary": self.stepper.vocabulary,
            "context": self.stepper.context,
            "layers": self.stepper.layers,
            "end_tokens": sorted(self.stepper.end_tokens),
            "messages": {str(kind): name for kind, name in known().items()},
            "limits": dataclasses.asdict(self.limits),
            "zstd": compression.available(),
        }

    def stats(self) -> dict[str, Any]:
        """What the worker is doing: sessions, streams, memory."""
        return {
            "sessions": self.census.open,
            "clients": self.census.clients,
            "streams": self.streams,
            "requests": self.requests,
            "rss_bytes": self._process.memory_info().rss,
            "uptime_s": time.monotonic() - self._started,
        }

    @asynccontextmanager
    async def patience(self, seconds: float) -> AsyncIterator[None]:
        """Wait for a client, but not when the worker stops.

        Raises:
            TimeoutError: If it takes longer, or the worker stops.
        """
        async with asyncio.timeout(0 if self.stopping else seconds) as limit:
            self._waiting.add(limit)
            try:
                yield
            finally:
                self._waiting.discard(limit)

    def hang_up(self) -> None:
        """End the waiting for all clients."""
        self.stopping = True
        for limit in self._waiting:
            limit.reschedule(asyncio.get_running_loop().time())

    def forget(self, client: str) -> None:
        """A client's session has ended; in the model's thread. Once it is not counted any more, its memory is free."""
        self._trimmer.note(self.census.open - 1)
        self.census.leave(client)

    def close(self) -> None:
        """Finish what the model is doing, and release it."""
        self.thread.close()
        self.model.close()
