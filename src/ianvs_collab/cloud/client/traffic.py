"""What went over the wire, and where the time of a request went."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

_PREFIX = 5  # bytes that gRPC puts before each message; HTTP/2, TLS and TCP add theirs


@dataclass(frozen=True)
class Cost:
    """What one request took.

    Attributes:
        elapsed_s: Seconds from sending it to the last reply, by the client's clock.
        compute_s: Seconds that the model worked on it, measured by the worker.
        queued_s: Seconds that it waited for the model there.
        sent_bytes: Bytes of the request, with gRPC's prefix.
        received_bytes: Bytes of the replies, likewise.
    """

    elapsed_s: float
    compute_s: float
    queued_s: float
    sent_bytes: int
    received_bytes: int

    @property
    def network_s(self) -> float:
        """Seconds that were neither computing nor waiting for the model: network, gRPC, both programs."""
        return max(self.elapsed_s - self.compute_s - self.queued_s, 0.0)


@dataclass
class Traffic:
    """Bytes and messages so far, of all streams of a client.

    Attributes:
        sent_bytes: From edge to cloud.
        received_bytes: From cloud to edge.
        sent: Messages from edge to cloud.
        received: Messages from cloud to edge.
    """

    sent_bytes: int = 0
    received_bytes: int = 0
    sent: int = 0
    received: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def note_sent(self, frame: bytes) -> int:
        """Count a message to the cloud; its bytes."""
        size = len(frame) + _PREFIX
        with self._lock:
            self.sent_bytes += size
            self.sent += 1
        return size

    def note_received(self, frame: bytes) -> int:
        """Count a message from the cloud; its bytes."""
        size = len(frame) + _PREFIX
        with self._lock:
            self.received_bytes += size
            self.received += 1
        return size
