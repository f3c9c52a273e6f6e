"""One query at a worker: the prompt and the blocks go out as they come, a thread hears the verdicts and the time."""

from __future__ import annotations

import queue
import threading
import time

from ianvs_collab.cloud.client.stream import Reply, Stream
from ianvs_collab.cloud.errors import FrameError, LostError
from ianvs_collab.cloud.messages.admin import Done
from ianvs_collab.modelserver.types import ModelTimeoutError
from ianvs_collab.speculative.errors import ProtocolError
from ianvs_collab.speculative.loop.live import Arrival
from ianvs_collab.speculative.remote.messages import Judged, Speculate, Verify
from ianvs_collab.speculative.remote.terms import Terms

_BRANCH = 0  # a query has a stream of its own
_END_SECONDS = 10.0


class RemoteCloud:
    """The cloud's half of one query, on a stream of its own; see `FarCloud`.

    Args:
        stream: The stream; closed with the query, which frees the session on the worker.
        terms: How the query is decoded.
        patience: Seconds to wait for a verdict.

    Attributes:
        margins: Empty: margins stay at the cloud.
    """

    def __init__(self, stream: Stream, terms: Terms, patience: float) -> None:
        self._stream, self._terms, self._patience = stream, terms, patience
        self._come: queue.SimpleQueue[Arrival | Exception] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._request, self._known_s, self._prefill_s, self._silent = -1, 0.0, 0.0, 0
        self._listener = threading.Thread(target=self._listen, name="verdicts", daemon=True)
        self.margins: list[float] = []

    def open(self, payload: bytes) -> int:
        """Send the prompt; see `FarCloud.open`.

        Raises:
            ConnectionError: If the connection is broken.
        """
        sent = self._post(Speculate(_BRANCH, self._terms.model_dump(), payload))
        self._listener.start()
        return sent

    def post(self, payload: bytes) -> int:
        """Send a block; see `FarCloud.post`.

        Raises:
            ConnectionError: If the connection is broken.
            TimeoutError: If the worker has given up in the meantime.
            ModelServerError: If it has refused something in the meantime.
        """
        return self._post(Verify(_BRANCH, payload))

    @property
    def arrived(self) -> bool:
        """Whether `take` would not have to wait."""
        return not self._come.empty()

    def take(self) -> Arrival:
        """Wait for the next verdict.

        Raises:
            ConnectionError: If the connection breaks.
            TimeoutError: If none comes in time.
            ProtocolError: If what comes is no message of the worker's.
            ModelServerError: If the worker refuses something.
        """
        try:
            found = self._come.get(timeout=self._patience)
        except queue.Empty:
            raise ModelTimeoutError(
                f"no verdict came within {self._patience:g} s; allow more (timeout), or look at the worker and the link"
            ) from None
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """Hang up; the worker frees the session. Closing twice is harmless."""
        self._stream.close()
        if self._listener.is_alive():
            self._listener.join(_END_SECONDS)

    def _post(self, request: Speculate | Verify) -> int:
        try:
            return self._stream.post(request)[1]
        except LostError as error:
            if self._listener.is_alive():  # it is about to say why
                self._listener.join(_END_SECONDS)
            raise self._failure or _meaning(error) from error

    def _listen(self) -> None:
        """Hear replies until the stream ends; what ends it is heard by who waits."""
        try:
            while True:
                self._hear(self._stream.next_reply(), time.perf_counter())
        except Exception as error:  # noqa: BLE001 - raised again where the verdict is waited for
            self._failure = _meaning(error)
            self._come.put(self._failure)

    def _hear(self, reply: Reply, at: float) -> None:
        # The worker counts a request's time up from verdict to verdict.
        before = self._known_s if reply.sequence == self._request else 0.0
        self._request, self._known_s = reply.sequence, reply.compute_s
        if isinstance(reply.message, Judged) and reply.message.verdict:
            nbytes, prefill_s = reply.nbytes + self._silent, self._prefill_s
            self._silent, self._prefill_s = 0, 0.0
            self._come.put(Arrival(reply.message.verdict, at, reply.compute_s - before, prefill_s, nbytes))
            return
        if not isinstance(reply.message, Judged | Done):
            raise FrameError(f"the worker sent {type(reply.message).__name__} where a verdict was expected")
        self._silent += reply.nbytes
        if isinstance(reply.message, Done):
            self._prefill_s = reply.compute_s


def _meaning(error: Exception) -> Exception:
    """What an error of the stream is to a query."""
    if isinstance(error, LostError):
        return ConnectionError(str(error))
    if isinstance(error, FrameError):
        return ProtocolError(f"the worker's reply is no verdict: {error}")
    return error
