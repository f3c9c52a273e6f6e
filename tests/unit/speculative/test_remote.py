"""Speculation at a worker over gRPC, with toy models in this process: same tokens, same bytes, no way to do harm."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ianvs_collab.cloud.client.channel import Access
from ianvs_collab.cloud.client.client import Client
from ianvs_collab.cloud.client.stream import Stream
from ianvs_collab.cloud.client.traffic import Traffic
from ianvs_collab.cloud.client.watchdog import Watchdog
from ianvs_collab.cloud.errors import CloudError, LimitError, LostError, UnreachableError
from ianvs_collab.cloud.handling import load_messages
from ianvs_collab.cloud.messages.admin import Done, Ping, Problem
from ianvs_collab.cloud.messages.steps import Close, Open
from ianvs_collab.cloud.server.host import Host
from ianvs_collab.cloud.server.limits import Limits
from ianvs_collab.cloud.server.security import Security
from ianvs_collab.cloud.server.service import Service
from ianvs_collab.cloud.wire.frame import Frame, decode_frame, encode_frame
from ianvs_collab.cloud.wire.message import encode
from ianvs_collab.link import Deployment, Link, Timeline
from ianvs_collab.link.relay import Relay
from ianvs_collab.modelserver.stepping import StepError
from ianvs_collab.modelserver.types import ModelInfo, ModelServerError, SamplingParams
from ianvs_collab.speculative import (
    CloudLostError,
    ModelDrafter,
    ProtocolError,
    Silent,
    SpeculativeDecoder,
    SpeculativeError,
    make_codec,
)
from ianvs_collab.speculative.protocols import Block
from ianvs_collab.speculative.remote import EXTENSION, RemoteCloud, RemoteTarget, Terms, connect
from ianvs_collab.speculative.remote.messages import Judged, Speculate, Verify, batcher_of
from ianvs_collab.speculative.verification import Draft

from .toys import ToySession, ToyStepper, alone

WAIT = 60.0
CONTEXT = 64
CODEC = make_codec("ids", 8)
PROMPT = [3, 4, 1]
PARAMS = SamplingParams(max_tokens=24, seed=1)


class Target(ToyStepper):
    """A toy that can be told to wait before its next step."""

    def __init__(self) -> None:
        super().__init__(ends=(7,), context=CONTEXT)
        self.go = threading.Event()
        self.go.set()

    def open(self, *, hidden: bool = False) -> ToySession:
        go = self.go

        class Session(ToySession):
            def step(self, tokens: Sequence[int]) -> torch.Tensor:
                assert go.wait(WAIT)
                return super().step(tokens)

        self.opened.append(Session(self.table, self.room))
        return self.opened[-1]


TARGET = Target()


class Server:
    """A model server around a toy."""

    def __init__(self, stepper: ToyStepper) -> None:
        self._stepper = stepper
        self.info = ModelInfo(model="toy", backend="toys")

    def stepper(self) -> ToyStepper:
        return self._stepper

    def generate(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    generate_batch = generate

    def close(self) -> None:
        """Nothing is kept."""


@dataclass
class Worker:
    """A worker that listens."""

    host: Host
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def settles(self, sessions: int = 0) -> None:
        """Wait until it has as many sessions."""
        end = time.monotonic() + WAIT
        while self.host.census.open != sessions:
            assert time.monotonic() < end, f"{self.host.census.open} sessions are open, not {sessions}"
            time.sleep(0.002)


Serve = Callable[..., Worker]


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Starts workers on a loop of their own: `serve(Limits(sessions=2))`."""
    load_messages((EXTENSION,))
    loop, services = asyncio.new_event_loop(), list[Service]()
    thread = threading.Thread(target=loop.run_forever, name="workers of the tests")
    thread.start()

    def start(limits: Limits | None = None, slowdown: float = 1.0) -> Worker:
        host = Host(Server(TARGET), limits or Limits(), slowdown)  # type: ignore[arg-type]
        services.append(Service(host, Security()))
        return Worker(host, asyncio.run_coroutine_threadsafe(services[-1].start("127.0.0.1", 0), loop).result(WAIT))

    yield start
    for service in services:
        asyncio.run_coroutine_threadsafe(service.stop(), loop).result(WAIT)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(WAIT)
    loop.close()


@pytest.fixture(scope="module")
def worker(serve: Serve) -> Worker:
    return serve()


@pytest.fixture(scope="module")
def target(worker: Worker) -> Iterator[RemoteTarget]:
    made = connect(worker.address, timeout=WAIT)
    yield made
    made.close()


def params_for(mode: str, seed: int, max_tokens: int = 24) -> SamplingParams:
    return SamplingParams(temperature=0.0 if mode == "greedy" else 0.9, top_k=6, seed=seed, max_tokens=max_tokens)


def near() -> ModelDrafter:
    return ModelDrafter(TARGET.blurred(0.3), 8, end_tokens=TARGET.end_tokens)


@pytest.mark.parametrize("pipelining", ["synchronous", "pre-draft", "asynchronous", "branches"])
@pytest.mark.parametrize("mode", ["greedy", "gumbel", "sample-match"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**63), st.tuples(st.integers(0, 5), st.integers(1, 30)))
def test_the_output_is_the_targets_own(
    target: RemoteTarget, mode: str, pipelining: str, seed: int, lengths: tuple[int, int]
) -> None:
    length, max_tokens = lengths
    params = params_for(mode, seed, max_tokens)
    decoder = SpeculativeDecoder(target, near(), mode=mode, draft_length=length, pipelining=pipelining, stream=3)
    expected = alone(TARGET, mode, PROMPT, params)
    decoding = decoder.decode_tokens(PROMPT, params)
    assert decoding.tokens == expected
    assert decoding.lossless_tokens == len(expected) == decoding.tally.committed + decoding.tally.streamed
    assert decoding.margins == []  # they stay at the cloud
    assert decoding.timeline.deployment.tier == "real"


@pytest.mark.parametrize("protocol", ["quantised-q", "dssd", "full-q"])
def test_rejection_draws_what_it_would_draw_in_one_process(target: RemoteTarget, protocol: str) -> None:
    for seed in range(5):
        options: dict[str, Any] = {"mode": "rejection", "protocol": protocol, "draft_length": 3}
        if protocol == "quantised-q":
            options["settings"] = {"top": 3, "bits": 5}
        params = params_for("rejection", seed)
        here, there = (SpeculativeDecoder(each, near(), **options) for each in (TARGET, target))
        assert there.decode_tokens(PROMPT, params).tokens == here.decode_tokens(PROMPT, params).tokens


def test_bytes_are_those_on_the_stream_and_times_the_workers(target: RemoteTarget, worker: Worker) -> None:
    worker.settles()
    before = target.traffic.sent_bytes, target.traffic.received_bytes
    decoding = SpeculativeDecoder(target, near(), draft_length=3).decode("341", PARAMS)
    sent, received = target.traffic.sent_bytes - before[0], target.traffic.received_bytes - before[1]
    meter, timeline = decoding.meter, decoding.timeline
    encoding = 100  # the prompt as a text, and its tokens
    assert meter.wire_uplink_bytes == timeline.nbytes("uplink")
    assert 0 < sent - meter.wire_uplink_bytes < encoding
    assert meter.prompt_bytes + meter.uplink_bytes < meter.wire_uplink_bytes
    assert meter.downlink_bytes < meter.wire_downlink_bytes == timeline.nbytes("downlink") < received
    assert meter.link_bytes is None
    assert len(meter.verify_s) == decoding.tally.blocks + decoding.tally.streamed
    assert min(meter.verify_s) > 0
    assert timeline.busy_seconds("cloud") + timeline.busy_seconds("edge") < timeline.now
    worker.settles()


def test_a_remote_target_is_a_stepper_too(target: RemoteTarget) -> None:
    assert (target.vocabulary, target.context, target.layers, target.end_tokens) == (8, CONTEXT, 1, {7})
    assert target.encode("123") == [1, 2, 3]
    assert target.decode([1, 2]) == "12"
    with target.open() as session:
        torch.testing.assert_close(session.prefill([1, 2]), TARGET.table[1, 2])


def test_bytes_on_the_link_are_the_relays(worker: Worker) -> None:
    place = ("127.0.0.1", worker.port)
    where = Deployment(name="lab", tier="relay", link=Link(rtt_ms=4))
    with Relay(where, place, check=False, realtime=False) as relay:
        target = connect(f"{relay.host}:{relay.port}", timeout=WAIT, relay=relay)
        decoding = SpeculativeDecoder(target, near()).decode_tokens(PROMPT, PARAMS, Timeline(where))
        target.close()
    assert decoding.meter.link_bytes is not None
    up, down = decoding.meter.link_bytes
    assert up > decoding.meter.wire_uplink_bytes  # HTTP/2 has its own bytes
    assert down > decoding.meter.wire_downlink_bytes
    rounds = decoding.tally.blocks + decoding.tally.streamed
    assert decoding.timeline.now >= 0.004 * rounds


def test_several_queries_at_once(worker: Worker) -> None:
    answers: dict[int, list[int]] = {}
    target = connect(worker.address, timeout=WAIT)

    def decode(seed: int) -> None:
        decoder = SpeculativeDecoder(target, near(), mode="gumbel", pipelining="asynchronous", draft_length=2)
        answers[seed] = decoder.decode_tokens(PROMPT, params_for("gumbel", seed)).tokens

    threads = [threading.Thread(target=decode, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert answers == {seed: alone(TARGET, "gumbel", PROMPT, params_for("gumbel", seed)) for seed in range(6)}
    target.close()
    worker.settles()


TERMS = Terms.of("greedy", "ids", {}, PARAMS, eager=True).model_dump()
BEGIN = CODEC.encode_prompt(PROMPT)
BLOCK = CODEC.encode_block(Block(0, Draft([1, 2])))


def terms(**changes: Any) -> dict[str, Any]:
    return {**TERMS, **changes}


@pytest.fixture
def raw(worker: Worker) -> Iterator[Stream]:
    client = Client(Access(worker.address), timeout=WAIT, connect_timeout=WAIT, recovery_timeout=0, zstd=False)
    stream = client.stream()
    yield stream
    stream.close()
    client.close()


@pytest.mark.parametrize(
    ("given_", "kind", "reason"),
    [
        (terms(mode="greddy"), CloudError, "no mode 'greddy'"),
        (terms(protocol="telepathy"), CloudError, "no protocol 'telepathy'"),
        (terms(settings={"top": 2}), CloudError, "protocol 'ids' has no such setting"),
        (terms(settings={"top": "2"}), CloudError, "settings.top: Input should be a valid integer"),
        (terms(protocol="quantised-q", settings={"top": 0}), CloudError, "needs top >= 1"),
        (terms(temperature=0.5), CloudError, "use mode greedy with temperature 0"),
        (terms(temperature="hot"), CloudError, "temperature: Input should be a valid number"),
        (terms(top_p=0), CloudError, "top_p: Input should be greater than 0"),
        (terms(top_k=-1), CloudError, "top_k: Input should be greater than or equal to 0"),
        (terms(seed=None), CloudError, "seed: Input should be a valid integer"),
        (terms(seed=2**70), CloudError, "seed: Input should be less than"),
        (terms(max_tokens=0), CloudError, "max_tokens: Input should be greater than or equal to 1"),
        (terms(max_tokens=True), CloudError, "max_tokens: Input should be a valid integer"),
        (terms(colour="red"), CloudError, "colour: Extra inputs are not permitted"),
        ([], CloudError, "the terms of a query are wrong"),
        (terms(max_tokens=CONTEXT - 2), StepError, "need 65 tokens, but the target has a context of 64"),
    ],
)
def test_terms_that_cannot_be_are_refused(raw: Stream, given_: Any, kind: type[ModelServerError], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        raw.ask(Speculate(0, given_, BEGIN), WAIT)
    assert raw.ask(Speculate(0, TERMS, BEGIN), WAIT)[0] == Done()  # the number is free, the stream goes on


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (b"", "a prompt"),
        (b"\x00", "the prompt is empty"),
        (b"\x02\x01", "a prompt"),
        (b"\x01\x09", "token 0"),
        (b"\x01\x01\x01", "a prompt"),
    ],
)
def test_a_prompt_that_is_none_is_refused(raw: Stream, worker: Worker, prompt: bytes, reason: str) -> None:
    with pytest.raises(CloudError, match=reason) as refused:
        raw.ask(Speculate(0, TERMS, prompt), WAIT)
    assert "failed" not in str(refused.value)
    worker.settles()
    with pytest.raises(StepError, match="closed"):
        TARGET.opened[-1].step([1])


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"", "a block"),
        (BLOCK[:-1], "a block"),
        (BLOCK + b"\x00", "a block"),
        (CODEC.encode_block(Block(5, Draft([1]))), "block 5 came where block 0 was expected"),
        (CODEC.encode_block(Block(0, Draft([1]), head=2)), "block 0 has a head"),
        (make_codec("ids", 200).encode_block(Block(0, Draft([100]))), "token 0"),
    ],
)
def test_a_block_that_is_none_is_refused(raw: Stream, block: bytes, reason: str) -> None:
    raw.ask(Speculate(0, TERMS, BEGIN), WAIT)
    with pytest.raises(CloudError, match=reason) as refused:
        raw.ask(Verify(0, block), WAIT)
    assert "failed" not in str(refused.value)
    assert raw.ask(Verify(0, BLOCK), WAIT)[0].verdict


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=12), st.sampled_from(["ids", "dssd", "quantised-q", "full-q"]), st.booleans())
def test_no_bytes_do_harm(worker: Worker, data: bytes, protocol: str, as_prompt: bool) -> None:
    client = Client(Access(worker.address), timeout=WAIT, connect_timeout=WAIT, recovery_timeout=0, zstd=False)
    stream = client.stream()
    rejecting = protocol != "ids"
    chosen = terms(protocol=protocol, mode="rejection", temperature=1.0) if rejecting else TERMS
    try:
        if not as_prompt:
            stream.ask(Speculate(0, chosen, BEGIN), WAIT)
        for reply, _ in stream.replies(Speculate(0, chosen, data) if as_prompt else Verify(0, data), WAIT):
            assert isinstance(reply, Done | Judged)
    except ModelServerError as error:
        assert "the worker failed" not in str(error)
    finally:
        stream.close()
        client.close()


def test_only_a_session_that_was_begun_for_it_verifies(raw: Stream, worker: Worker) -> None:
    with pytest.raises(CloudError, match="this stream has no session 0"):
        raw.ask(Verify(0, BLOCK), WAIT)
    raw.ask(Open(0, False), WAIT)
    with pytest.raises(CloudError, match="session 0 verifies no drafts; begin one that does by `Speculate`"):
        raw.ask(Verify(0, BLOCK), WAIT)
    with pytest.raises(CloudError, match="has a session 0 already"):
        raw.ask(Speculate(0, TERMS, BEGIN), WAIT)
    raw.ask(Speculate(1, TERMS, BEGIN), WAIT)
    worker.settles(2)
    raw.ask(Close(1), WAIT)
    worker.settles(1)


def test_a_stream_of_tokens_ends_with_an_empty_verdict(raw: Stream) -> None:
    raw.ask(Speculate(0, terms(eager=False), BEGIN), WAIT)
    ask = CODEC.encode_block(Block(0, Draft([]), wanted=50))
    replies = [reply.verdict for reply, _ in raw.replies(Verify(0, ask), WAIT)]
    tokens = [CODEC.decode_verdict(verdict)[1].token for verdict in replies[:-1]]
    assert tokens == alone(TARGET, "greedy", PROMPT, SamplingParams(max_tokens=50))
    assert replies[-1] == b""
    assert tokens[-1] == 7


def test_posted_blocks_are_answered_in_order_and_void_ones_too(raw: Stream) -> None:
    requests = [Speculate(0, TERMS, BEGIN)]
    for number in range(3):  # nothing of them stands, so the chained ones are void
        wrong = (alone(TARGET, "greedy", PROMPT, SamplingParams(max_tokens=1))[0] + 1) % 7
        block = Block(number, Draft([wrong]), bonus=False, chained=number > 0)
        requests.append(Verify(0, CODEC.encode_block(block)))
    numbers = [raw.post(request)[0] for request in requests]
    replies = [raw.next_reply() for _ in requests]
    assert [reply.sequence for reply in replies] == numbers == [0, 1, 2, 3]
    assert replies[0].message == Done()
    assert [bool(reply.message.verdict) for reply in replies[1:]] == [True, False, False]


@contextmanager
def busy(worker: Worker) -> Iterator[None]:
    """Keeps a worker's model busy."""
    begun, over = threading.Event(), threading.Event()
    worker.host.thread.later(lambda: (begun.set(), over.wait(WAIT)))
    assert begun.wait(WAIT)
    try:
        yield
    finally:
        over.set()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def streams(worker: Worker) -> Iterator[Callable[[Worker, int], list[Stream]]]:
    """Begins queries on as many streams: `streams(worker, 3)`."""
    opened: list[Stream | Client] = []

    def begin(worker: Worker, count: int) -> list[Stream]:
        client = Client(Access(worker.address), timeout=WAIT, connect_timeout=WAIT, recovery_timeout=0, zstd=False)
        found = [client.stream() for _ in range(count)]
        opened.extend([*found, client])
        for stream in found:
            stream.ask(Speculate(0, TERMS, BEGIN), WAIT)
        return found

    yield begin
    for each in opened:
        each.close()


def test_blocks_that_wait_for_the_model_are_verified_together(
    serve: Serve, streams: Callable[[Worker, int], list[Stream]]
) -> None:
    worker = serve()
    batcher, asked = batcher_of(worker.host), streams(worker, 3)
    with busy(worker):
        for stream in asked:
            stream.post(Verify(0, BLOCK))
        until(lambda: len(batcher._waiting) == 3)
    assert len({stream.next_reply().message.verdict for stream in asked}) == 1
    assert batcher.sizes == {3: 1}


def test_a_client_that_leaves_is_left_out(serve: Serve, streams: Callable[[Worker, int], list[Stream]]) -> None:
    worker = serve()
    batcher, (first, second) = batcher_of(worker.host), streams(worker, 2)
    with busy(worker):
        first.post(Verify(0, BLOCK))
        until(lambda: len(batcher._waiting) == 1)
        there, (lane,) = worker.host.streams, batcher._waiting
        first.close()
        until(lambda: worker.host.streams < there)
        assert lane._tickets[0].over  # nothing is computed for it
        second.post(Verify(0, BLOCK))
        until(lambda: len(batcher._waiting) == 2)
    assert second.next_reply().message.verdict
    assert batcher.sizes == {1: 1}
    worker.settles(1)


def test_limits_of_the_worker_hold(serve: Serve) -> None:
    worker = serve(Limits(sessions=1, prompt_tokens=4))
    target = connect(worker.address, timeout=WAIT)
    decoder = SpeculativeDecoder(target, near())
    first = target.begin(Terms.of("greedy", "ids", {}, PARAMS, eager=True))
    first.open(BEGIN)
    worker.settles(1)
    with pytest.raises(LimitError, match="1 sessions open, as many as are allowed"):
        decoder.decode_tokens(PROMPT, PARAMS)
    first.close()
    worker.settles()
    with pytest.raises(LimitError, match="a prompt may have 4 tokens, not 5"):
        decoder.decode_tokens([1, 2, 3, 4, 5], PARAMS)
    worker.settles()
    assert decoder.decode_tokens(PROMPT, PARAMS).tokens == alone(TARGET, "greedy", PROMPT, PARAMS)
    target.close()


class Watched(ModelDrafter):
    """Tells when the second block is drafted."""

    def __init__(self, deed: Callable[[], object]) -> None:
        super().__init__(TARGET.blurred(0.3), 8, end_tokens=TARGET.end_tokens)
        self._deed, self._blocks = deed, 0

    def draft(self, count: int) -> Draft:
        self._blocks += 1
        if self._blocks == 2:
            self._deed()
        return super().draft(count)


@pytest.mark.parametrize("when_cut", ["error", "edge"])
def test_a_verdict_that_does_not_come_in_time(worker: Worker, when_cut: str) -> None:
    target = connect(worker.address, timeout=0.2)
    decoder = SpeculativeDecoder(target, Watched(TARGET.go.clear), draft_length=2, when_cut=when_cut)
    expected = alone(TARGET, "greedy", PROMPT, PARAMS)
    try:
        if when_cut == "edge":
            decoding = decoder.decode_tokens(PROMPT, PARAMS)
            own, tally = decoding.tokens[: decoding.lossless_tokens], decoding.tally
            assert tally.alone == len(decoding.tokens) - len(own) > 0
        else:
            with pytest.raises(CloudLostError, match="no verdict came within 0.2 s") as lost:
                decoder.decode_tokens(PROMPT, PARAMS)
            own = lost.value.tokens
    finally:
        TARGET.go.set()
    assert 0 < len(own) < len(expected)
    assert own == expected[: len(own)]
    worker.settles()
    target.close()


def test_a_block_behind_a_stream_does_not_hurry_the_stream(raw: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or other clients would not get their turns before all of it is computed."""
    steps, step = [0], ToySession.step

    def counted(session: ToySession, tokens: Sequence[int]) -> torch.Tensor:
        steps[0] += 1
        time.sleep(0.02)
        return step(session, tokens)

    monkeypatch.setattr(ToySession, "step", counted)
    count = 24
    raw.post(Speculate(0, terms(), CODEC.encode_prompt([3])))
    raw.post(Verify(0, CODEC.encode_block(Block(0, Draft([]), wanted=count))))
    raw.post(Verify(0, CODEC.encode_block(Block(count, Draft([1, 2])))))
    assert raw.next_reply().message == Done()
    seen = [(raw.next_reply().message.verdict, steps[0]) for _ in range(count)]
    assert all(done <= place + 6 for place, (_, done) in enumerate(seen)), seen
    assert raw.next_reply().message == Judged(b"")  # the stream's end
    assert CODEC.decode_verdict(raw.next_reply().message.verdict)[0] == count


def test_a_long_prompt_is_refused_before_it_is_read(raw: Stream) -> None:
    raw.post(Speculate(0, terms(), bytes([0xFF, 0xFF, 0x7F]) + b"\x09" * 100))  # two million tokens, none of them real
    with pytest.raises(LimitError, match="tokens, not 2097151; shorten it"):
        raw.next_reply()


def test_a_prompt_is_read_in_parts(serve: Serve) -> None:
    worker, text = serve(Limits(chunk=2)), [1, 2, 3, 4, 5, 6]
    expected = alone(TARGET, "greedy", text, PARAMS)
    target = connect(worker.address, timeout=WAIT)
    decoding = SpeculativeDecoder(target, near(), draft_length=2).decode_tokens(text, PARAMS)
    assert decoding.tokens == expected
    assert TARGET.opened[-1].steps == 3 + decoding.tally.blocks + decoding.tally.streamed
    target.close()


def test_a_worker_out_of_reach_is_lost_before_the_first_token(
    target: RemoteTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise UnreachableError("nobody answers")

    monkeypatch.setattr(target, "encode", fail)
    with pytest.raises(CloudLostError, match="knows the target's tokens, is out of reach: nobody answers") as lost:
        SpeculativeDecoder(target, near(), when_cut="edge").decode("1")
    assert lost.value.tokens == []


def test_a_link_that_is_cut(worker: Worker) -> None:
    place = ("127.0.0.1", worker.port)
    with Relay(Deployment(name="lab"), place, check=False, realtime=False) as relay:
        target = connect(f"{relay.host}:{relay.port}", timeout=0.2)
        drafter = Watched(lambda: relay.cut(WAIT))
        decoder = SpeculativeDecoder(target, drafter, draft_length=2, pipelining="asynchronous", when_cut="edge")
        decoding = decoder.decode_tokens(PROMPT, PARAMS)
        own = decoding.tokens[: decoding.lossless_tokens]
        assert own == alone(TARGET, "greedy", PROMPT, PARAMS)[: len(own)]
        assert decoding.tally.alone == len(decoding.tokens) - len(own) > 0
        assert decoding.timeline.now >= 0.2
    target.close()
    worker.settles()  # it has noticed that the connection is gone


def test_a_worker_that_gives_up_is_lost(serve: Serve) -> None:
    worker = serve(Limits(request_s=0.05))
    target = connect(worker.address, timeout=WAIT)
    with ExitStack() as stack:
        decoder = SpeculativeDecoder(target, Watched(lambda: stack.enter_context(busy(worker))), draft_length=2)
        with pytest.raises(CloudLostError, match="the time allowed for the request is over") as lost:
            decoder.decode_tokens(PROMPT, PARAMS)
    assert lost.value.tokens == alone(TARGET, "greedy", PROMPT, PARAMS)[: len(lost.value.tokens)]
    target.close()


def test_a_deployment_that_does_not_fit_is_refused_before_anything_is_sent(
    target: RemoteTarget, worker: Worker
) -> None:
    decoder = SpeculativeDecoder(target, near())
    with pytest.raises(SpeculativeError, match="of tier virtual"):
        decoder.decode_tokens(PROMPT, PARAMS, Timeline(Deployment(name="home")))
    with pytest.raises(SpeculativeError, match=r"need 65.*context of 64"):
        decoder.decode_tokens(PROMPT, SamplingParams(max_tokens=62))
    worker.settles()


def test_a_worker_that_does_not_verify_is_refused(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    about = worker.host.capabilities()
    monkeypatch.setattr(worker.host, "capabilities", lambda: {**about, "messages": {"2": "Done"}})
    with pytest.raises(CloudError, match=f"start it with `ianvs cloud --extension {EXTENSION}`"):
        connect(worker.address)
    with pytest.raises(CloudError, match="must be above 0"):
        connect(worker.address, timeout=0)
    with pytest.raises(CloudError, match="Target steps a model in this process"):
        RemoteTarget.of(TARGET)


def test_a_worker_that_is_not_there() -> None:
    with pytest.raises(CloudError, match="does not answer"):
        connect("127.0.0.1:1", connect_timeout=0.1)


class Wire:
    """Stands for gRPC: gives the replies that a test puts in, whatever was asked."""

    def __init__(self) -> None:
        self.replies: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.asked = threading.Semaphore(0)

    def __call__(self, requests: Iterator[bytes], metadata: Any) -> Wire:
        self._requests = requests
        return self

    def __next__(self) -> bytes:
        found = self.replies.get(timeout=WAIT)
        if found is StopIteration:
            raise StopIteration
        frame = decode_frame(next(self._requests), 10**6)
        data: bytes = found(frame)
        return data

    def cancel(self) -> None:
        self.replies.put(StopIteration)


def reply(message: Any, **changes: Any) -> Callable[[Frame], bytes]:
    """Answers a frame by a message, with some of the frame's fields changed."""
    kind, body = encode(message)
    return lambda frame: encode_frame(
        Frame(kind, body, **{"nonce": frame.nonce, "sequence": frame.sequence, **changes})
    )


VERDICT = CODEC.encode_verdict(0, make_codec("ids", 8).decode_verdict(b"\x00\x00\x03")[1])
HOSTILE: dict[str, tuple[Any, type[Exception], str]] = {
    "another conversation": (reply(Judged(VERDICT), nonce=b"otherone"), ProtocolError, "mixes them"),
    "another request": (reply(Judged(VERDICT), sequence=9), ProtocolError, "request 1 of .* is the next"),
    "cut off": (lambda frame: reply(Judged(VERDICT))(frame)[:9], ProtocolError, "ends too early"),
    "no such message": (lambda frame: encode_frame(Frame(250, b"", frame.nonce, 1)), ProtocolError, "no message 250"),
    "another message": (reply(Ping()), ProtocolError, "sent Ping where a verdict was expected"),
    "garbled": (reply(Judged(b"\xff\xff\xff")), ProtocolError, "a verdict"),
    "of another block": (reply(Judged(CODEC.encode_verdict(9, CODEC.decode_verdict(VERDICT)[1]))), ProtocolError, "9"),
    "too many accepted": (reply(Judged(b"\x00\x20\x03")), ProtocolError, "accepts 16 tokens"),
    "the end": (StopIteration, CloudLostError, "the worker ended the stream"),
    "a refusal": (reply(Problem("model", "it is ill")), ModelServerError, "it is ill"),
}


def test_bytes_and_times_are_told_verdict_by_verdict() -> None:
    wire, dog = Wire(), Watchdog()
    cloud = RemoteCloud(Stream(wire, (), Traffic(), dog, zstd=False, limit=10**6), Terms.parse(TERMS), WAIT)
    answers = [(0, Done(), 7000, False), (1, Judged(VERDICT), 1000, True), (1, Judged(VERDICT), 3000, True)]
    answers += [(1, Judged(b""), 3000, False), (2, Judged(VERDICT), 500, False)]
    sizes = []
    for sequence, message, micros, more in answers:
        kind, body = encode(message)
        fields = {"sequence": sequence, "compute_us": micros, "more": more}
        sizes.append(len(encode_frame(Frame(kind, body, b"12345678", **fields))) + 5)  # and gRPC's prefix
        wire.replies.put(reply(message, **fields))
    started = time.perf_counter()
    cloud.open(BEGIN)
    for _ in range(len(answers) - 1):
        cloud.post(BLOCK)
    arrivals = [cloud.take() for _ in range(3)]
    assert [arrival.verify_s for arrival in arrivals] == pytest.approx([0.001, 0.002, 0.0005])
    assert [arrival.prefill_s for arrival in arrivals] == [0.007, 0.0, 0.0]
    assert [arrival.nbytes for arrival in arrivals] == [sizes[0] + sizes[1], sizes[2], sizes[3] + sizes[4]]
    assert started < arrivals[0].at <= arrivals[1].at <= arrivals[2].at <= time.perf_counter()
    cloud.close()
    dog.close()


@pytest.mark.parametrize(("answer", "kind", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_reply_that_is_no_verdict_gives_no_token(answer: Any, kind: type[Exception], reason: str) -> None:
    wire, dog = Wire(), Watchdog()
    wire.replies.put(reply(Done()))
    wire.replies.put(answer)

    class Fake(RemoteTarget):
        def __init__(self) -> None:
            self.vocabulary, self.context, self.end_tokens, self._relay = 8, None, frozenset({7}), None

        def begin(self, terms: Terms) -> RemoteCloud:
            stream = Stream(wire, (), Traffic(), dog, zstd=False, limit=10**6)
            return RemoteCloud(stream, terms, WAIT)

    decoder = SpeculativeDecoder(Fake(), near(), when_cut="error")
    with pytest.raises(kind, match=reason):
        decoder.decode_tokens(PROMPT, PARAMS)
    assert not [thread for thread in threading.enumerate() if thread.name == "verdicts"]
    dog.close()


def test_what_is_sent_after_the_end_tells_why_it_ended() -> None:
    wire, dog = Wire(), Watchdog()
    stream = Stream(wire, (), Traffic(), dog, zstd=False, limit=10**6)
    cloud = RemoteCloud(stream, Terms.parse(TERMS), WAIT)
    wire.replies.put(StopIteration)
    cloud.open(BEGIN)
    with pytest.raises(ConnectionError, match="the worker ended the stream"):
        cloud.take()
    with pytest.raises(ConnectionError, match="the worker ended the stream"):
        cloud.post(BLOCK)
    with pytest.raises(LostError, match="the stream is broken"):
        stream.post(Ping())
    cloud.close()
    cloud.close()
    closed = RemoteCloud(stream, Terms.parse(TERMS), WAIT)
    with pytest.raises(ConnectionError, match="the stream is broken"):
        closed.open(BEGIN)
    dog.close()


def test_silent_decoding_streams_everything_in_one_request(target: RemoteTarget) -> None:
    decoding = SpeculativeDecoder(target, Silent(), draft_length=0).decode_tokens(PROMPT, PARAMS)
    assert decoding.tokens == alone(TARGET, "greedy", PROMPT, PARAMS)
    uplink = [event for event in decoding.timeline.events if event.resource == "uplink"]
    assert len(uplink) == 2
