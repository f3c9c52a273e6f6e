from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.link import RateTrace, TraceError

STEPS = RateTrace(((0.0, 8.0), (1.0, 0.0), (1.5, 16.0)), repeat_after=2.0)


def test_a_constant_rate_takes_bits_over_rate() -> None:
    rate = RateTrace.constant(8.0)
    assert rate.finish(3.0, 1000) == pytest.approx(3.001)
    assert (rate.at(-1.0), rate.at(99.0), rate.peak_mbps) == (8.0, 8.0, 8.0)


def test_a_trace_is_followed_through_an_outage_and_over_its_end() -> None:
    assert STEPS.finish(0.5, 500_000) == pytest.approx(1.0)  # just done before the outage
    assert STEPS.finish(0.5, 500_001) == pytest.approx(1.5, abs=1e-5)  # one byte has to wait for its end
    assert STEPS.finish(0.5, 1_500_000 + 1_000_000) == pytest.approx(
        3.0
    )  # 0.5 s at 8, 0.5 s at 16, then a whole lap's 8
    assert [STEPS.at(t) for t in (0.0, 0.99, 1.0, 1.6, 2.1, 3.2)] == [8.0, 8.0, 0.0, 16.0, 8.0, 0.0]


def test_the_last_rate_holds_where_nothing_repeats() -> None:
    rate = RateTrace(((0.0, 1.0), (1.0, 80.0)))
    assert rate.finish(5.0, 10_000_000) == pytest.approx(6.0)
    assert rate.peak_mbps == 80.0


@st.composite
def rate_traces(draw: st.DrawFn) -> RateTrace:
    gaps = draw(st.lists(st.floats(0.01, 2), max_size=5))
    rates = [draw(st.one_of(st.just(0.0), st.floats(0.1, 50))) for _ in gaps]
    times = [sum(gaps[:i]) for i in range(len(gaps) + 1)]
    repeat = draw(st.one_of(st.none(), st.floats(0.01, 2).map(lambda more: times[-1] + more)))
    return RateTrace(tuple(zip(times, [*rates, draw(st.floats(0.1, 50))], strict=True)), repeat)


def bits_between(rate: RateTrace, start: float, end: float) -> float:
    """The rate at the middle of each stretch between two changes, summed up."""
    period = rate.repeat_after or math.inf
    laps = range(int(end // period) + 1)
    changes = [(lap * period if lap else 0.0) + time for lap in laps for time, _ in rate.points]
    cuts = [start, *sorted(change for change in changes if start < change < end), end]
    return math.fsum(rate.at((a + b) / 2) * 1e6 * (b - a) for a, b in pairwise(cuts))


@given(rate_traces(), st.floats(0, 10), st.integers(1, 2_000_000))
def test_as_many_bits_leave_as_the_rate_lets_through(rate: RateTrace, start: float, nbytes: int) -> None:
    assert bits_between(rate, start, rate.finish(start, nbytes)) == pytest.approx(nbytes * 8, rel=1e-6, abs=0.1)


@given(rate_traces(), st.floats(0, 10), st.integers(0, 100_000), st.integers(0, 100_000))
def test_bytes_in_two_parts_leave_when_all_of_them_do(rate: RateTrace, start: float, first: int, second: int) -> None:
    assert rate.finish(rate.finish(start, first), second) == pytest.approx(rate.finish(start, first + second))


@pytest.mark.parametrize(
    ("points", "repeat", "message"),
    [
        ((), None, "starts at 0"),
        (((1.0, 5.0),), None, "starts at 0"),
        (((0.0, 5.0), (2.0, 1.0), (2.0, 3.0)), None, "ascend"),
        (((0.0, -1.0),), None, "negative"),
        (((0.0, math.inf),), None, "finite"),
        (((0.0, 5.0), (1.0, 0.0)), None, "cannot be 0"),
        (((0.0, 5.0), (1.0, 1.0)), 1.0, "beyond the last time"),
        (((0.0, 5.0),), math.nan, "beyond the last time"),
        (((0.0, 0.0),), 1.0, "above 0"),
    ],
)
def test_a_wrong_trace_is_refused(points: tuple[tuple[float, float], ...], repeat: float | None, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        RateTrace(points, repeat)


def test_a_trace_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("seconds,mbps\n0,8\n1,0\n1.5,16\n", encoding="utf-8")
    assert RateTrace.read(path, repeat_after=2.0) == STEPS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 must be 'seconds,mbps'"),
        (b"time,rate\n0,1\n", "not 'time,rate'"),
        (b"seconds,mbps\n0,1\n1,fast\n", "line 3 must be two numbers, not '1,fast'"),
        (b"seconds,mbps\n0\n", "line 2 must be two numbers"),
        (b"seconds,mbps\n", "starts at 0"),
        (b"\xff\xfe", "not a text file in UTF-8"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=f"trace.csv.*{message}"):
        RateTrace.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="nowhere.csv.*No such file"):
        RateTrace.read(tmp_path / "nowhere.csv")
