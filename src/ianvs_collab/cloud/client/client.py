"""A connection to a worker, with streams on it, and the patience to try again when it breaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from ianvs_collab.cloud.client.channel import PATH, Access
from ianvs_collab.cloud.client.stream import Stream
from ianvs_collab.cloud.client.traffic import Traffic
from ianvs_collab.cloud.client.watchdog import Watchdog
from ianvs_collab.cloud.errors import CloudError, LostError, UnreachableError
from ianvs_collab.cloud.messages.admin import Describe
from ianvs_collab.cloud.wire import compression
from ianvs_collab.cloud.wire.frame import VERSION

T = TypeVar("T")
_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds


class Client:
    """A connection to a worker.

    Args:
        access: Where it is.
        timeout: Seconds allowed for one request.
        connect_timeout: Seconds to wait for the worker at the beginning.
        recovery_timeout: Seconds to wait for it when the connection breaks; 0 to give up at once.
        zstd: Whether to compress what becomes shorter by it, where both sides can.

    Attributes:
        traffic: Bytes and messages so far.
        capabilities: What the worker is and can do.
        timeout: See above.

    Raises:
        UnreachableError: If the worker does not answer.
        CloudError: If it refuses this client, or runs another version of the protocol.
    """

    def __init__(
        self, access: Access, *, timeout: float, connect_timeout: float, recovery_timeout: float, zstd: bool
    ) -> None:
        self.timeout, self.traffic = timeout, Traffic()
        self._access, self._recovery, self._zstd = access, connect_timeout, False
        self._metadata = access.metadata()
        self._watchdog = Watchdog()
        self._channel: Any = access.open()
        self._begin = self._channel.stream_stream(PATH)
        try:
            self.capabilities = self._describe(min(connect_timeout, timeout))
        except BaseException:
            self.close()
            raise
        self._recovery = recovery_timeout
        self._zstd = zstd and compression.available() and bool(self.capabilities["zstd"])

    def stream(self) -> Stream:
        """A new stream.

        Raises:
            CloudError: If the client is closed.
        """
        self.check_open()
        limit = self._access.reply_bytes
        return Stream(self._begin, self._metadata, self.traffic, self._watchdog, zstd=self._zstd, limit=limit)

    def check_open(self) -> None:
        """Refuse to work on a closed connection.

        Raises:
            CloudError: If it is closed.
        """
        if self._channel is None:
            raise CloudError(f"the connection to {self._access.address} is closed; load the model again")

    def patiently(self, attempt: Callable[[], T]) -> T:
        """Try something again while the connection is broken.

        Args:
            attempt: What to try; it must begin with a new stream if its old one is broken.

        Raises:
            UnreachableError: If it does not come back in time.
        """
        end, pause = time.monotonic() + self._recovery, _PAUSE
        while True:
            try:
                return attempt()
            except LostError as error:
                if time.monotonic() + pause > end:
                    raise UnreachableError(
                        f"the cloud worker at {self._access.address} does not answer: {error}; is it running "
                        f"(`ianvs cloud`), and can this machine reach it? Waited {self._recovery:g} s"
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def ask(self, request: Any, seconds: float | None = None) -> Any:
        """Send one request on a stream of its own, again if that breaks; its reply.

        Raises:
            ModelServerError: If the worker refuses it or is not to be had.
        """

        def attempt() -> Any:
            stream = self.stream()
            try:
                return stream.ask(request, seconds or self.timeout)[0]
            finally:
                stream.close()

        return self.patiently(attempt)

    def close(self) -> None:
        """Hang up. Closing twice is harmless."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
            self._watchdog.close()

    def _describe(self, seconds: float) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(Describe(), seconds).content
        if found["protocol"] != VERSION:
            raise CloudError(
                f"the worker speaks version {found['protocol']} of the protocol, this client {VERSION}; install the "
                "same release on both sides"
            )
        return found
