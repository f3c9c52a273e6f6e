"""One request at work: what its handler may use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from ianvs_collab.cloud.server.compute import Meter
from ianvs_collab.cloud.server.host import Host
from ianvs_collab.cloud.server.texts import Texts

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """What a handler may use.

    Attributes:
        host: The worker: its model, stepper and limits.
        texts: The sessions of the stream.
        meter: Deadline and times of the request.
        send: Coroutine function that sends a reply ahead of the last one.
    """

    host: Host
    texts: Texts
    meter: Meter
    send: Callable[[Any], Awaitable[None]]

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the model's thread, on the request's account.

        Raises:
            Refusal: If the deadline passes before it begins.
        """
        return await self.host.thread.run(self.meter, function, *args, **kwargs)
