"""One query between two halves: every operation is run and timed, and put on the query's timeline.

The pipelining strategies differ only in the order in which they call this, and in what may start before what.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ianvs_collab.link import Timeline
from ianvs_collab.link.deployment import Direction
from ianvs_collab.speculative.errors import CloudLostError
from ianvs_collab.speculative.loop.edge import EdgeHalf
from ianvs_collab.speculative.protocols import Block, Ids, frame

T = TypeVar("T")


class Cloud(Protocol):
    """The cloud's half, wherever it is; see `CloudHalf`."""

    def open(self, payload: bytes) -> None:
        """Take the prompt."""
        ...

    def answer(self, payload: bytes) -> Iterator[bytes]:
        """Answer a block."""
        ...

    def close(self) -> None:
        """Release the session."""
        ...


@dataclass
class Meter:
    """What a query took.

    Attributes:
        prompt_bytes: Payload of the prompt.
        uplink_bytes: Payload of the blocks.
        downlink_bytes: Payload of the verdicts.
        wire_uplink_bytes: All of the uplink with framing, the prompt included.
        wire_downlink_bytes: All of the downlink with framing.
        draft_s: Seconds of each draft, as measured.
        verify_s: Seconds of each verification.
        commit_s: Seconds of each commit.
    """

    prompt_bytes: int = 0
    uplink_bytes: int = 0
    downlink_bytes: int = 0
    wire_uplink_bytes: int = 0
    wire_downlink_bytes: int = 0
    draft_s: list[float] = field(default_factory=list)
    verify_s: list[float] = field(default_factory=list)
    commit_s: list[float] = field(default_factory=list)


class Exchange:
    """Runs the operations of one query.

    Args:
        edge: The edge's half.
        cloud: The cloud's half.
        codec: The protocol.
        timeline: Where the times go.
        clock: What measures them, in seconds.

    Attributes:
        meter: What they took.
    """

    def __init__(
        self,
        edge: EdgeHalf,
        cloud: Cloud,
        codec: Ids,
        timeline: Timeline,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.edge, self.cloud, self.timeline = edge, cloud, timeline
        self._codec, self._clock = codec, clock
        self.meter = Meter()

    def start(self, tokens: Sequence[int], begin: Callable[[], None]) -> None:
        """Send the prompt, and let both sides read it at once.

        Args:
            tokens: The prompt.
            begin: What the edge does with it.
        """
        payload = self._codec.encode_prompt(tokens)
        self.meter.prompt_bytes = len(payload)
        arrived = self._transfer("uplink", payload, "prompt", self.timeline.now)
        _, seconds = self._at_cloud(lambda: self.cloud.open(payload))
        self.timeline.compute("cloud", seconds, "prefill", after=arrived)
        _, seconds = self._timed(begin)
        self.timeline.compute("edge", seconds, "draft prefill")

    def draft(self, make: Callable[[], Block]) -> bytes:
        """Make a block at the edge, on the query's own thread of work; returns it as a message."""
        payload, seconds = self._timed(lambda: self._codec.encode_block(make()))
        self.meter.draft_s.append(seconds)
        self.timeline.compute("edge", seconds, "draft")
        return payload

    def draft_ahead(self, deed: Callable[[], None]) -> None:
        """Draft something that is sent later."""
        _, seconds = self._timed(deed)
        self.meter.draft_s.append(seconds)
        self.timeline.compute("edge", seconds, "draft")

    def message(self, make: Callable[[], Block]) -> bytes:
        """Write down a block that was drafted before."""
        payload, seconds = self._timed(lambda: self._codec.encode_block(make()))
        self.timeline.compute("edge", seconds, "encode")
        return payload

    def send(self, payload: bytes) -> float:
        """Send a block; returns when it arrives."""
        self.meter.uplink_bytes += len(payload)
        return self._transfer("uplink", payload, "block", self.timeline.now)

    def verdicts(self, payload: bytes, arrived: float) -> Iterator[tuple[bytes, float]]:
        """Let the cloud answer; gives each verdict and when it arrives at the edge.

        Raises:
            CloudLostError: If the cloud cannot be reached.
        """
        answers, _ = self._at_cloud(lambda: self.cloud.answer(payload))
        ready = arrived
        while True:
            verdict, seconds = self._at_cloud(lambda: next(answers, None))
            if verdict is None:
                return
            self.meter.verify_s.append(seconds)
            self.meter.downlink_bytes += len(verdict)
            ready = self.timeline.compute("cloud", seconds, "verify", after=ready)
            yield verdict, self._transfer("downlink", verdict, "verdict", ready)

    def commit(self, verdict: bytes, at: float) -> list[int]:
        """Take a verdict at the edge when it has arrived; its tokens are the user's from then on."""
        self.timeline.wait(at)
        tokens, seconds = self._timed(lambda: self.edge.receive(verdict))
        self.meter.commit_s.append(seconds)
        end = self.timeline.compute("edge", seconds, "commit")
        for _ in tokens:
            self.timeline.commit(end)
        return tokens

    def _transfer(self, direction: Direction, payload: bytes, label: str, after: float) -> float:
        nbytes = len(frame(payload))
        if direction == "uplink":
            self.meter.wire_uplink_bytes += nbytes
        else:
            self.meter.wire_downlink_bytes += nbytes
        return self.timeline.transfer(direction, nbytes, label, after=after)

    def _at_cloud(self, deed: Callable[[], T]) -> tuple[T, float]:
        try:
            return self._timed(deed)
        except (ConnectionError, TimeoutError) as error:
            committed = list(self.edge.tokens)
            raise CloudLostError(
                f"the cloud was lost after {len(committed)} tokens ({error}); those are the target's, and the query "
                "can go on from them: append them to the prompt",
                committed,
            ) from error

    def _timed(self, deed: Callable[[], T]) -> tuple[T, float]:
        start = self._clock()
        result = deed()
        return result, self._clock() - start
