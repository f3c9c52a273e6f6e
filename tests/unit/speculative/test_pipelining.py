"""Drafting ahead: the same tokens, and the times that the formulas give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ianvs_collab.link import Deployment, Link, Timeline
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import (
    Drafter,
    ModelDrafter,
    PromptLookup,
    ProtocolError,
    SpeculativeDecoder,
    SpeculativeError,
    SuffixDrafter,
    make_codec,
)
from ianvs_collab.speculative.drafters import FixedPicker
from ianvs_collab.speculative.loop import (
    CloudHalf,
    EdgeHalf,
    FixedLength,
    PipelinedEdge,
    VirtualExchange,
    run_pipelined,
    run_synchronous,
)
from ianvs_collab.speculative.loop.pipelined_edge import Retracting
from ianvs_collab.speculative.modes import make_generator
from ianvs_collab.speculative.paced import Costs, PacedClock, PacedStepper
from ianvs_collab.speculative.protocols import Block
from ianvs_collab.speculative.verification import Draft, Greedy, Gumbel, Matching

from .toys import ToyStepper, alone

TARGET = ToyStepper(ends=(7,))
HOT = SamplingParams(temperature=1.0, seed=1)
CODEC = make_codec("ids", 8)
DRAFT_S, VERIFY_S = 0.004, 0.03


def drafters(target: ToyStepper) -> dict[str, Drafter]:
    return {
        "the target itself": ModelDrafter(target, target.vocabulary, end_tokens=target.end_tokens),
        "a near model": ModelDrafter(target.blurred(0.3), target.vocabulary, confidence=0.4),
        "a far model": ModelDrafter(target.blurred(3), target.vocabulary),
        "a model with a short context": ModelDrafter(target.blurred(0.3, context=9), target.vocabulary),
        "lookup": PromptLookup(),
    }


@pytest.mark.parametrize("mode", ["greedy", "gumbel"])
@pytest.mark.parametrize("pipelining", ["pre-draft", "asynchronous"])
@pytest.mark.parametrize("name", list(drafters(TARGET)))
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**63), st.tuples(*(st.integers(*ends) for ends in ((0, 6), (1, 30), (1, 5), (0, 200)))))
def test_the_output_is_the_targets_own(
    name: str, pipelining: str, mode: str, seed: int, numbers: tuple[int, ...]
) -> None:
    length, max_tokens, window, rtt = numbers
    params = SamplingParams(temperature=0.0 if mode == "greedy" else 0.9, seed=seed, max_tokens=max_tokens)
    decoder = SpeculativeDecoder(
        TARGET,
        drafters(TARGET)[name],
        mode=mode,
        draft_length=length,
        pipelining=pipelining,
        window=window,
    )
    prompt = [1 + seed % 6, 2, 5]
    decoding = decoder.decode_tokens(prompt, params, Timeline(Deployment(link=Link(rtt_ms=rtt / 10))))
    assert decoding.tokens == alone(TARGET, mode, prompt, params)
    assert decoding.tally.committed + decoding.tally.streamed == len(decoding.tokens)


@pytest.mark.parametrize("protocol", ["quantised-q", "dssd", "full-q"])
def test_rejection_keeps_the_targets_distribution(protocol: str) -> None:
    target = ToyStepper(4, 1, scale=1)
    decoder = SpeculativeDecoder(
        target,
        ModelDrafter(target.blurred(1), 4),
        mode="rejection",
        protocol=protocol,
        draft_length=1,
        pipelining="asynchronous",
        settings={"top": 2, "bits": 3} if protocol == "quantised-q" else {},
    )
    counts = np.zeros((4, 4))
    draws = 500
    for seed in range(draws):
        timeline = Timeline(Deployment(link=Link(rtt_ms=50)))
        params = SamplingParams(temperature=1.0, seed=seed, max_tokens=3)
        first, second, _ = decoder.decode_tokens([2], params, timeline).tokens
        counts[first, second] += 1
    first_p, second_p = (np.asarray(rows.double().softmax(-1)) for rows in (target.table[0, 2], target.table[2]))
    expected = first_p[:, None] * second_p * draws
    assert stats.chisquare(counts.ravel(), expected.ravel()).pvalue > 0.001


def simulate(
    window: int, length: int, rtt: float, max_tokens: int, noise: float = 0.0
) -> tuple[VirtualExchange, float]:
    """A query with constant times; gives it and the time that decoding took, reading the prompt left out."""
    clock = PacedClock()
    target = PacedStepper(TARGET, Costs.constant(VERIFY_S), clock)
    draft = PacedStepper(TARGET.blurred(noise), Costs.constant(DRAFT_S), clock)
    drafter = ModelDrafter(draft, 8)
    kind = PipelinedEdge if window else EdgeHalf
    edge = kind(drafter, CODEC, make_generator(HOT), max_tokens, ())
    timeline = Timeline(Deployment(link=Link(rtt_ms=1000 * rtt, uplink_mbps=1e9, downlink_mbps=1e9)))
    exchange = VirtualExchange(edge, CloudHalf(target, CODEC, Matching(Greedy())), CODEC, timeline, clock)
    exchange.start([1], lambda: drafter.begin([1], FixedPicker(Greedy())))
    start = timeline.now
    if isinstance(edge, PipelinedEdge):
        run_pipelined(exchange, edge, length, 1, window)
    else:
        run_synchronous(exchange, FixedLength(length), 1)
    assert edge.tokens == alone(TARGET, "greedy", [1], SamplingParams(max_tokens=max_tokens)) or 7 in edge.tokens
    return exchange, timeline.now - start


@pytest.mark.parametrize("noise", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("rtt", [0.0, 0.1])
def test_synchronous_rounds_take_what_the_formula_says(noise: float, rtt: float) -> None:
    exchange, seconds = simulate(0, 4, rtt, 41, noise)
    tally = exchange.edge.tally
    expected = tally.drafted * DRAFT_S + (tally.blocks + tally.streamed) * (rtt + VERIFY_S)
    assert seconds == pytest.approx(expected, abs=1e-6)


def test_a_stream_takes_what_the_formula_says() -> None:
    """t_t + RTT / M for each of M tokens."""
    clock = PacedClock()
    target = PacedStepper(TARGET, Costs.constant(VERIFY_S), clock)
    timeline = Timeline(Deployment(link=Link(rtt_ms=100, uplink_mbps=1e9, downlink_mbps=1e9)))
    drafter = PromptLookup()
    edge = EdgeHalf(drafter, CODEC, make_generator(HOT), 20, ())
    exchange = VirtualExchange(edge, CloudHalf(target, CODEC, Matching(Greedy())), CODEC, timeline, clock)
    exchange.start([1], lambda: drafter.begin([1], FixedPicker(Greedy())))
    run_synchronous(exchange, FixedLength(0), 20)
    assert timeline.now == pytest.approx(20 * (VERIFY_S + 0.1 / 20), abs=1e-6)
    gaps = np.diff(timeline.commits)
    np.testing.assert_allclose(gaps, VERIFY_S, atol=1e-9)


@pytest.mark.parametrize("length", [2, 4, 10])
def test_a_full_pipeline_takes_the_slower_of_drafting_and_verifying(length: int) -> None:
    """max(t_d, t_v / γ) a token when everything stands; the round trip is paid once."""
    blocks = 30
    _, seconds = simulate(32, length, 0.1, blocks * length)
    slower = max(length * DRAFT_S, VERIFY_S)
    first = length * DRAFT_S + 0.1 + VERIFY_S
    assert seconds == pytest.approx(first + (blocks - 1) * slower, abs=1e-6)


def test_pre_drafting_hides_the_drafting_behind_the_round_trip() -> None:
    blocks, length = 20, 5
    exchange, seconds = simulate(1, length, 0.1, blocks * (length + 1))
    # Drafting (20 ms) is shorter than the way there and back and the verification (130 ms), so only the first shows.
    assert seconds == pytest.approx(length * DRAFT_S + blocks * (0.1 + VERIFY_S), abs=1e-6)
    assert exchange.edge.tally.blocks == blocks  # each with its bonus token


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_a_verdict_stops_drafting_ahead_within_a_token(noise: float) -> None:
    exchange, _ = simulate(4, 8, 0.02, 41, noise)
    events = exchange.timeline.events
    arrivals = [event.end for event in events if event.label == "verdict"]
    taken = [event.start for event in events if event.label == "commit"]
    assert exchange.edge.tally.rejected
    assert len(taken) == len(arrivals)
    assert all(0 <= begun - arrived <= DRAFT_S + 1e-9 for arrived, begun in zip(arrivals, taken, strict=True))


def test_one_block_ahead_is_never_slower_than_waiting() -> None:
    for noise in (0.0, 0.3, 1.0, 3.0):
        for rtt in (0.0, 0.05):
            # A verdict may have to wait for the token that is just being drafted.
            exchange, ahead = simulate(1, 4, rtt, 41, noise)
            waited = exchange.edge.tally.blocks + exchange.edge.tally.streamed
            _, waiting = simulate(0, 4, rtt, 41, noise)
            assert ahead <= waiting + waited * DRAFT_S + 1e-9


def test_asynchronous_drafting_hides_the_round_trip_when_drafts_stand() -> None:
    synchronous, alone_s = simulate(0, 5, 0.1, 200)
    pipelined, seconds = simulate(8, 5, 0.1, 200)
    assert synchronous.edge.tokens == pipelined.edge.tokens
    paid = 0.1 * synchronous.edge.tally.blocks
    hidden = alone_s - seconds
    assert hidden > 0.6 * paid


def test_a_rejection_costs_about_a_round_trip() -> None:
    """Every token is wrong: each block then costs its drafting, a round trip and a verification, and commits one."""
    clock_free, seconds = simulate(4, 1, 0.1, 15, 50.0)
    tally = clock_free.edge.tally
    assert tally.rejected > 5
    waits = tally.rejected * (0.1 + VERIFY_S + DRAFT_S)
    assert seconds >= waits - 1e-9
    # At worst the edge has just begun another block when the verdict comes.
    assert seconds <= waits + (tally.rejected + tally.blocks) * DRAFT_S + (0.1 + VERIFY_S) * (tally.streamed + 5)


def test_only_drafters_that_can_take_back_may_draft_ahead() -> None:
    decoder = SpeculativeDecoder(TARGET, SuffixDrafter(), pipelining="asynchronous")
    with pytest.raises(SpeculativeError, match="SuffixDrafter cannot take back"):
        decoder.decode_tokens([1], SamplingParams(max_tokens=5))
    for changes in ({"pipelining": "telepathic"}, {"window": 0}, {"window": 33}):
        with pytest.raises(SpeculativeError, match="choose one of synchronous|must be 1 to 32"):
            SpeculativeDecoder(TARGET, SuffixDrafter(), **changes)  # type: ignore[arg-type]


def test_the_cloud_drops_what_was_built_on_a_rejected_draft() -> None:
    target = ToyStepper()
    right = alone(target, "greedy", [1], SamplingParams(max_tokens=6))
    wrong = [right[0], (right[1] + 1) % 8]
    cloud = CloudHalf(target, CODEC, Matching(Greedy()))
    cloud.open(CODEC.encode_prompt([1]))

    def answer(number: int, tokens: list[int], *, chained: bool) -> list[bytes]:
        return list(cloud.answer(CODEC.encode_block(Block(number, Draft(tokens), bonus=False, chained=chained))))

    (verdict,) = answer(0, wrong, chained=False)
    assert CODEC.decode_verdict(verdict)[1].token == right[1]
    steps = target.opened[-1].steps
    assert answer(1, [1, 2], chained=True) == []
    assert answer(2, [3, 4], chained=True) == []
    assert target.opened[-1].steps == steps
    (verdict,) = answer(1, right[2:4], chained=False)
    assert CODEC.decode_verdict(verdict) == (1, CODEC.decode_verdict(verdict)[1])
    assert CODEC.decode_verdict(verdict)[1].accepted == 2
    (verdict,) = answer(2, right[4:6], chained=True)
    assert CODEC.decode_verdict(verdict)[1].accepted == 2
    assert len(verdict) == 2  # no bonus, so no id
    assert target.opened[-1].tokens == (1, *right[:5])


def test_a_pipelined_edge_ignores_stale_and_refuses_foreign_verdicts() -> None:
    drafter = ModelDrafter(TARGET, 8)
    drafter.begin([1], FixedPicker(Greedy()))
    edge = PipelinedEdge(drafter, CODEC, make_generator(HOT), 30, ())
    for _ in range(2):
        while not edge.ready:
            edge.draft_ahead(2)
        edge.take_ready()
    assert edge.outstanding == 2
    with pytest.raises(ProtocolError, match="verdict 1 accepts 2 tokens, but block 0"):
        edge.receive(b"\x01\x04")
    with pytest.raises(ProtocolError, match="has 2 and no bonus"):
        edge.receive(b"\x00\x04\x05")
    with pytest.raises(ProtocolError, match="lacks the token"):
        edge.receive(b"\x00\x02")
    assert len(edge.receive(b"\x00\x04")) == 2
    assert edge.receive(b"\x00\x04") == []
    assert edge.tally.stale == 1
    assert edge.outstanding == 1


@pytest.mark.parametrize("kind", [lambda: ModelDrafter(TARGET.blurred(0.6), 8), PromptLookup])
@given(st.integers(0, 2**63), st.integers(1, 4), st.integers(0, 4))
def test_after_taking_back_a_drafter_proposes_what_a_fresh_one_would(
    kind: Callable[[], Drafter], seed: int, length: int, kept: int
) -> None:
    # Gumbel noise depends on the position, so a wrong one would show.
    picker = FixedPicker(Gumbel(HOT, seed))
    text = [1, 2, 5, 1, 2]
    drafter, fresh = kind(), kind()
    drafter.begin(text, picker)
    ahead: list[int] = []
    for _ in range(2):
        tokens = drafter.draft(length).tokens
        ahead += tokens
        if tokens:
            drafter.commit(tokens)
    kept = min(kept, len(ahead))
    if isinstance(drafter, Retracting):
        drafter.retract(len(ahead) - kept)
    drafter.commit([3])
    fresh.begin(text, picker)
    fresh.commit([*ahead[:kept], 3])
    assert drafter.draft(5).tokens == fresh.draft(5).tokens
