"""A lane by itself, between transports made by the test."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from ianvs_collab.link import Deployment, Link
from ianvs_collab.link.relay.clock import LinkClock
from ianvs_collab.link.relay.lane import Lane, Traffic, Wire
from ianvs_collab.link.relay.settings import RelaySettings
from ianvs_collab.link.relay.shaper import Shaper


class Transport:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.done.append((name, *map(bytes, arguments)))


def make(**link: float) -> tuple[Lane, Traffic, Transport, Transport]:
    settings = RelaySettings.of(Deployment(link=Link(**link)))
    wire = Wire(settings, LinkClock(), Shaper(settings))
    lane = Lane(wire, "uplink", wire.traffic["uplink"], lambda: None)
    source, sink = Transport(), Transport()
    lane.source, lane.sink = cast(asyncio.Transport, source), cast(asyncio.Transport, sink)
    return lane, wire.traffic["uplink"], source, sink


def test_bytes_for_a_sink_that_is_gone_are_counted_and_dropped() -> None:
    async def scenario() -> None:
        lane, traffic, _, sink = make(rtt_ms=60_000)
        lane.push(b"under way")
        assert (traffic.sent, traffic.held) == (9, 9)
        lane.close()
        lane.push(b"too late")
        lane.finish()
        assert (traffic.sent, traffic.held, traffic.delivered) == (17, 0, 0)
        assert sink.done == []

    asyncio.run(scenario())


def test_a_blocked_sink_gets_nothing_until_it_takes_bytes_again() -> None:
    async def scenario() -> None:
        lane, traffic, _, sink = make()
        lane.block()
        lane.push(b"abc")
        lane.finish()
        await asyncio.sleep(0.05)
        assert sink.done == []
        lane.unblock()
        while not lane.finished:
            await asyncio.sleep(0.001)
        assert sink.done == [("write", b"abc"), ("write_eof",)]
        assert traffic.delivered == 3

    asyncio.run(scenario())


def test_the_source_is_held_up_above_the_capacity_and_let_go_below() -> None:
    async def scenario() -> None:
        lane, _, source, sink = make(uplink_mbps=1000)
        lane.block()
        capacity = int(1e9 / 8 * 0.005)
        lane.push(bytes(capacity))
        assert source.done == []
        lane.push(b"x")
        assert source.done == [("pause_reading",)]
        sink.done = source.done  # one list shows the order
        lane.unblock()
        while ("resume_reading",) not in source.done:
            await asyncio.sleep(0.001)
        written = source.done[1 : source.done.index(("resume_reading",))]
        assert [len(data) for _, data in written] == [250_000]  # 2 ms of the rate; that leaves room for a read

    asyncio.run(scenario())


def test_a_source_that_has_ended_is_not_read_again() -> None:
    async def scenario() -> None:
        lane, _, source, _ = make(uplink_mbps=1000)
        lane.push(bytes(1_000_000))
        lane.finish()
        while not lane.finished:
            await asyncio.sleep(0.001)
        assert ("resume_reading",) not in source.done

    asyncio.run(scenario())
