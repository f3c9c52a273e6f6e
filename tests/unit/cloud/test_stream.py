"""The client's stream against replies that no worker would send, and its clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ianvs_collab.cloud.client.server import CloudServer
from ianvs_collab.cloud.client.stream import Stream
from ianvs_collab.cloud.client.traffic import Cost, Traffic
from ianvs_collab.cloud.client.watchdog import Watchdog
from ianvs_collab.cloud.errors import CloudError, FrameError, LostError, UnreachableError
from ianvs_collab.cloud.messages.admin import Done, Ping, Problem
from ianvs_collab.cloud.server.compute import ComputeThread
from ianvs_collab.cloud.wire.frame import Frame, decode_frame, encode_frame
from ianvs_collab.cloud.wire.message import encode
from ianvs_collab.modelserver import ModelServerError, ModelTimeoutError, SamplingParams, StepError

WAIT = 20.0


class Echo:
    """Stands for gRPC: answers each request by what `answer` makes of its frame."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.cancelled = False

    def __call__(self, requests: Iterator[bytes], metadata: Any) -> Echo:
        self._requests = requests
        return self

    def __next__(self) -> bytes:
        frame = decode_frame(next(self._requests), 10**6)
        return self._answer(frame)

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    dog = Watchdog()
    yield dog
    dog.close()
    dog.close()


def stream_of(answer: Any, watchdog: Watchdog) -> tuple[Stream, Echo]:
    echo = Echo(answer)
    return Stream(echo, (), Traffic(), watchdog, zstd=False, limit=10**6), echo


def reply(frame: Frame, message: Any = Done(), **changes: Any) -> bytes:  # noqa: B008 - it is frozen
    kind, body = encode(message)
    return encode_frame(Frame(kind, body, **{"nonce": frame.nonce, "sequence": frame.sequence, **changes}))


def test_a_reply_comes_with_its_cost(watchdog: Watchdog) -> None:
    stream, _ = stream_of(lambda frame: reply(frame, compute_us=1500, queued_us=10), watchdog)
    for _ in range(3):
        found, cost = stream.ask(Ping(), 5)
        assert found == Done()
        assert (cost.compute_s, cost.queued_s) == (0.0015, 0.00001)
        assert (cost.sent_bytes, cost.received_bytes) == (18 + 5 + 1, 18 + 5 + 1)
    assert Cost(1.0, 2.0, 0.5, 1, 1).network_s == 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda frame: reply(frame, nonce=b"otherone"),
        lambda frame: reply(frame, sequence=frame.sequence + 1),
        lambda frame: reply(frame)[:-2],
        lambda frame: reply(frame) + b"more",
        lambda frame: b"",
    ],
    ids=["nonce", "sequence", "cut off", "too long", "empty"],
)
def test_a_reply_that_is_none_ends_the_stream(watchdog: Watchdog, wrong: Any) -> None:
    stream, echo = stream_of(wrong, watchdog)
    with pytest.raises(FrameError):
        stream.ask(Ping(), 5)
    assert stream.broken
    assert echo.cancelled
    with pytest.raises(LostError, match="the stream is broken"):
        stream.ask(Ping(), 5)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("step", StepError),
        ("limit", StepError),
        ("deadline", ModelTimeoutError),
        ("model", ModelServerError),
        ("request", CloudError),
        ("internal", CloudError),
        ("unheard of", CloudError),
    ],
)
def test_a_problem_is_an_error_and_the_stream_goes_on(
    watchdog: Watchdog, code: str, kind: type[ModelServerError]
) -> None:
    stream, echo = stream_of(lambda frame: reply(frame, Problem(code, "what it is")), watchdog)
    for _ in range(2):
        with pytest.raises(kind, match="what it is"):
            stream.ask(Ping(), 5)
    assert not stream.broken
    assert not echo.cancelled


def test_a_worker_that_ends_the_stream(watchdog: Watchdog) -> None:
    def end(frame: Frame) -> bytes:
        raise StopIteration

    stream, _ = stream_of(end, watchdog)
    with pytest.raises(LostError, match="the worker ended the stream"):
        stream.ask(Ping(), 5)


def test_replies_that_nobody_wants_any_more_end_the_stream(watchdog: Watchdog) -> None:
    stream, echo = stream_of(lambda frame: reply(frame, more=True), watchdog)
    replies = stream.replies(Ping(), 5)
    next(replies)
    replies.close()
    assert stream.broken
    assert echo.cancelled


def test_an_alarm_rings_in_time_and_only_then(watchdog: Watchdog) -> None:
    rung: list[str] = []
    done = threading.Event()
    with watchdog.watch(WAIT, lambda: rung.append("late")):
        with watchdog.watch(0.01, lambda: (rung.append("soon"), done.set())) as alarm:
            assert done.wait(WAIT)
        with watchdog.watch(0.01, lambda: rung.append("never")) as off:
            off.call_off()
            with watchdog.watch(0.02, done.clear):
                end = time.monotonic() + WAIT
                while done.is_set():
                    assert time.monotonic() < end
                    time.sleep(0.001)
    assert rung == ["soon"]
    assert (alarm.rang, off.rang) == (True, False)


def test_a_connection_that_breaks_in_a_completion(connect: Any, worker: Any) -> None:
    server = connect(worker.address)
    streams: list[Stream] = []
    make = server._client.stream

    def remembered() -> Stream:
        streams.append(make())
        return streams[-1]

    def broken(after: int) -> Any:
        receive, count = Stream._receive, [0]

        def next_reply(stream: Stream) -> Any:
            count[0] += 1
            if count[0] == after:
                raise LostError("cut")
            return receive(stream)

        return next_reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server._client, "stream", remembered)
        patch.setattr(Stream, "_receive", broken(3))
        with pytest.raises(UnreachableError, match="the connection broke after 2 tokens: cut; ask again"):
            server.generate("One")
        patch.setattr(Stream, "_receive", broken(1))
        assert server.generate("One", SamplingParams(max_tokens=3)).completion_tokens == 3
    assert len(streams) == 3  # before the first token it is tried again
    assert all(stream.broken for stream in streams)
    worker.settles()


def test_a_worker_of_another_version(connect: Any, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = serve()
    about = worker.host.capabilities()
    monkeypatch.setattr(worker.host, "capabilities", lambda: {**about, "protocol": 2})
    with pytest.raises(
        CloudError, match="the worker speaks version 2 of the protocol, this client 1; install the same"
    ):
        connect(worker.address)


def test_a_completion_that_ends_in_something_else(remote: CloudServer, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, _ = stream_of(reply, Watchdog())
    monkeypatch.setattr(Done, "tokens", (), raising=False)
    monkeypatch.setattr(Done, "logprobs", (), raising=False)
    monkeypatch.setattr(remote._client, "stream", lambda: stream)
    with pytest.raises(CloudError, match="the worker's last reply is no completion"):
        remote.generate("One")


def test_a_client_that_breaks_the_protocol_is_told(remote: CloudServer) -> None:
    with remote.stepper().open() as session:
        session.step([1])
        assert session._stream is not None
        session._stream._sequence = 9
        with pytest.raises(
            CloudError, match="ended the conversation: request 9 comes too early: request 2 is the next"
        ):
            session.step([2])
        assert session.step([2]).shape[0] == 1
        assert session.recoveries == 1


def test_what_comes_after_the_end_of_the_model_s_thread_is_done_at_once() -> None:
    thread = ComputeThread()
    thread.close()
    done: list[int] = []
    thread.later(lambda: done.append(1))
    assert done == [1]
