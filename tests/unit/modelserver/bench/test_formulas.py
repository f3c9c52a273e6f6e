"""The formulas against their definitions, their invariants, and those of `vllm bench serve` on the same events."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.modelserver import ModelServerError
from ianvs_collab.modelserver.backends.openai_wire import END, Collector
from ianvs_collab.modelserver.bench import Measurement, figures, vllm_figures
from ianvs_collab.modelserver.bench.formulas import LATENCIES, good, latency, window
from ianvs_collab.modelserver.bench.measurement import answered
from ianvs_collab.modelserver.types import Generation

SLOS = {"ttft": 0.5, "tpot": 0.05, "e2e": 2.0}

seconds = st.floats(0.001, 20, allow_nan=False)


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    """A request of any outcome, somewhere in the load."""
    due, late = draw(st.floats(0, 50)), draw(st.floats(0, 1))
    gaps = draw(st.lists(seconds, max_size=6))
    at = due + late + np.cumsum(gaps)
    commits = tuple(float(time) for time in at)
    outcome = draw(st.sampled_from(["ok", "ok", "error", "timeout"]))
    end = (commits[-1] if commits else due + late) + draw(seconds)
    if outcome != "ok" or not commits:
        return Measurement(0, due, due + late, end, outcome=outcome)
    tokens = len(commits) + draw(st.integers(0, 3))
    return Measurement(
        0, due, due + late, end, prompt_tokens=5, output_tokens=tokens, commits=commits, last=commits[-1]
    )


loads = st.lists(measurements(), min_size=1, max_size=8)


def flat(found: Any) -> dict[str, float | None]:
    values = {name: getattr(found, name) for name in ("completed", "errors", "timeouts", "output_tokens", "window_s")}
    values |= {name: getattr(found, name) for name in ("throughput", "request_throughput", "goodput")}
    for name, one in found.latencies.items():
        for part in ("count", "mean", "p50", "p90", "p99"):
            values[f"{name}.{part}"] = None if one is None else getattr(one, part)
    return values


def test_figures_of_a_load_worked_out_by_hand(make_request: Any) -> None:
    load = [
        make_request(0, 1.0, 1.5, 1.6, 1.7, 1.8),  # TTFT 0.5, TPOT 0.1, E2E 0.8
        make_request(1, 2.0, 3.0, 3.5, tokens=6),  # TTFT 1.0, TPOT 0.1, E2E 1.5: two pieces, six tokens
        make_request(2, 3.0, 5.0),  # TTFT 2.0, no TPOT
        Measurement(3, 4.0, 4.0, 9.0, outcome="timeout"),
        Measurement(4, 4.0, 4.0, 4.5, outcome="error"),
    ]
    found = figures(load, {"ttft": 0.5, "tpot": 0.2})
    assert (found.requests, found.completed, found.errors, found.timeouts) == (5, 3, 1, 1)
    assert (found.prompt_tokens, found.output_tokens, found.window_s) == (21, 11, 8.0)
    assert (found.throughput, found.request_throughput, found.goodput) == (11 / 8, 3 / 8, 1 / 8)
    ttft, tpot, itl, e2e = (found.latencies[name] for name in ("ttft", "tpot", "itl", "e2e"))
    assert ttft is not None and tpot is not None and itl is not None and e2e is not None
    assert (ttft.count, ttft.mean, ttft.p50) == (3, pytest.approx(3.5 / 3), 1.0)
    assert ttft.p90 == pytest.approx(1.8)
    assert (tpot.count, tpot.mean) == (2, pytest.approx(0.1))
    assert (itl.count, itl.mean, itl.p50) == (4, pytest.approx(0.2), pytest.approx(0.1))
    assert (e2e.count, e2e.mean) == (3, pytest.approx(4.3 / 3))


def test_what_was_not_measured_is_none_and_never_zero() -> None:
    found = figures([Measurement(0, 0.0, 0.0, 1.0, output_tokens=4), Measurement(1, 0.0, 0.0, 2.0, outcome="error")])
    assert set(found.latencies.values()) == {None}
    assert found.goodput is None
    assert found.throughput == 2.0


@pytest.mark.parametrize("load", [[], [Measurement(0, 1.0, 1.0, 1.0)]])
def test_a_load_in_which_no_time_passed_has_no_figures(load: list[Measurement]) -> None:
    with pytest.raises(ModelServerError, match="no request took any time"):
        figures(load)


@pytest.mark.parametrize(
    ("slos", "met"),
    [
        ({"ttft": 0.5}, True),
        ({"ttft": 0.49}, False),
        ({"tpot": 0.25}, True),
        ({"tpot": 0.24}, False),
        ({"e2e": 1.0, "ttft": 0.5}, True),
        ({"e2e": 0.99, "ttft": 0.5}, False),
    ],
)
def test_an_objective_is_met_up_to_and_with_its_bound(make_request: Any, slos: dict[str, float], met: bool) -> None:
    assert good(make_request(0, 1.0, 1.5, 1.75, 2.0), slos) is met


def test_an_objective_for_further_tokens_cannot_be_missed_by_one_token(make_request: Any) -> None:
    assert good(make_request(0, 0.0, 0.5), {"tpot": 1e-9})
    assert not good(Measurement(0, 0.0, 0.0, 1.0, output_tokens=2), {"tpot": 9.0})


@settings(max_examples=60)
@given(load=loads, data=st.data())
def test_the_order_of_the_requests_does_not_matter(load: list[Measurement], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(load))
    expected = flat(figures(load, SLOS))
    assert {name: value for name, value in flat(figures(shuffled, SLOS)).items()} == {
        name: None if value is None else pytest.approx(value) for name, value in expected.items()
    }


def slower(one: Measurement, factor: float, shift: float) -> Measurement:
    def at(time: float) -> float:
        return time * factor + shift

    return replace(
        one,
        scheduled=at(one.scheduled),
        sent=at(one.sent),
        ended=at(one.ended),
        commits=tuple(map(at, one.commits)),
        last=None if one.last is None else at(one.last),
    )


@settings(max_examples=60)
@given(load=loads, factor=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_a_slower_clock_scales_times_and_rates_and_where_it_starts_changes_nothing(
    load: list[Measurement], factor: float, shift: float
) -> None:
    slos = {name: 1e9 for name in SLOS}
    found, other = figures(load, slos), figures([slower(one, factor, shift) for one in load], slos)
    assert other.window_s == pytest.approx(found.window_s * factor)
    for name in ("throughput", "request_throughput", "goodput"):
        assert getattr(other, name) == pytest.approx(getattr(found, name) / factor)
    for name, one in found.latencies.items():
        if one is not None:
            assert other.latencies[name].p50 == pytest.approx(one.p50 * factor, abs=1e-9)


@settings(max_examples=60)
@given(load=loads)
def test_figures_keep_their_bounds(load: list[Measurement]) -> None:
    found = figures(load, SLOS)
    assert found.completed + found.errors + found.timeouts == found.requests == len(load)
    assert found.goodput is not None
    assert 0 <= found.goodput <= found.request_throughput
    for name, one in found.latencies.items():
        values = [value for request in load if request.ok for value in LATENCIES[name](request)]
        assert (one is None) == (not values)
        if one is not None:
            assert min(values) - 1e-9 <= one.p50 <= one.p90 <= one.p99 <= max(values) + 1e-9
            assert min(values) - 1e-9 <= one.mean <= max(values) + 1e-9
    ttft, e2e = found.latencies["ttft"], found.latencies["e2e"]
    assert ttft is None or e2e is None or ttft.mean <= e2e.mean + 1e-9
    start, end = window(load)
    assert end - start == found.window_s


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=30))
def test_percentiles_are_statistics_own(values: list[float]) -> None:
    found = latency(values)
    assert found is not None
    ordered = sorted(values)
    for percent in (50, 90, 99):
        place = (len(values) - 1) * percent / 100
        low, part = math.floor(place), place % 1
        expected = ordered[low] * (1 - part) + ordered[min(low + 1, len(values) - 1)] * part
        assert getattr(found, f"p{percent}") == pytest.approx(expected, abs=1e-9)


# The reference: what vLLM's benchmark does with the events of a stream, written down from its published source.


@dataclass
class TheirOutput:
    ttft: float = 0.0
    latency: float = 0.0
    itl: list[float] = field(default_factory=list)
    output_tokens: int = 0
    prompt_len: int = 0
    success: bool = False


def their_request(events: Sequence[tuple[float, dict[str, Any]]], sent: float) -> TheirOutput:
    """Every event with `choices` is a token to them; the one after those brings the counts."""
    output, recent = TheirOutput(), sent
    for at, event in events:
        if event.get("choices"):
            if not output.success:
                output.success, output.ttft = True, at - sent
            else:
                output.itl.append(at - recent)
            recent = at
        elif usage := event.get("usage"):
            output.output_tokens, output.prompt_len = usage["completion_tokens"], usage["prompt_tokens"]
    output.latency = recent - sent
    return output


def their_metrics(outputs: list[TheirOutput], duration: float, goodput_ms: dict[str, float]) -> dict[str, float]:
    ttfts, tpots, all_tpots, itls, e2els = [], [], [], [], []
    done = [output for output in outputs if output.success]
    for output in done:
        tpot = 0.0
        if output.output_tokens > 1:
            tpot = (output.latency - output.ttft) / (output.output_tokens - 1)
            tpots.append(tpot)
        all_tpots.append(tpot)
        itls += output.itl
        ttfts.append(output.ttft)
        e2els.append(output.latency)
    limits = {"ttft": ttfts, "tpot": all_tpots, "e2el": e2els}
    met = zip(*([value <= goodput_ms[name] / 1000 for value in limits[name]] for name in goodput_ms), strict=True)
    total = sum(output.output_tokens for output in done)
    rows = {
        "duration": duration,
        "completed": len(done),
        "failed": len(outputs) - len(done),
        "total_input_tokens": sum(output.prompt_len for output in done),
        "total_output_tokens": total,
        "request_throughput": len(done) / duration,
        "output_throughput": total / duration,
        "total_token_throughput": (total + sum(output.prompt_len for output in done)) / duration,
        "request_goodput": sum(all(each) for each in met) / duration,
    }
    for name, values in (("ttft", ttfts), ("tpot", tpots), ("itl", itls), ("e2el", e2els)):
        rows[f"mean_{name}_ms"] = np.mean(values or 0) * 1000
        rows[f"median_{name}_ms"] = np.median(values or 0) * 1000
        for percent in (90, 99):
            rows[f"p{percent}_{name}_ms"] = np.percentile(values or 0, percent) * 1000
    return rows


def our_generation(events: Sequence[tuple[float, dict[str, Any]]], sent: float) -> Generation:
    """What the `openai` back-end makes of the same events."""
    collector = Collector()
    for at, event in events:
        collector.feed(json.dumps(event), at - sent)
    collector.feed(END, events[-1][0] - sent)
    assert collector.usage is not None
    prompt, tokens = collector.usage
    exact = len(collector.times) == tokens
    return Generation(
        collector.text, prompt, tokens, tuple(collector.times), token_times_exact=exact, duration=collector.ended
    )


@st.composite
def streams(draw: st.DrawFn) -> tuple[float, float, list[tuple[float, dict[str, Any]]] | None]:
    """When a request was due, when it was sent, and its events as vLLM streams them; None for one that failed."""
    due = draw(st.floats(0.1, 20))
    sent = due + draw(st.floats(0, 0.5))
    if draw(st.integers(0, 7)) == 0:
        return due, sent, None
    gaps = draw(st.lists(st.floats(0.01, 2), min_size=1, max_size=12))
    times = [float(at) for at in sent + np.cumsum(gaps)]
    pieces = len(times)
    tokens = pieces + draw(st.integers(0, 5))  # several tokens may share a piece
    events = [(at, {"choices": [{"text": f"w{place} ", "finish_reason": None}]}) for place, at in enumerate(times)]
    if draw(st.booleans()):  # an end token: an event without text, that brings the reason
        events.append((times[-1] + draw(st.floats(0.01, 2)), {"choices": [{"text": "", "finish_reason": "stop"}]}))
        tokens += 1
    usage = {"prompt_tokens": draw(st.integers(1, 50)), "completion_tokens": tokens}
    return due, sent, [*events, (events[-1][0], {"choices": [], "usage": usage})]


@settings(max_examples=150, deadline=None)
@given(st.lists(streams(), min_size=1, max_size=10).filter(lambda load: any(events for _, _, events in load)))
def test_on_the_same_events_our_figures_are_those_of_vllm(load: list[Any]) -> None:
    ours, theirs = [], []
    for number, (due, sent, events) in enumerate(load):
        if events is None:
            ours.append(Measurement(number, due, sent, sent + 0.1, outcome="error", error="HTTP 500"))
            theirs.append(TheirOutput())
        else:
            ours.append(answered(our_generation(events, sent), number, due, sent, events[-1][0]))
            theirs.append(their_request(events, sent))
    slos = {"ttft": 0.8, "tpot": 0.6, "e2e": 4.0}
    found = vllm_figures(ours, slos)
    expected = their_metrics(theirs, max(one.ended for one in ours), {"ttft": 800, "tpot": 600, "e2el": 4000})
    # The event of an end token has no text: it is a gap to them and none to us. See the reference page.
    gaps = {name for name in found if "_itl_" in name}
    if all(not event["choices"] or event["choices"][0]["text"] for _, _, events in load for _, event in events or []):
        gaps = set()
    for name, value in found.items():
        if name not in gaps:
            assert (0.0 if value is None else value) == pytest.approx(expected[name], rel=1e-9, abs=1e-9), name
    assert set(found) == set(expected)
