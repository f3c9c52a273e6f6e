"""One stream to the worker: requests go out numbered, replies come back in order, each within its time."""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ianvs_collab.cloud.client.traffic import Cost, Traffic
from ianvs_collab.cloud.client.watchdog import Watchdog
from ianvs_collab.cloud.errors import CloudError, FrameError, LimitError, LostError
from ianvs_collab.cloud.messages.admin import Problem
from ianvs_collab.cloud.optional import need
from ianvs_collab.cloud.wire.frame import NONCE_BYTES, Frame, decode_frame, encode_frame
from ianvs_collab.cloud.wire.message import decode, encode
from ianvs_collab.modelserver.stepping.protocol import StepError
from ianvs_collab.modelserver.types import ModelServerError, ModelTimeoutError

GRACE_SECONDS = 1.0  # the worker's own word that the time is over may take as long to arrive
_MENDABLE = ("UNAVAILABLE", "ABORTED", "CANCELLED", "INTERNAL")
_ERRORS: dict[str, type[ModelServerError]] = {
    "step": StepError,
    "limit": LimitError,
    "deadline": ModelTimeoutError,
    "model": ModelServerError,
}


@dataclass(frozen=True)
class Reply:
    """A reply to a request that was posted.

    Attributes:
        message: What it says.
        sequence: Which request it answers, the number that `Stream.post` gave.
        compute_s: Seconds that the model has worked on the request so far, measured by the worker.
        nbytes: Bytes, with gRPC's prefix.
    """

    message: Any
    sequence: int
    compute_s: float
    nbytes: int


class Stream:
    """One stream; used by any thread, one at a time.

    Requests are asked one after the other (`ask`, `replies`), or posted without waiting (`post`) while another thread
    reads what comes back (`next_reply`). On one stream it is either the former or the latter.

    Args:
        call: Function of gRPC that begins a stream on an iterator of bytes.
        metadata: What goes with it.
        traffic: Counts bytes.
        watchdog: Keeps the time.
        zstd: Whether the worker reads and writes compressed messages and this side does.
        limit: Most bytes that a compressed reply may become.

    Attributes:
        broken: Whether it is of no use any more.
        users: Sessions that live on it.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        metadata: tuple[tuple[str, str], ...],
        traffic: Traffic,
        watchdog: Watchdog,
        *,
        zstd: bool,
        limit: int,
    ) -> None:
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._replies = call(iter(self._outgoing.get, None), metadata=metadata)
        self._traffic, self._watchdog, self._zstd, self._limit = traffic, watchdog, zstd, limit
        self._nonce, self._sequence = os.urandom(NONCE_BYTES), 0
        self._due = 0  # the request whose replies come next
        self._lock = threading.Lock()
        self._branches = itertools.count()
        self.broken = False
        self.users = 0

    def leave(self) -> None:
        """One session less lives on it; the last one hangs up."""
        self.users -= 1
        if self.users == 0:
            self.close()

    def next_branch(self) -> int:
        """A number for another session of this stream."""
        return next(self._branches)

    def ask(self, request: Any, seconds: float) -> tuple[Any, Cost]:
        """Send a request and wait for its reply.

        Raises:
            ModelServerError: See `replies`.
        """
        for reply, cost in self.replies(request, seconds):
            last = reply, cost
        return last

    def replies(self, request: Any, seconds: float) -> Iterator[tuple[Any, Cost]]:
        """Send a request and give its replies as they come; the stream is busy until the last one.

        Args:
            request: A message.
            seconds: Time allowed for all of it.

        Raises:
            LostError: If the stream breaks for a reason that a new one may mend.
            ModelTimeoutError: If the time is over.
            StepError: If the session cannot do it.
            CloudError: If the worker refuses it, or what comes back is no reply to it.
        """
        with self._lock:
            if self.broken:
                raise LostError("the stream is broken")
            with self._in_time(seconds):
                started, received, more = time.perf_counter(), 0, True
                sent = self._send(request, seconds)
                while more:
                    frame, size = self._receive()
                    received, more = received + size, frame.more
                    reply = decode(frame.kind, frame.body)
                    if isinstance(reply, Problem):
                        break
                    elapsed = time.perf_counter() - started
                    yield reply, Cost(elapsed, frame.compute_us / 1e6, frame.queued_us / 1e6, sent, received)
            if isinstance(reply, Problem):
                raise _ERRORS.get(reply.code, CloudError)(reply.text)

    def post(self, request: Any) -> tuple[int, int]:
        """Send a request and wait for nothing; the worker takes posted requests in order.

        Returns:
            Number of the request, and its bytes with gRPC's prefix.

        Raises:
            LostError: If the stream is broken.
        """
        if self.broken:
            raise LostError("the stream is broken")
        return self._sequence, self._send(request, None)

    def next_reply(self) -> Reply:
        """Wait for the next reply to a request that was posted; `close` ends the waiting.

        Raises:
            LostError: If the stream breaks for a reason that a new one may mend.
            ModelServerError: As `replies`; a refusal leaves the stream as it is.
        """
        try:
            frame, size = self._receive()
            message = decode(frame.kind, frame.body)
        except need("grpc", "grpcio").RpcError as error:
            self.close()
            raise _explain(error) from error
        except BaseException:
            self.close()
            raise
        if isinstance(message, Problem):
            raise _ERRORS.get(message.code, CloudError)(message.text)
        return Reply(message, frame.sequence, frame.compute_us / 1e6, size)

    def close(self) -> None:
        """Hang up; the worker frees the stream's sessions. Closing twice is harmless."""
        self.broken = True
        self._outgoing.put(None)
        self._replies.cancel()

    @contextmanager
    def _in_time(self, seconds: float) -> Iterator[None]:
        """Keep the time, and give up the stream when something goes wrong: later replies would belong to nobody."""
        with self._watchdog.watch(seconds + GRACE_SECONDS, self._replies.cancel) as alarm:
            try:
                yield
            except need("grpc", "grpcio").RpcError as error:
                self.close()
                if alarm.rang:
                    raise ModelTimeoutError(
                        f"the cloud worker did not answer within {seconds:g} s; allow more (timeout), ask for less, "
                        "or look at the worker and the network"
                    ) from error
                raise _explain(error) from error
            except BaseException:
                self.close()
                raise

    def _send(self, request: Any, seconds: float | None) -> int:
        kind, body = encode(request)
        budget = 0 if seconds is None else max(round(1000 * seconds), 1)
        frame = Frame(kind, body, self._nonce, self._sequence, takes_compressed=self._zstd, budget_ms=budget)
        data = encode_frame(frame, compressed=self._zstd)
        self._sequence += 1
        self._outgoing.put(data)
        return self._traffic.note_sent(data)

    def _receive(self) -> tuple[Frame, int]:
        try:
            data: bytes = next(self._replies)
        except StopIteration as end:
            raise LostError("the worker ended the stream") from end
        size = self._traffic.note_received(data)
        frame = decode_frame(data, self._limit)
        if frame.nonce != self._nonce or frame.sequence != self._due or self._due >= self._sequence:
            raise FrameError(
                f"the worker answered request {frame.sequence} of conversation {frame.nonce.hex()}, but request "
                f"{self._due} of {self._nonce.hex()} is the next to be answered, of {self._sequence} that were asked; "
                "something between here and there mixes them"
            )
        self._due += not frame.more
        return frame, size


def _explain(error: Any) -> CloudError:
    """What a failed stream means."""
    code, details = error.code().name, error.details()
    if "handshake" in str(details).lower():
        return CloudError(
            f"no TLS with the cloud worker: {details}; does the option ca belong to its certificate, and does the "
            "certificate name this address (server_name)?"
        )
    if code in _MENDABLE:
        return LostError(f"{details} ({code})")
    if code == "UNAUTHENTICATED":
        return CloudError(f"the cloud worker refuses this client: {details}; give the worker's token (token_file)")
    if code == "RESOURCE_EXHAUSTED":
        return LimitError(f"the cloud worker refuses this much: {details}")
    return CloudError(f"the cloud worker ended the conversation: {details} ({code})")
