"""Messages on which the work may begin before those ahead of them are answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import pytest

from ianvs_collab.cloud.errors import Refusal
from ianvs_collab.cloud.handling import handles
from ianvs_collab.cloud.messages.admin import Done, Ping, Problem
from ianvs_collab.cloud.server.call import Call
from ianvs_collab.cloud.server.limits import Limits
from ianvs_collab.cloud.wire.fields import UINT
from ianvs_collab.cloud.wire.message import message

from .conftest import RawStream, Serve


@message(120)
@dataclass(frozen=True)
class Errand:
    """Request: do something, which the test has put down under a number."""

    number: Annotated[int, UINT]


@message(121)
@dataclass(frozen=True)
class Back:
    """Reply."""

    number: Annotated[int, UINT]


DEEDS: dict[int, Callable[[Call], object]] = {}
BEGUN: list[int] = []


@handles(Errand, chained=True)
async def run(call: Call, request: Errand) -> Back:
    BEGUN.append(request.number)
    if request.number in DEEDS:
        await DEEDS[request.number](call)  # type: ignore[misc]
    return Back(request.number)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    DEEDS.clear()
    BEGUN.clear()
    yield
    DEEDS.clear()


async def until(met: Callable[[], bool]) -> None:
    while not met():
        await asyncio.sleep(0.005)


def begun(count: int) -> None:
    end = time.monotonic() + 20
    while len(BEGUN) < count:
        assert time.monotonic() < end, f"only {BEGUN} begun"
        time.sleep(0.005)


def test_the_next_one_begins_early_and_is_answered_in_its_turn(serve: Serve) -> None:
    stream = RawStream(serve().address)

    async def first(call: Call) -> None:
        await until(lambda: 1 in BEGUN)  # it would wait for ever if the next one were not begun
        await asyncio.sleep(0.05)
        await call.send(Back(100))

    DEEDS[0] = first
    for number in range(4):
        stream.say(Errand(number), number)
    found = [stream.receive() for _ in range(5)]
    assert [reply.message.number for reply in found] == [100, 0, 1, 2, 3]
    assert [reply.frame.sequence for reply in found] == [0, 0, 1, 2, 3]
    stream.close()


def test_two_are_at_work_and_no_more(serve: Serve) -> None:
    stream, open_ = RawStream(serve().address), []
    DEEDS[0] = DEEDS[1] = lambda call: until(lambda: bool(open_))
    for number in range(4):
        stream.say(Errand(number), number)
    begun(2)
    time.sleep(0.1)
    assert BEGUN == [0, 1]
    open_.append(True)
    assert [stream.receive().message.number for _ in range(4)] == [0, 1, 2, 3]
    stream.close()


def test_other_messages_wait_until_all_is_answered(serve: Serve) -> None:
    stream = RawStream(serve().address)
    DEEDS[1] = lambda call: asyncio.sleep(0.1)
    for number, request in enumerate([Errand(0), Errand(1), Ping(), Errand(3)]):
        stream.say(request, number)
    assert [type(stream.receive().message) for _ in range(4)] == [Back, Back, Done, Back]
    stream.close()


def test_what_one_is_refused_does_not_touch_the_next(serve: Serve) -> None:
    stream = RawStream(serve().address)

    async def refuse(call: Call) -> None:
        await until(lambda: 1 in BEGUN)
        raise Refusal("request", "no")

    DEEDS[0] = refuse
    stream.say(Errand(0), 0)
    stream.say(Errand(1), 1)
    assert stream.receive().message == Problem("request", "no")
    assert stream.receive().message == Back(1)
    stream.close()


def test_a_stream_that_ends_gets_its_answers_first(serve: Serve) -> None:
    stream = RawStream(serve().address)
    DEEDS[0] = lambda call: asyncio.sleep(0.1)
    stream.say(Errand(0), 0)
    stream.say(Errand(1), 1)
    stream.send(None)  # type: ignore[arg-type] - the client has no more to say
    assert [stream.receive().message.number for _ in range(2)] == [0, 1]
    with pytest.raises(StopIteration):
        stream.receive()
    stream.close()


def test_a_client_that_waits_for_an_answer_is_not_idle(serve: Serve) -> None:
    stream = RawStream(serve(Limits(idle_s=0.2)).address)
    DEEDS[0] = lambda call: asyncio.sleep(0.6)
    stream.say(Errand(0), 0)
    assert stream.receive().message == Back(0)
    assert stream.ended()[0] == "ABORTED"
    stream.close()


def test_what_a_vanished_client_asked_for_is_given_up(serve: Serve) -> None:
    worker, ended = serve(), []

    async def endless(call: Call) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    stream = RawStream(worker.address)
    DEEDS[0] = DEEDS[1] = endless
    stream.say(Errand(0), 0)
    stream.say(Errand(1), 1)
    begun(2)
    stream.close()
    end = time.monotonic() + 20
    while len(ended) < 2:
        assert time.monotonic() < end, "its requests go on for ever"
        time.sleep(0.01)
