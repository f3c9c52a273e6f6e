from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.link.relay.clock import LinkClock


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_link_time_is_real_time_without_cuts() -> None:
    hand = Hand()
    clock = LinkClock(hand)
    assert clock.now() == 100.0
    assert clock.wait(101.5) == 1.5
    assert clock.wait(99.0) == 0.0


def test_link_time_stands_still_during_a_cut_and_goes_on_where_it_was() -> None:
    hand = Hand()
    clock = LinkClock(hand)
    clock.cut(2.0)
    hand.time = 101.0
    assert clock.now() == 100.0
    assert clock.wait(100.5) == pytest.approx(1.5)  # the rest of the cut and half a second
    assert clock.wait(99.0) == pytest.approx(1.0)  # what was due already waits for the end of the cut
    hand.time = 103.0
    assert clock.now() == pytest.approx(101.0)


def test_overlapping_cuts_end_with_the_last_of_them() -> None:
    hand = Hand()
    clock = LinkClock(hand)
    clock.cut(2.0)
    hand.time = 101.0
    clock.cut(0.5)  # ends before the first one does
    clock.cut(3.0)
    hand.time = 104.0
    assert clock.now() == pytest.approx(100.0)
    hand.time = 105.0
    assert clock.now() == pytest.approx(101.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.one_of(st.none(), st.floats(0, 5))), max_size=20), st.floats(-5, 50))
def test_link_time_never_goes_back_and_wait_ends_when_it_is_due(
    steps: list[tuple[float, float | None]], ahead: float
) -> None:
    hand = Hand()
    clock = LinkClock(hand)
    before = clock.now()
    for passed, cut in steps:
        hand.time += passed
        if cut is not None:
            clock.cut(cut)
        assert clock.now() >= before - 1e-9
        before = clock.now()
    due = before + ahead
    hand.time += clock.wait(due)
    assert clock.wait(due) <= 1e-9
    assert clock.now() == pytest.approx(max(due, before), abs=1e-6)


def test_sleeping_outlasts_a_cut_that_begins_meanwhile() -> None:
    async def scenario() -> tuple[float, float]:
        clock = LinkClock()
        loop = asyncio.get_running_loop()
        start, link_start = loop.time(), clock.now()
        loop.call_later(0.01, clock.cut, 0.1)
        await clock.sleep(0.03)
        return loop.time() - start, clock.now() - link_start

    real, link = asyncio.run(scenario())
    assert real >= 0.13 - 1e-6
    assert link >= 0.03 - 1e-6
