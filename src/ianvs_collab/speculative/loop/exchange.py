"""One query between two halves: what the edge does in it, and what passes between them.

The pipelining strategies differ only in the order in which they call this, and in what may start before what. How a
block reaches the cloud and a verdict comes back, and what that takes, is the subclasses' part.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ianvs_collab.link import Timeline
from ianvs_collab.speculative.errors import CloudLostError
from ianvs_collab.speculative.loop.edge import EdgeHalf
from ianvs_collab.speculative.protocols import Block, Ids

T = TypeVar("T")


@dataclass
class Meter:
    """What a query took.

    Attributes:
        prompt_bytes: Payload of the prompt.
        uplink_bytes: Payload of the blocks.
        downlink_bytes: Payload of the verdicts.
        wire_uplink_bytes: All of the uplink with framing, the prompt included.
        wire_downlink_bytes: All of the downlink with framing.
        link_bytes: What crossed the link, up and down, with all that TCP carries; None where nobody counted.
        draft_s: Seconds of each draft, as measured.
        verify_s: Seconds of each verification.
        commit_s: Seconds of each commit.
    """

    prompt_bytes: int = 0
    uplink_bytes: int = 0
    downlink_bytes: int = 0
    wire_uplink_bytes: int = 0
    wire_downlink_bytes: int = 0
    link_bytes: tuple[int, int] | None = None
    draft_s: list[float] = field(default_factory=list)
    verify_s: list[float] = field(default_factory=list)
    commit_s: list[float] = field(default_factory=list)


class Exchange(ABC):
    """Runs the operations of one query.

    Args:
        edge: The edge's half.
        codec: The protocol.
        timeline: Where the times go.
        clock: What measures them, in seconds.

    Attributes:
        meter: What they took.
    """

    def __init__(
        self, edge: EdgeHalf, codec: Ids, timeline: Timeline, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.edge, self.timeline = edge, timeline
        self._codec, self._clock = codec, clock
        self.meter = Meter()

    def start(self, tokens: Sequence[int], begin: Callable[[], None]) -> None:
        """Send the prompt, and let both sides read it at once.

        Args:
            tokens: The prompt.
            begin: What the edge does with it.

        Raises:
            CloudLostError: If the cloud cannot be reached.
        """
        payload = self._codec.encode_prompt(tokens)
        self.meter.prompt_bytes = len(payload)
        self._open(payload)
        self._at_edge(begin, "draft prefill")

    def draft(self, make: Callable[[], Block]) -> bytes:
        """Make a block at the edge; returns it as a message."""
        payload, seconds = self._at_edge(lambda: self._codec.encode_block(make()), "draft")
        self.meter.draft_s.append(seconds)
        return payload

    def draft_ahead(self, deed: Callable[[], None]) -> None:
        """Draft something that is sent later."""
        self.meter.draft_s.append(self._at_edge(deed, "draft")[1])

    def message(self, make: Callable[[], Block]) -> bytes:
        """Write down a block that was drafted before."""
        return self._at_edge(lambda: self._codec.encode_block(make()), "encode")[0]

    def post(self, payload: bytes) -> None:
        """Send a block; its verdicts come when they come.

        Raises:
            CloudLostError: If the cloud cannot be reached.
        """
        self.meter.uplink_bytes += len(payload)
        self._send(payload)

    @property
    @abstractmethod
    def arrived(self) -> bool:
        """Whether a verdict is at the edge by now."""

    def take(self) -> list[int]:
        """Wait for the next verdict and take it; its tokens are the user's from then on.

        Returns:
            The tokens that it commits.

        Raises:
            CloudLostError: If the cloud cannot be reached.
            ProtocolError: If it is no verdict on a block that was sent.
        """
        verdict = self._receive()
        self.meter.downlink_bytes += len(verdict)
        tokens, seconds = self._at_edge(lambda: self.edge.receive(verdict), "commit")
        self.meter.commit_s.append(seconds)
        for _ in tokens:
            self.timeline.commit(self.timeline.now)
        return tokens

    @abstractmethod
    def _open(self, payload: bytes) -> None:
        """Let the cloud read the prompt, while the edge goes on."""

    @abstractmethod
    def _send(self, payload: bytes) -> None:
        """Let a block travel, while the edge goes on."""

    @abstractmethod
    def _receive(self) -> bytes:
        """Wait for the next verdict."""

    def _at_edge(self, deed: Callable[[], T], label: str) -> tuple[T, float]:
        """Do something at the edge, on the query's own thread of work; what it gives, and measured seconds."""
        result, seconds = self._timed(deed)
        self.timeline.compute("edge", seconds, label)
        return result, seconds

    def _timed(self, deed: Callable[[], T]) -> tuple[T, float]:
        start = self._clock()
        result = deed()
        return result, self._clock() - start

    def _lost(self, error: Exception) -> CloudLostError:
        """What to raise when the connection breaks."""
        committed = list(self.edge.tokens)
        return CloudLostError(
            f"the cloud was lost after {len(committed)} tokens ({error}); those are the target's, and the query "
            "can go on from them: append them to the prompt",
            committed,
        )
