"""Many clients at one verifier: each gets what it would get alone, whatever the others do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Timeline
from ianvs_collab.modelserver import load_model
from ianvs_collab.modelserver.stepping import Session, StepError, greedy, open_stepper, step_together
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import ModelDrafter, ProtocolError, SpeculativeError, make_codec
from ianvs_collab.speculative.batching import BatchedHalf, Batcher, Ticket
from ianvs_collab.speculative.loop import (
    CloudHalf,
    EdgeHalf,
    FixedLength,
    PipelinedEdge,
    VirtualExchange,
    run_pipelined,
    run_synchronous,
)
from ianvs_collab.speculative.modes import make_generator, make_picker, make_verifier
from ianvs_collab.speculative.protocols import Block, Ids
from ianvs_collab.speculative.verification import Draft, Greedy, Matching, Verdict
from ianvs_collab.zoo.export import test_questions as zoo_questions

from .toys import ToyStepper, alone

TARGET = ToyStepper()
CODEC = make_codec("ids", 8)
PROMPT = [1, 2, 3]
REFERENCE = alone(TARGET, "greedy", PROMPT, SamplingParams(max_tokens=60))


def client(batcher: Batcher, target: Any = TARGET, prompt: Sequence[int] = PROMPT) -> BatchedHalf:
    half = BatchedHalf(CloudHalf(target, CODEC, Matching(Greedy())), batcher)
    half.open(CODEC.encode_prompt(prompt))
    return half


def block(number: int, tokens: Sequence[int] = (), wanted: int = 0, **flags: bool) -> bytes:
    return CODEC.encode_block(Block(number, Draft(list(tokens)), wanted=wanted, **flags))


def verdict(payload: bytes | None) -> Verdict:
    assert payload is not None
    return CODEC.decode_verdict(payload)[1]


def decode(
    batcher: Batcher, prompt: list[int], *, mode: str, protocol: str = "ids", window: int = 0, max_tokens: int = 30
) -> list[int]:
    """One query of one client, edge and all."""
    codec = make_codec(protocol, 8)
    params = SamplingParams(temperature=0.0 if mode == "greedy" else 1.0, seed=5, max_tokens=max_tokens)
    drafter = ModelDrafter(TARGET.blurred(0.6), 8)
    kind = PipelinedEdge if window else EdgeHalf
    edge = kind(drafter, codec, make_generator(params), max_tokens, ())
    cloud = BatchedHalf(CloudHalf(TARGET, codec, make_verifier(mode, params, codec)), batcher)
    exchange = VirtualExchange(edge, cloud, codec, Timeline(Deployment()))
    exchange.start(prompt, lambda: drafter.begin(prompt, make_picker(mode, params, codec)))
    if isinstance(edge, PipelinedEdge):
        run_pipelined(exchange, edge, 3, 2, window)
    else:
        run_synchronous(exchange, FixedLength(3), 2)
    assert len(cloud.margins) > max_tokens / 8
    cloud.close()
    return edge.tokens


@pytest.mark.parametrize("mode", ["greedy", "gumbel", "sample-match"])
@pytest.mark.parametrize("window", [0, 3])
def test_clients_in_threads_get_what_the_target_gives_alone(mode: str, window: int) -> None:
    batcher = Batcher(max_batch=3)
    prompts = [[1 + i % 6, 2, 5, i % 8] for i in range(7)]
    with ThreadPoolExecutor(7) as pool:
        found = list(pool.map(lambda prompt: decode(batcher, prompt, mode=mode, window=window, max_tokens=40), prompts))
    params = SamplingParams(temperature=0.0 if mode == "greedy" else 1.0, seed=5, max_tokens=40)
    assert found == [alone(TARGET, mode, prompt, params) for prompt in prompts]
    assert max(batcher.sizes) <= 3


@pytest.mark.parametrize("protocol", ["quantised-q", "dssd", "full-q"])
def test_rejection_draws_the_same_in_company_as_alone(protocol: str) -> None:
    prompts = [[1 + i, 2, 5] for i in range(4)]
    expected = [decode(Batcher(), prompt, mode="rejection", protocol=protocol) for prompt in prompts]
    batcher = Batcher()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda prompt: decode(batcher, prompt, mode="rejection", protocol=protocol), prompts))
    assert found == expected


def test_blocks_that_wait_are_verified_in_one_pass() -> None:
    batcher = Batcher()
    clients = [client(batcher) for _ in range(5)]
    tickets = [half.post(block(0, REFERENCE[:count])) for count, half in enumerate(clients, 1)]
    assert not any(ticket.settled for ticket in tickets)
    first = clients[2].take(tickets[2])
    assert all(ticket.settled for ticket in tickets)
    assert batcher.sizes == {5: 1}
    verdicts = [first if i == 2 else half.take(tickets[i]) for i, half in enumerate(clients)]
    assert [verdict(payload) for payload in verdicts] == [
        Verdict(count, REFERENCE[count]) for count in range(1, 6)
    ]  # equal up to the margin, which stays at the cloud
    assert [half.take(ticket) for half, ticket in zip(clients, tickets, strict=True)] == [None] * 5
    assert not batcher.work()


def test_those_who_wait_longest_are_served_first() -> None:
    batcher = Batcher(max_batch=2)
    clients = [client(batcher) for _ in range(5)]
    tickets = [half.post(block(0, wanted=20)) for half in clients]
    streamed: list[list[int]] = [[] for _ in clients]
    for _ in range(50):
        assert batcher.work()
        for half, ticket, tokens in zip(clients, tickets, streamed, strict=True):
            if ticket.settled and (payload := half.take(ticket)) is not None:
                tokens.append(verdict(payload).token or 0)
        counts = [len(tokens) for tokens in streamed]
        assert max(counts) - min(counts) <= 1
    assert streamed == [REFERENCE[:20]] * 5
    assert batcher.sizes == {2: 50}


def test_a_block_that_comes_while_the_model_is_busy_is_in_the_next_pass() -> None:
    begun, go = threading.Event(), threading.Event()

    def step(sessions: Sequence[Session], tokens: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        begun.set()
        assert go.wait(20)
        return step_together(sessions, tokens)

    batcher = Batcher(step=step)
    clients = [client(batcher) for _ in range(4)]
    early = clients[0].post(block(0, REFERENCE[:2]))
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(clients[0].take, early)
        assert begun.wait(20)
        late = [half.post(block(0, REFERENCE[:3])) for half in clients[1:]]
        others = [pool.submit(half.take, ticket) for half, ticket in zip(clients[1:], late, strict=True)]
        go.set()
        found = [verdict(future.result(20)) for future in (first, *others)]
    assert [one.accepted for one in found] == [2, 3, 3, 3]
    assert batcher.sizes == {1: 1, 3: 1}


def test_a_worker_with_one_thread_for_the_model_fills_its_passes() -> None:
    batcher = Batcher()
    clients = [client(batcher) for _ in range(6)]
    tickets = [half.post(block(0, wanted=12)) for half in clients]

    async def ask(half: BatchedHalf, ticket: Ticket, pool: ThreadPoolExecutor) -> list[int]:
        tokens: list[int] = []
        while (payload := await asyncio.get_running_loop().run_in_executor(pool, half.take, ticket)) is not None:
            tokens.append(verdict(payload).token or 0)
        return tokens

    async def serve() -> list[list[int]]:
        with ThreadPoolExecutor(1) as pool:
            return await asyncio.gather(*(ask(*pair, pool) for pair in zip(clients, tickets, strict=True)))

    assert asyncio.run(serve()) == [REFERENCE[:12]] * 6
    assert batcher.sizes[6] >= 1
    assert batcher.sizes.total() < 6 * 12 / 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_order_of_posts_passes_and_visits_gives_what_each_half_gives_alone(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    batcher = Batcher(data.draw(st.integers(1, 4)))
    clients = [client(batcher, prompt=[1 + i, 2]) for i in range(count)]
    halves = [CloudHalf(TARGET, CODEC, Matching(Greedy())) for _ in range(count)]
    for index, half in enumerate(halves):
        half.open(CODEC.encode_prompt([1 + index, 2]))
    posted: list[tuple[int, Ticket, list[bytes]]] = []
    expected: list[tuple[list[bytes], str | None]] = []
    for _ in range(data.draw(st.integers(1, 12))):
        which = data.draw(st.integers(0, count - 1))
        deed = data.draw(st.sampled_from(["block", "block", "stream", "work", "visit"]))
        if deed == "work":
            batcher.work()
        elif deed == "visit":
            for whose, ticket, fetched in posted:
                if whose == which and ticket.unread:
                    fetched.append(clients[whose].take(ticket) or b"")
        else:
            draft = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=4)) if deed == "block" else []
            number = halves[which]._expected + data.draw(st.sampled_from([0, 0, 0, -1, 1]))
            chained = bool(draft) and data.draw(st.booleans())
            payload = block(number, draft, 0 if draft else data.draw(st.integers(0, 4)), chained=chained)
            posted.append((which, clients[which].post(payload), []))
            expected.append(outcome(halves[which].answer(payload)))
    for (which, ticket, fetched), (answers, problem) in zip(posted, expected, strict=True):
        rest, found = outcome(visits(clients[which], ticket))
        assert (fetched + rest, found) == (answers, problem)
    for shared, half in zip(clients, halves, strict=True):
        assert shared.margins == half.margins
        assert shared._half.session.tokens == half.session.tokens


def visits(half: BatchedHalf, ticket: Ticket) -> Iterator[bytes]:
    while (payload := half.take(ticket)) is not None:
        yield payload


def outcome(answers: Iterator[bytes]) -> tuple[list[bytes], str | None]:
    """What comes, and how it ends."""
    found: list[bytes] = []
    try:
        found.extend(answers)
    except SpeculativeError as error:
        return found, str(error)
    return found, None


def test_one_client_out_of_context_is_its_own_affair() -> None:
    batcher = Batcher()
    short = ToyStepper(context=6)
    clients = [client(batcher), client(batcher, short), client(batcher), client(batcher)]
    tickets = [half.post(block(0, REFERENCE[:5])) for half in clients]
    for index in (0, 2, 3):
        assert verdict(clients[index].take(tickets[index])) == Verdict(5, REFERENCE[5])
    with pytest.raises(StepError, match="the context is 6"):
        clients[1].take(tickets[1])
    # A shorter block fits, and the others have lost nothing.
    again = [half.post(block(number, tokens)) for half, number, tokens in (
        (clients[1], 0, REFERENCE[:2]), (clients[0], 1, REFERENCE[6:8])
    )]  # fmt: skip
    assert verdict(clients[1].take(again[0])) == Verdict(2, REFERENCE[2])
    assert verdict(clients[0].take(again[1])) == Verdict(2, REFERENCE[8])
    assert batcher.sizes == {1: 1, 2: 2}


def test_one_clients_broken_verifier_is_its_own_affair() -> None:
    class Broken:
        def verify(self, draft: Draft, logits: torch.Tensor, first: int) -> Verdict:
            raise ZeroDivisionError("0/0")

    batcher = Batcher()
    clients = [client(batcher), BatchedHalf(CloudHalf(TARGET, CODEC, Broken()), batcher), client(batcher)]
    clients[1].open(CODEC.encode_prompt(PROMPT))
    tickets = [half.post(block(0, REFERENCE[:2])) for half in clients]
    assert verdict(clients[0].take(tickets[0])) == verdict(clients[2].take(tickets[2])) == Verdict(2, REFERENCE[2])
    with pytest.raises(ZeroDivisionError, match="0/0"):
        clients[1].take(tickets[1])


def test_one_clients_bad_message_is_its_own_affair() -> None:
    batcher = Batcher()
    clients = [client(batcher) for _ in range(3)]
    tickets = [clients[0].post(b"\xff"), clients[1].post(block(0, REFERENCE[:2])), clients[2].post(block(5, [1]))]
    assert verdict(clients[1].take(tickets[1])).accepted == 2
    for index, complaint in ((0, "a block of protocol 'ids'"), (2, "block 5 came where block 0 was expected")):
        for _ in range(2):  # however often one asks
            with pytest.raises(ProtocolError, match=complaint):
                clients[index].take(tickets[index])
    assert batcher.sizes == {1: 1}
    assert [verdict(payload).accepted for payload in clients[2].answer(block(0, REFERENCE[:1]))] == [1]


def test_a_stream_that_fails_half_way_gives_what_it_had() -> None:
    batcher = Batcher()
    half = client(batcher, ToyStepper(context=6))
    answers, tokens = half.answer(block(0, wanted=9)), list[int]()
    with pytest.raises(StepError, match="the context is 6"):
        tokens.extend(verdict(payload).token or 0 for payload in answers)
    assert tokens == REFERENCE[: len(tokens)] and len(tokens) >= 3


def test_a_model_that_fails_for_all_fails_each_of_them() -> None:
    def fail(sessions: Sequence[Session], tokens: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        raise StepError("the model is closed")

    batcher = Batcher(step=fail)
    clients = [client(batcher) for _ in range(3)]
    tickets = [half.post(block(0, [1])) for half in clients]
    for half, ticket in zip(clients, tickets, strict=True):
        with pytest.raises(StepError, match="the model is closed"):
            half.take(ticket)


def test_an_interrupt_is_the_workers_and_loses_nobodys_turn() -> None:
    interrupts: list[type[BaseException]] = [KeyboardInterrupt]

    def step(sessions: Sequence[Session], tokens: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        if interrupts:
            raise interrupts.pop()
        return step_together(sessions, tokens)

    batcher = Batcher(step=step)
    clients = [client(batcher) for _ in range(2)]
    tickets = [half.post(block(0, REFERENCE[:2])) for half in clients]
    with pytest.raises(KeyboardInterrupt):
        clients[0].take(tickets[0])
    assert [verdict(half.take(ticket)).accepted for half, ticket in zip(clients, tickets, strict=True)] == [2, 2]


def test_a_block_that_comes_twice_is_answered_the_same_twice() -> None:
    batcher = Batcher()
    half = client(batcher)
    tickets = [half.post(block(0, REFERENCE[:2])) for _ in range(3)]
    found = [list(visits(half, ticket)) for ticket in tickets]
    assert found[0] == found[1] == found[2] and len(found[0]) == 1
    assert batcher.sizes == {1: 1}


def test_chained_blocks_behind_a_rejection_are_void() -> None:
    batcher = Batcher()
    half = client(batcher)
    wrong = (REFERENCE[1] + 1) % 8
    tickets = [
        half.post(block(0, [REFERENCE[0], wrong], bonus=False)),
        half.post(block(1, REFERENCE[2:4], bonus=False, chained=True)),
        half.post(block(1, REFERENCE[2:4])),
    ]
    assert [len(list(visits(half, ticket))) for ticket in tickets] == [1, 0, 1]
    assert half.margins and len(half.margins) == 2


def test_a_stream_that_nobody_reads_is_not_computed_far_ahead() -> None:
    batcher = Batcher()
    idle, reader = client(batcher), client(batcher)
    ignored = idle.post(block(0, wanted=30))
    assert len(list(reader.answer(block(0, wanted=30)))) == 30
    assert ignored.unread == 2
    # Another block of the same client is not kept waiting by it.
    late = idle.post(block(30, REFERENCE[30:32]))
    assert verdict(idle.take(late)).accepted == 2
    assert [verdict(payload).token for payload in visits(idle, ignored)] == REFERENCE[:30]


def test_an_abandoned_stream_is_not_computed_on() -> None:
    batcher = Batcher()
    half = client(batcher)
    answers = half.answer(block(0, wanted=30))
    assert [verdict(next(answers)).token for _ in range(3)] == REFERENCE[:3]
    answers.close()  # type: ignore[attr-defined]
    assert verdict(next(half.answer(block(3, REFERENCE[3:5])))).accepted == 2
    assert batcher.sizes.total() == 4
    never = half.post(block(4, REFERENCE[6:8]))
    half.cancel(never)
    assert half.take(never) is None
    batcher.work()
    assert batcher.sizes.total() == 4


def test_cancelled_in_the_middle_of_a_pass_the_session_stays_whole() -> None:
    tickets: list[Ticket] = []

    def cancelling(sessions: Sequence[Session], tokens: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        while tickets:
            half.cancel(tickets.pop())
        return step_together(sessions, tokens)

    batcher = Batcher(step=cancelling)
    half = client(batcher)
    ticket = half.post(block(0, wanted=5))
    tickets.append(ticket)
    assert batcher.work()
    assert not batcher.work()
    assert verdict(half.take(ticket)).token == REFERENCE[0]
    assert half.take(ticket) is None
    assert verdict(next(half.answer(block(1, REFERENCE[1:3])))) == Verdict(2, REFERENCE[3])


def test_who_leaves_is_served_no_more_and_the_others_are() -> None:
    batcher = Batcher()
    gone, here = client(batcher), client(batcher)
    tickets = [gone.post(block(0, [1])), gone.post(block(1, [2])), here.post(block(0, REFERENCE[:2]))]
    gone.close()
    assert [gone.take(ticket) for ticket in tickets[:2]] == [None, None]
    assert verdict(here.take(tickets[2])).accepted == 2
    assert batcher.sizes == {1: 1}
    with pytest.raises(StepError, match="is closed; open another one"):
        next(gone.answer(block(0, [1])))


def test_a_block_is_taken_where_it_was_posted() -> None:
    here, elsewhere = client(Batcher()), client(Batcher())
    ticket = here.post(block(0, REFERENCE[:2]))
    with pytest.raises(SpeculativeError, match="nobody works on this block: take it where it was posted"):
        elsewhere.take(ticket)
    assert verdict(here.take(ticket)).accepted == 2


def test_a_batch_has_room_for_one_at_least() -> None:
    with pytest.raises(SpeculativeError, match="max_batch must be at least 1, not 0; 32 is a good start"):
        Batcher(0)


def test_real_models_give_the_targets_tokens_in_shared_passes() -> None:
    target = open_stepper(load_model("transformers", "zoo:cloud"))
    edge = open_stepper(load_model("transformers", "zoo:edge"))
    codec: Ids = make_codec("ids", target.vocabulary)
    prompts = [target.encode([{"role": "user", "content": row.prompt}]) for row in zoo_questions()[:4]]
    batcher = Batcher()
    clouds, edges, waiting = [], [], []
    for prompt in prompts:
        drafter = ModelDrafter(edge, target.vocabulary, end_tokens=target.end_tokens)
        drafter.begin(prompt, make_picker("greedy", SamplingParams(), codec))
        edges.append(EdgeHalf(drafter, codec, make_generator(SamplingParams(seed=0)), 24, target.end_tokens))
        cloud = BatchedHalf(CloudHalf(target, codec, Matching(Greedy()), target.end_tokens, eager=False), batcher)
        cloud.open(codec.encode_prompt(prompt))
        clouds.append(cloud)
    while any(not one.finished for one in edges):
        waiting = [
            (near, far, far.post(codec.encode_block(near.block(4, 1))))
            for near, far in zip(edges, clouds, strict=True)
            if not near.finished
        ]
        for near, far, ticket in waiting:
            payload = far.take(ticket)
            assert payload is not None and near.receive(payload)
    for prompt, near in zip(prompts, edges, strict=True):
        assert near.tokens == greedy(target.open(), prompt, 24, target.end_tokens)
    assert batcher.sizes[4] >= 1 and batcher.sizes.total() <= 24
