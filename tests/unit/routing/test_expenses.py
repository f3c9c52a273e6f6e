"""What a typical answer takes: lines through a trace, and the same play of devices and link as for a recorded one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Device, Link
from ianvs_collab.link.deployment import Price
from ianvs_collab.routing.expenses import TypicalSide, expenses, missing
from ianvs_collab.routing.traces import Side, Trace, TraceRow
from ianvs_collab.routing.traces.estimate import estimate

LTE = Deployment(
    name="lte",
    edge=Device(slowdown=2.0, power_w=5.0),
    cloud=Device(power_w=300.0, price_per_million_tokens=Price(prompt=1.0, completion=4.0)),
    link=Link(rtt_ms=50, uplink_mbps=10, downlink_mbps=40),
)


def lines(sizes: tuple[int, ...] = (40, 80, 120), written: int = 5, **changed: Any) -> Trace:
    """Prompts of which 4 bytes make a token, read in 10 ms and 1 ms a token, answered at 20 ms a token."""
    rows = []
    for size in sizes:
        first = 0.01 + 0.001 * (size / 4)
        side = Side(
            1.0,
            completion="paris",
            prompt_tokens=size // 4,
            completion_tokens=written,
            prefill_seconds=first,
            total_seconds=first + 0.02 * (written - 1),
        )
        rows.append(TraceRow(f"q{size}", "x" * size, replace(side, **changed), replace(side, **changed)))
    return Trace(rows, "lines")


@given(st.integers(8, 400))
def test_a_typical_answer_lies_on_the_lines_of_the_trace(size: int) -> None:
    answer = TypicalSide.of(lines(), "edge").answer("x" * size)
    assert answer.prompt_tokens == pytest.approx(size / 4, abs=0.5 + 1e-6)
    assert answer.completion_tokens == 5
    assert answer.prefill_seconds == pytest.approx(0.01 + 0.001 * (answer.prompt_tokens or 0))
    assert (answer.total_seconds or 0) - (answer.prefill_seconds or 0) == pytest.approx(4 * 0.02)
    assert len(answer.completion or "") == 5


def test_lengths_are_counted_in_bytes() -> None:
    typical = TypicalSide.of(lines(), "edge")
    assert typical.answer("巴黎" * 10).prompt_tokens == typical.answer("x" * 60).prompt_tokens


def test_what_it_takes_at_the_edge() -> None:
    found = expenses(TypicalSide.of(lines(), "edge"), "edge", "x" * 80, LTE)
    first = 2.0 * (0.01 + 0.001 * 20)
    assert found.first == pytest.approx(first)
    assert found.seconds == pytest.approx(first + 2.0 * 4 * 0.02)
    assert found.joules == pytest.approx(5.0 * (found.seconds or 0))
    assert (found.currency, found.megabytes) == (0.0, 0.0)


def test_what_it_takes_in_the_cloud_is_what_a_recorded_answer_would_take() -> None:
    trace = lines((80,))
    found = expenses(TypicalSide.of(trace, "cloud"), "cloud", trace.rows[0].text, LTE)
    recorded = estimate(trace.rows[0], "cloud", LTE)
    assert found.currency == pytest.approx((20 * 1.0 + 5 * 4.0) / 1e6)
    assert found.first == pytest.approx(recorded.ttft)
    assert (found.first or 0) > 0.05 + 0.03
    assert found.seconds == pytest.approx(recorded.e2e)
    assert found.joules == pytest.approx(recorded.energy)
    assert found.megabytes == pytest.approx(((recorded.uplink_bytes or 0) + (recorded.downlink_bytes or 0)) / 1e6)


def test_prompts_of_one_length_tell_a_mean_and_no_slope() -> None:
    typical = TypicalSide.of(lines((80, 80, 80)), "edge")
    assert typical.tokens == pytest.approx((20.0, 0.0))
    assert typical.answer("x" * 8000).prompt_tokens == 20


def test_a_line_never_falls_below_what_is_possible() -> None:
    steep = TypicalSide((-100.0, 1.0), (-1.0, 0.01), 0.0, 3, 4).answer("x")
    assert steep.prompt_tokens == 1
    assert steep.prefill_seconds == 0


def test_answers_of_one_token_have_no_gaps() -> None:
    typical = TypicalSide.of(lines(written=1), "edge")
    assert typical.per_token == 0
    assert typical.answer("x" * 80).total_seconds == pytest.approx(0.03)


def test_without_times_there_is_a_price_and_no_latency() -> None:
    trace = lines(prefill_seconds=None, total_seconds=None)
    found = expenses(TypicalSide.of(trace, "cloud"), "cloud", "x" * 80, LTE)
    assert found.currency == pytest.approx(4e-5)
    assert (found.first, found.seconds, found.joules) == (None, None, None)


def test_without_tokens_nothing_but_the_request_is_known() -> None:
    bare = Trace([TraceRow("q", "x" * 80, Side(0.0), Side(1.0))], "bare")
    cloud = expenses(TypicalSide.of(bare, "cloud"), "cloud", "x" * 80, LTE)
    assert cloud == (None, None, None, None, None)
    assert expenses(TypicalSide.of(bare, "edge"), "edge", "x" * 80, LTE).megabytes == 0


def test_energy_needs_power() -> None:
    powerless = LTE.model_copy(update={"cloud": Device()})
    assert expenses(TypicalSide.of(lines(), "cloud"), "cloud", "x" * 80, powerless).joules is None


def test_complaints_say_what_to_add() -> None:
    text = str(missing("joules", "cloud", "lines", LTE))
    assert "`cloud.power_w` in deployment 'lte'" in text
    assert "the trace 'lines'" in text
    text = str(missing("currency", "edge", "lines", LTE))
    assert "does not hold the tokens and compute seconds of the edge model that currency follow from" in text
    assert "`ianvs trace record`" in text
