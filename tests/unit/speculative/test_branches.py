"""Branches drafted ahead: the same tokens as ever, and less waiting after rejections that were foreseen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ianvs_collab.link import Deployment, Link, Timeline
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import ModelDrafter, PromptLookup, SpeculativeError, make_codec
from ianvs_collab.speculative.drafters import FixedPicker
from ianvs_collab.speculative.loop import CloudHalf, PipelinedEdge, VirtualExchange, run_pipelined
from ianvs_collab.speculative.loop.branching import BRANCHES, BranchingEdge
from ianvs_collab.speculative.loop.pipelined_edge import joined, rest
from ianvs_collab.speculative.modes import make_generator, make_picker, make_verifier
from ianvs_collab.speculative.paced import Costs, PacedClock, PacedStepper
from ianvs_collab.speculative.protocols import Ids
from ianvs_collab.speculative.verification import Draft, Greedy

from .toys import ToyStepper, alone

TARGET = ToyStepper(ends=(7,))
DRAFT_S, VERIFY_S = 0.004, 0.03
COLD = SamplingParams(seed=1, max_tokens=41)


def decode(
    kind: type[PipelinedEdge],
    drafter: ModelDrafter,
    prompt: Sequence[int],
    params: SamplingParams = COLD,
    *,
    target: ToyStepper = TARGET,
    mode: str = "greedy",
    codec: Ids | None = None,
    length: int = 3,
    window: int = 1,
    rtt: float = 0.0,
    clock: PacedClock | None = None,
) -> VirtualExchange:
    """A query with this edge half."""
    codec, clock = codec or make_codec("ids", target.vocabulary), clock or PacedClock()
    cloud = CloudHalf(
        PacedStepper(target, Costs.constant(VERIFY_S), clock),
        codec,
        make_verifier(mode, params, codec),
        target.end_tokens,
    )
    edge = kind(drafter, codec, make_generator(params), params.max_tokens, target.end_tokens)
    timeline = Timeline(Deployment(link=Link(rtt_ms=1000 * rtt, uplink_mbps=1e9, downlink_mbps=1e9)))
    exchange = VirtualExchange(edge, cloud, codec, timeline, clock)
    exchange.start(prompt, lambda: drafter.begin(prompt, make_picker(mode, params, codec)))
    run_pipelined(exchange, edge, length, 2, window)
    drafter.end()
    cloud.close()
    return exchange


def drafter(noise: float, clock: PacedClock, confidence: float = 0.0, context: int | None = None) -> ModelDrafter:
    stepper = PacedStepper(TARGET.blurred(noise, context=context), Costs.constant(DRAFT_S), clock)
    return ModelDrafter(stepper, 8, end_tokens=TARGET.end_tokens, confidence=confidence)


@pytest.mark.parametrize("mode", ["greedy", "gumbel", "sample-match"])
@pytest.mark.parametrize("window", [1, 3])
@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**63),
    st.sampled_from([0.0, 0.3, 1.0, 5.0]),
    st.tuples(*(st.integers(*limits) for limits in ((1, 6), (1, 30), (0, 200)))),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([None, 9, 20]),
)
def test_the_output_is_the_targets_own(  # noqa: PLR0917 - hypothesis gives them in order
    window: int,
    mode: str,
    seed: int,
    noise: float,
    numbers: tuple[int, ...],
    confidence: float,
    context: int | None,
) -> None:
    length, max_tokens, rtt = numbers
    params = SamplingParams(temperature=0.0 if mode == "greedy" else 0.9, seed=seed, max_tokens=max_tokens)
    prompt, clock = [1 + seed % 6, 2, 5], PacedClock()
    exchange = decode(
        BranchingEdge,
        drafter(noise, clock, confidence, context),
        prompt,
        params,
        mode=mode,
        length=length,
        window=window,
        rtt=rtt / 1000,
        clock=clock,
    )
    assert exchange.edge.tokens == alone(TARGET, mode, prompt, params)
    tally = exchange.edge.tally
    assert tally.committed + tally.streamed == len(exchange.edge.tokens)


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("protocol", ["quantised-q", "dssd", "full-q"])
def test_rejection_keeps_the_targets_distribution(protocol: str, window: int) -> None:
    target = ToyStepper(4, 1, scale=1)
    codec = make_codec(protocol, 4, **({"top": 2, "bits": 3} if protocol == "quantised-q" else {}))
    model = ModelDrafter(target.blurred(1), 4)
    counts, draws = np.zeros((4, 4)), 300
    for seed in range(draws):
        params = SamplingParams(temperature=1.0, seed=seed, max_tokens=4)
        exchange = decode(
            BranchingEdge,
            model,
            [2],
            params,
            target=target,
            mode="rejection",
            codec=codec,
            length=1,
            window=window,
            rtt=1,
        )
        first, second, *_ = exchange.edge.tokens
        counts[first, second] += 1
    first_p, second_p = (np.asarray(rows.double().softmax(-1)) for rows in (target.table[0, 2], target.table[2]))
    expected = first_p[:, None] * second_p * draws
    assert stats.chisquare(counts.ravel(), expected.ravel()).pvalue > 0.001


def seconds_of(kind: type[PipelinedEdge], noise: float, window: int) -> tuple[float, PipelinedEdge]:
    total = 0.0
    for start in range(1, 7):
        clock = PacedClock()
        exchange = decode(kind, drafter(noise, clock), [start, 3], rtt=0.1, window=window, length=4, clock=clock)
        total += exchange.timeline.now
    assert isinstance(exchange.edge, kind)
    return total, exchange.edge


@pytest.mark.parametrize("window", [1, 4])
def test_foreseen_rejections_cost_no_drafting(window: int) -> None:
    plain, _ = seconds_of(PipelinedEdge, 0.5, window)
    branched, _ = seconds_of(BranchingEdge, 0.5, window)
    assert branched < plain


def test_after_a_foreseen_rejection_the_block_leaves_at_once() -> None:
    clock = PacedClock()
    exchange = decode(BranchingEdge, drafter(0.5, clock), [1, 3], rtt=0.2, length=4, clock=clock)
    edge, events = exchange.edge, exchange.timeline.events
    assert isinstance(edge, BranchingEdge)
    assert 0 < edge.foreseen <= edge.surprises
    gaps = [
        min((event.start for event in events if event.label == "block" and event.start >= verdict.end), default=0)
        - verdict.end
        for verdict in events
        if verdict.label == "verdict"
    ]
    unforeseen = edge.surprises - edge.foreseen
    waited = [gap for gap in gaps if gap > DRAFT_S]  # a whole block had to be drafted
    assert len(waited) <= unforeseen + 1


def test_branches_are_few_and_closed() -> None:
    clock = PacedClock()
    stepper = TARGET.blurred(0.5)
    model = ModelDrafter(stepper, 8)
    forks: list[ModelDrafter] = []
    fork = model.fork

    def noted() -> ModelDrafter:
        forks.append(fork())
        return forks[-1]

    model.fork = noted  # type: ignore[method-assign]
    exchange = decode(BranchingEdge, model, [1, 3], rtt=0.5, clock=clock)
    rounds = exchange.edge.tally.blocks + exchange.edge.tally.streamed
    assert 0 < len(forks) <= BRANCHES * rounds
    assert all(copy._session is None for copy in forks)


def test_a_drafter_that_cannot_be_copied_is_refused() -> None:
    codec = make_codec("ids", 8)
    with pytest.raises(SpeculativeError, match="PromptLookup cannot draft in branches"):
        BranchingEdge(PromptLookup(), codec, make_generator(COLD), 5, ())


@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 7))
def test_a_fork_goes_its_own_way_and_can_be_adopted(ahead: int, back: int, token: int) -> None:
    picker = FixedPicker(Greedy())
    model, untouched, fresh = (ModelDrafter(TARGET.blurred(0.4), 8) for _ in range(3))
    for one in (model, untouched, fresh):
        one.begin([1, 2, 5], picker)
    tokens = model.draft(ahead).tokens
    back = min(back, len(tokens))
    model.commit(tokens)
    untouched.commit(tokens)
    fork = model.fork()
    fork.retract(back)
    fork.commit([token])
    behind = fork.draft(2).tokens
    fork.commit(behind)
    seen = model.draft(3).tokens
    assert seen == untouched.draft(3).tokens
    model.adopt(fork)
    fresh.commit([*tokens[: len(tokens) - back], token, *behind])
    assert model.draft(4).tokens == fresh.draft(4).tokens
    model.end()


def test_doubts_name_the_second_choice() -> None:
    model = ModelDrafter(TARGET, 8)
    model.doubting = True
    model.begin([1, 2], FixedPicker(Greedy()))
    (token,) = model.draft(1).tokens
    (doubt,) = model.doubts
    best, second = TARGET.table[1, 2].topk(2).indices.tolist()
    assert (token, doubt.other) == (best, second)
    assert doubt.certainty == pytest.approx(float(TARGET.table[1, 2].softmax(-1)[best]))


def test_a_block_ends_where_it_is_not_believed_in() -> None:
    model = ModelDrafter(TARGET, 8)
    model.doubting = True
    model.begin([1, 2], FixedPicker(Greedy()))
    model.draft(8)
    certainties = [doubt.certainty for doubt in model.doubts]
    model.begin([1, 2], FixedPicker(Greedy()))
    model.least = 1.01 * float(np.prod(certainties[:3]))
    assert len(model.draft(8).tokens) == 3  # the token with which it falls below goes along
    assert model.stopped
    model.begin([1, 2], FixedPicker(Greedy()))
    assert model.least == 0
    assert len(model.draft(8).tokens) == 8
    assert not model.stopped


def test_a_block_that_is_drafted_token_by_token_ends_there_too() -> None:
    codec = make_codec("ids", 8)
    model, whole = (ModelDrafter(TARGET.blurred(0.5), 8) for _ in range(2))
    edge = BranchingEdge(model, codec, make_generator(COLD), 40, ())
    for one in (model, whole):
        one.begin([1, 2], FixedPicker(Greedy()))
    edge.least = whole.least = 0.5
    while not edge.ready:
        edge.draft_ahead(8)
    assert edge.take_ready().draft.tokens == whole.draft(8).tokens
    assert len(edge.doubts_under_way) < 8
    model.end()


def test_doubts_and_branches_move_up_when_a_block_stands() -> None:
    model = ModelDrafter(TARGET.blurred(0.5), 8)
    edge = BranchingEdge(model, make_codec("ids", 8), make_generator(COLD), 40, ())
    model.begin([1, 2], FixedPicker(Greedy()))
    noted = []
    for _ in range(2):
        while not edge.ready:
            edge.draft_ahead(2)
            noted += model.doubts
        edge.take_ready()
    assert edge.doubts_under_way == noted
    assert len(edge.receive(b"\x00\x04")) == 2
    assert edge.doubts_under_way == noted[2:]
    model.end()


def test_drafts_are_joined_and_cut_with_their_distributions() -> None:
    one = Draft([1], np.eye(4)[[1]], np.ones(1))
    two = Draft([2, 3], np.eye(4)[[2, 3]], np.array([0.5, 0.25]))
    both = joined(one, two)
    assert both.rows is not None
    assert both.chosen is not None
    assert (both.tokens, both.rows.argmax(-1).tolist(), both.chosen.tolist()) == ([1, 2, 3], [1, 2, 3], [1, 0.5, 0.25])
    last = rest(both, 2)
    assert last.chosen is not None
    assert (last.tokens, last.chosen.tolist()) == ([3], [0.25])
    assert joined(Draft([]), two) is two
    assert joined(Draft([1]), Draft([2])) == Draft([1, 2])
    assert rest(Draft([1, 2]), 1) == Draft([2])
