"""Administration: what the worker can do, how it is, whether it is there; and the answer that says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ianvs_collab.cloud.handling import handles
from ianvs_collab.cloud.wire.fields import JSON, TEXT
from ianvs_collab.cloud.wire.message import message

if TYPE_CHECKING:
    from ianvs_collab.cloud.server.call import Call


@message(1)
@dataclass(frozen=True)
class Problem:
    """Reply: it was not done.

    Attributes:
        code: One of `ianvs_collab.cloud.errors.CODES`.
        text: What is wrong and what to do.
    """

    code: Annotated[str, TEXT]
    text: Annotated[str, TEXT]


@message(2)
@dataclass(frozen=True)
class Done:
    """Reply: it was done."""


@message(3)
@dataclass(frozen=True)
class Ping:
    """Request: answer at once, without the model."""


@message(4)
@dataclass(frozen=True)
class Describe:
    """Request: say what you are and can do."""


@message(5)
@dataclass(frozen=True)
class Stats:
    """Request: say what you are doing."""


@message(6)
@dataclass(frozen=True)
class Report:
    """Reply to `Describe` and `Stats`.

    Attributes:
        content: Names and values.
    """

    content: Annotated[dict[str, Any], JSON]


@handles(Ping)
async def ping(call: Call, request: Ping) -> Done:
    """Answer at once."""
    return Done()


@handles(Describe)
async def describe(call: Call, request: Describe) -> Report:
    """Tell what the worker is and can do."""
    return Report(call.host.capabilities())


@handles(Stats)
async def stats(call: Call, request: Stats) -> Report:
    """Tell what the worker is doing."""
    return Report(call.host.stats())
