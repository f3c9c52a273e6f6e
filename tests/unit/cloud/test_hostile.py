"""Messages that come wrong by accident or on purpose: refused with a reason, and the worker goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ianvs_collab.cloud.client.server import CloudServer
from ianvs_collab.cloud.errors import FrameError
from ianvs_collab.cloud.messages.admin import Describe, Done, Ping, Problem, Report, Stats
from ianvs_collab.cloud.messages.answers import Answer
from ianvs_collab.cloud.messages.steps import Close, Fork, Hidden, Open, Scores, Step
from ianvs_collab.cloud.server.limits import Limits
from ianvs_collab.cloud.server.order import Nonces, Order
from ianvs_collab.cloud.wire.frame import Frame, encode_frame
from ianvs_collab.modelserver import ModelTimeoutError

WAIT = 20.0


def step(tokens: tuple[int, ...] = (1, 2), at: int = 0, **fields: Any) -> Step:
    values = {"branch": 0, "whole": True, "form": Answer.ARGMAX, "top": 0, "dtype": 0, **fields}
    return Step(at=at, tokens=tokens, **values)


def test_requests_are_answered_in_order(raw: Any, worker: Any) -> None:
    stream = raw(worker.address)
    stream.say(Ping(), 0)
    stream.say(Open(0, False), 1)
    stream.say(step(), 2)
    replies = [stream.receive() for _ in range(3)]
    assert [reply.frame.sequence for reply in replies] == [0, 1, 2]
    assert [type(reply.message) for reply in replies] == [Done, Done, Scores]
    assert {reply.frame.nonce for reply in replies} == {stream.nonce}
    assert replies[0].frame.compute_us == 0 < replies[2].frame.compute_us


def test_a_message_that_comes_twice(raw: Any, worker: Any) -> None:
    stream = raw(worker.address)
    stream.say(Open(0, False), 0)
    stream.receive()
    worker.settles(1)
    stream.say(step(), 1)
    stream.receive()
    stream.say(step(), 1)
    assert stream.ended() == ("INVALID_ARGUMENT", "request 1 comes twice or late: request 2 is the next one")
    worker.settles()


def test_messages_in_the_wrong_order(raw: Any, worker: Any) -> None:
    stream = raw(worker.address)
    stream.say(Ping(), 1)
    assert stream.ended() == ("INVALID_ARGUMENT", "request 1 comes too early: request 0 is the next one")


def test_a_replayed_conversation(raw: Any, worker: Any) -> None:
    stream, replay = raw(worker.address), raw(worker.address)
    recorded = [stream.say(Ping(), 0), stream.say(Ping(), 1)]
    assert [stream.receive().message, stream.receive().message] == [Done(), Done()]
    for data in recorded:
        replay.send(data)
    code, details = replay.ended()
    assert code == "INVALID_ARGUMENT"
    assert details == "the nonce of this conversation was used before: the message is a replay"


def test_a_message_of_another_conversation(raw: Any, worker: Any) -> None:
    stream = raw(worker.address)
    stream.say(Ping(), 0)
    stream.receive()
    stream.say(Ping(), 1, nonce=b"otherone")
    code, details = stream.ended()
    assert (code, "belongs to another conversation" in details) == ("INVALID_ARGUMENT", True)


def test_old_nonces_are_forgotten() -> None:
    nonces = Nonces(most=2)
    for nonce in (b"a", b"b", b"c", b"a"):
        nonces.admit(nonce)
    with pytest.raises(FrameError, match="replay"):
        nonces.admit(b"c")


@given(order=st.permutations(range(6)))
def test_only_one_order_passes(order: list[int]) -> None:
    check, passed = Order(Nonces()), 0
    try:
        for number in order:
            check.check(Frame(3, b"", b"12345678", number))
            passed += 1
    except FrameError:
        assert order[: passed + 1] != list(range(passed + 1))
    else:
        assert order == list(range(6))


TRUNCATED = encode_frame(Frame(11, b"\x00\x00\x04\x01\x09", b"12345678", 0))
BAD_BYTES = {
    "empty": (b"", "the message ends too early"),
    "head cut off": (TRUNCATED[:9], "the message ends too early: 15 bytes are wanted at 0, 9 left"),
    "tensor cut off": (TRUNCATED, "Step: a tensor of uint16 and shape (9,) has 18 bytes, but 0 are left"),
    "oversized tensor": (
        encode_frame(Frame(11, b"\x00\x00\x05\x01\xff\xff\xff\xff\x07", b"12345678", 0)),
        "Step: a tensor of int32 and shape (2147483647,) has 8589934588 bytes, but 0 are left",
    ),
    "wrong dtype": (
        encode_frame(Frame(11, b"\x00\x00\x01\x01\x01\x00\x00\x80\x3f", b"12345678", 0)),
        "Step: a tensor here is of type uint16 or int32, not float32",
    ),
    "no such message": (encode_frame(Frame(99, b"", b"12345678", 0)), "there is no message 99"),
}


@pytest.mark.parametrize(("data", "complaint"), BAD_BYTES.values(), ids=BAD_BYTES)
def test_bytes_that_are_no_message(raw: Any, worker: Any, data: bytes, complaint: str) -> None:
    worker.host.nonces = Nonces()  # the frames above share one
    stream = raw(worker.address)
    stream.send(data)
    code, details = stream.ended()
    assert code == "INVALID_ARGUMENT"
    assert complaint in details


def test_a_message_longer_than_allowed(serve: Any, raw: Any, connect: Callable[..., CloudServer]) -> None:
    worker = serve(Limits(message_bytes=10_000))
    stream = raw(worker.address)
    stream.send(bytes(20_000))
    assert stream.ended()[0] == "RESOURCE_EXHAUSTED"
    with pytest.raises(Exception, match="refuses this much: .*larger than max"):
        connect(worker.address).generate("a" * 20_000)
    assert connect(worker.address).stats()["sessions"] == 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60), good=st.booleans())
def test_a_worker_survives_arbitrary_bytes(raw: Any, worker: Any, data: bytes, good: bool) -> None:
    stream = raw(worker.address)
    if good:
        stream.say(Open(0, False), 0)
        stream.receive()
        data = encode_frame(Frame(11, data, stream.nonce, 1))
    stream.send(data)
    stream._outgoing.put(None)
    try:
        for _ in range(2):
            assert isinstance(stream.receive().message, Problem | Scores | Done)
    except StopIteration:
        pass
    except Exception as error:
        assert error is stream.call
        assert stream.call.code().name == "INVALID_ARGUMENT"
    stream.close()


@pytest.mark.parametrize(
    ("request_", "code", "complaint"),
    [
        (step(branch=7), "request", "this stream has no session 7; open it first"),
        (Close(7), "request", "this stream has no session 7"),
        (Hidden(7, 0, 0, 0), "request", "this stream has no session 7"),
        (Fork(7, 0, 8), "request", "this stream has no session 7"),
        (Open(0, False), "request", "this stream has a session 0 already"),
        (Fork(0, 0, 0), "request", "this stream has a session 0 already"),
        (step(at=3), "request", "the session has 0 tokens, not 3; something was not sent"),
        (Fork(0, 1, 2), "request", "the session has 0 tokens, not 1"),
        (step(()), "step", "was given no tokens"),
        (step((), whole=False), "step", "was given no tokens"),
        (step((2**20,)), "step", "token 1048576 is not in the vocabulary"),
        (step((-1,)), "step", "token -1 is not in the vocabulary"),
        (step(form=4), "request", "there is no answer of form 4, type 0 and top 0: forms are 0 to 3, types 0 to 2"),
        (step(dtype=3), "request", "there is no answer of form 2, type 3"),
        (step(form=Answer.TOP), "request", "and top 0"),
        (step(form=Answer.TOP, top=2**40), "request", f"and top {2**40}"),
        (Hidden(0, 0, 0, 4), "request", "there is no type 4 for hidden states; 0 to 3 are"),
        (Hidden(0, 0, 0, 0), "step", "keeps no hidden states"),
        (Scores.__new__(Done), "request", "the worker answers no Done; it is sent by the worker only"),
        (Problem("a", "b"), "request", "the worker answers no Problem"),
    ],
)
def test_requests_that_make_no_sense(raw: Any, worker: Any, request_: Any, code: str, complaint: str) -> None:
    stream = raw(worker.address)
    stream.say(Open(0, False), 0)
    stream.say(request_, 1)
    assert stream.receive().message == Done()
    problem = stream.receive().message
    assert problem.code == code
    assert complaint in problem.text
    stream.say(step(), 2)
    assert isinstance(stream.receive().message, Scores)


def test_a_branch_may_be_opened_again_after_it_was_closed(raw: Any, worker: Any) -> None:
    stream = raw(worker.address)
    for number, request in enumerate((Open(3, True), Close(3))):
        stream.say(request, number)
        assert stream.receive().message == Done()
    worker.settles()
    stream.say(Open(3, False), 2)
    assert stream.receive().message == Done()


def test_what_the_worker_says_of_itself(raw: Any, worker: Any) -> None:
    stream = raw(worker.address)
    stream.say(Describe(), 0)
    stream.say(Stats(), 1)
    about, stats = stream.receive().message, stream.receive().message
    assert isinstance(about, Report)
    assert about.content["messages"]["11"] == "Step"
    assert about.content["limits"]["sessions"] == 256
    assert stats.content["streams"] >= 1


class Busy:
    """Keeps a worker's model busy while the body of the `with` runs."""

    def __init__(self, worker: Any) -> None:
        self._host, self._begun, self._over = worker.host, threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self._host.thread.later(lambda: (self._begun.set(), self._over.wait(WAIT)))
        assert self._begun.wait(WAIT)

    def __exit__(self, *_: object) -> None:
        self._over.set()


def test_a_deadline_passes_while_the_model_is_busy(raw: Any, serve: Any) -> None:
    worker = serve()
    stream = raw(worker.address)
    stream.say(Open(0, False), 0)
    stream.receive()
    with Busy(worker):
        stream.say(step(), 1, budget_ms=50)
        reply = stream.receive()
        assert reply.message == Problem(
            "deadline", "the time allowed for the request is over; allow more, or ask for less"
        )
        stream.say(Ping(), 2)
        assert stream.receive().message == Done()  # the worker hears its clients meanwhile
    stream.say(step((5,)), 3)
    assert isinstance(stream.receive().message, Scores)


def test_a_deadline_passes_between_the_parts_of_a_prompt(raw: Any, serve: Any) -> None:
    worker = serve(Limits(chunk=2))
    stream = raw(worker.address)
    stream.say(Open(0, False), 0)
    stream.receive()
    prefill = worker.host.stepper.open().__class__.prefill
    slept: list[int] = []

    def slow(session: Any, tokens: Any) -> Any:
        slept.append(len(tokens))
        time.sleep(0.03)
        return prefill(session, tokens)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker.host.stepper.open().__class__, "prefill", slow)
        stream.say(step((1,) * 100, whole=False), 1, budget_ms=100)
        reply = stream.receive()
    assert reply.message.code == "deadline"
    assert 1 <= len(slept) < 50
    assert reply.frame.compute_us > 25_000
    stream.say(step((5,), at=0), 2)  # the half-done prompt is taken back
    assert isinstance(stream.receive().message, Scores)


def test_a_client_that_leaves_while_its_request_waits(raw: Any, serve: Any) -> None:
    worker = serve()
    stream = raw(worker.address)
    stream.say(Open(0, False), 0)
    stream.receive()
    computed: list[int] = []
    session_class = worker.host.stepper.open().__class__
    step_ = session_class.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_class, "step", lambda session, tokens: (computed.append(1), step_(session, tokens))[1])
        with Busy(worker):
            stream.say(step(), 1)
            end = time.monotonic() + WAIT
            while worker.host.requests < 2:
                assert time.monotonic() < end
                time.sleep(0.01)
            stream.close()
            while worker.host.streams:
                assert time.monotonic() < end
                time.sleep(0.01)
            assert worker.host.census.open == 1  # the model is busy, so it cannot be freed yet
        worker.settles()
    assert not computed


def test_the_deadline_of_grpc_ends_a_stream(serve: Any, raw: Any) -> None:
    worker = serve()
    stream = raw(worker.address, timeout=0.5)
    stream.say(Open(0, False), 0)
    stream.receive()
    assert stream.ended()[0] == "DEADLINE_EXCEEDED"
    worker.settles()


def test_a_silent_client_is_forgotten(serve: Any, raw: Any, connect: Callable[..., CloudServer]) -> None:
    worker = serve(Limits(idle_s=0.2))
    stream = raw(worker.address)
    stream.say(Open(0, False), 0)
    stream.receive()
    assert stream.ended() == ("ABORTED", "nothing was asked for 0.2 s; the sessions are freed")
    worker.settles()
    session = connect(worker.address).stepper().open()
    first = session.step([1, 2])
    end = time.monotonic() + WAIT
    while worker.host.census.open:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert session.step([3]).shape == first[:1].shape  # a silent session comes back when it is needed
    assert session.recoveries == 1


def test_a_client_that_does_not_read_is_hung_up_on(serve: Any, raw: Any) -> None:
    worker = serve(Limits(idle_s=0.3))
    stream = raw(worker.address, timeout=None)
    stream.say(Open(0, False), 0)
    stream.receive()
    for number in range(1, 200):
        stream.say(step((1,) * 32, form=Answer.LOGITS), number)
    worker.settles()
    assert worker.host.requests < 200


def test_a_client_gives_up_by_itself(serve: Any, connect: Callable[..., CloudServer]) -> None:
    worker = serve()
    server = connect(worker.address, timeout=0.2)
    session = server.stepper().open()
    session.step([1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "ianvs_collab.cloud.server.conversation.Conversation._write", lambda *_, **__: threading_wait(worker)
        )
        with pytest.raises(ModelTimeoutError, match=r"did not answer within 0.2 s; allow more \(timeout\)"):
            session.step([2])
    assert session.length == 1
    assert session.step([2]).shape[0] == 1
    assert session.recoveries == 1


async def threading_wait(worker: Any) -> None:
    """A reply that never leaves."""
    import asyncio

    await asyncio.sleep(WAIT)


def test_a_worker_that_stops_says_goodbye(serve: Any, raw: Any) -> None:
    worker = serve()
    waiting, busy = raw(worker.address), raw(worker.address)
    for stream in (waiting, busy):
        stream.say(Open(0, False), 0)
        stream.receive()
    begun = threading.Event()
    worker.host.thread.later(lambda: begun.wait(WAIT))
    busy.say(step(), 1)
    end = time.monotonic() + WAIT
    while worker.host.requests < 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    assert waiting.ended() == ("UNAVAILABLE", "the worker is being stopped")
    threading.Timer(0.3, begun.set).start()  # gRPC drops a reply that nobody waits for when the stream ends
    assert isinstance(busy.receive().message, Scores)  # what it was asked before, it still does
    assert busy.ended() == ("UNAVAILABLE", "the worker is being stopped")
    stopping.join(WAIT)
