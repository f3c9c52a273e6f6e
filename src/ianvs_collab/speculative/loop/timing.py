"""What the parts of a round take, told apart from what rounds took as a whole.

A round in the middle of an answer says it plainly. The first one holds the reading of the prompt as well: at the edge
in the time of the first draft, at the cloud either in the first verification or, where the prompt was sent ahead, in
the time for which the edge waits. What is known from other rounds is taken off, and what is left is the reading.
"""

from __future__ import annotations

from ianvs_collab.speculative.loop.estimates import Level, Line, Mean
from ianvs_collab.speculative.loop.plan import Times

_LINK_MEMORY = 4
"""The link's memory is shorter than the others' by this factor: it is what changes most."""
_SURPRISE = 0.25
"""A wait that is off by more than this share of the link's time says that the link has changed."""
_NOTICEABLE_S = 1e-3


class Timing:
    """Measured seconds in which old rounds fade.

    Args:
        memory: Rounds after which a measurement has faded to 1/e.
    """

    def __init__(self, memory: float) -> None:
        self._draft, self._token = Mean(memory), Mean(memory)
        self._verify = Line(memory)
        self._link = Level(max(1.0, memory / _LINK_MEMORY))
        self._read_draft, self._read_cloud = Mean(memory), Mean(memory)
        self._read_verify, self._read_stream = Mean(memory), Mean(memory)
        self._rough: Times | None = None

    @property
    def known(self) -> bool:
        """Whether there is anything to estimate from."""
        return self._rough is not None

    @property
    def streamed(self) -> bool:
        """Whether an answer was streamed from its beginning on."""
        return self._read_stream.value is not None

    def estimate(self) -> Times:
        """What things take; to be asked for once a round was measured."""
        assert self._rough is not None
        rough = self._rough
        verify_s = self._verify.at(0) if self._verify.known else rough.verify_s
        token_s = self._token.value or verify_s
        reading_s = (self._read_cloud.value or 0.0) + (self._read_verify.value or 0.0)
        read_stream_s = self._read_stream.value
        return Times(
            draft_s=_known(self._draft, rough.draft_s),
            verify_s=verify_s,
            verify_token_s=self._verify.at(1) - verify_s if self._verify.known else 0.0,
            token_s=token_s,
            link_s=_known(self._link, rough.link_s),
            read_draft_s=_known(self._read_draft, 0.0),
            read_cloud_s=_known(self._read_cloud, 0.0),
            read_verify_s=_known(self._read_verify, 0.0),
            read_stream_s=max(0.0, reading_s - token_s) if read_stream_s is None else read_stream_s,
        )

    def add(
        self,
        drafted: int,
        answers: int,
        seconds: tuple[float, float, float],
        *,
        begin_s: float | None,
        first: bool,
        streaming: bool,
    ) -> None:
        """Take a round in.

        Args:
            drafted: Tokens in the block; 0 for a stream.
            answers: Verdicts, at least 1.
            seconds: Of drafting, of all verifications, of everything else.
            begin_s: Of the first verification, where they are known apart.
            first: Whether it was the first round of an answer.
            streaming: Whether no draft was wanted.
        """
        draft_s, verify_s, other_s = seconds
        begin_s = verify_s / answers if begin_s is None else begin_s
        if self._rough is None:
            self._rough = Times(draft_s / (drafted + 1), begin_s, 0.0, begin_s, other_s)
        if drafted:
            self.add_draft(drafted, draft_s, first=first)
        if answers > 1:
            self._token.add((verify_s - begin_s) / (answers - 1))
        if not first:
            self._verify.add(drafted, begin_s)
            self._link.add(other_s)
        elif streaming:
            self._read_stream.add(max(0.0, begin_s - self.estimate().token_s))
            self._link.add(other_s)
        elif self._verify.known:
            self._read_verify.add(max(0.0, begin_s - self._verify.at(drafted)))
            self._add_wait(draft_s, other_s)

    def add_draft(self, drafted: int, draft_s: float, *, first: bool) -> None:
        """Take the time of a draft in; the first one of an answer holds the reading of the prompt."""
        if not first:
            self._draft.add(draft_s / drafted)
        elif self._draft.value is not None:
            self._read_draft.add(max(0.0, draft_s - drafted * self._draft.value))

    def drafts_before_stream(self) -> int:
        """Tokens that the edge can draft until the first token of a streamed answer comes."""
        times = self.estimate()
        return _fitting(times.link_s + times.read_stream_s + times.token_s - times.read_draft_s, times)

    def drafts_before_verdict(self, drafted: int, *, first: bool) -> int:
        """Tokens that the edge can draft until the verdict on a block of so many comes."""
        times = self.estimate()
        drafting_s = drafted * times.draft_s + times.read_draft_s * first
        return _fitting(times.block(drafted, first=first) - drafting_s, times)

    def _add_wait(self, draft_s: float, other_s: float) -> None:
        """The edge waited for the link, and for the cloud that was still reading."""
        link_s = self._link.value or 0.0
        waited_s = max(0.0, (self._read_cloud.value or 0.0) - draft_s)
        off_s = other_s - link_s - waited_s
        if self._read_cloud.value is not None and abs(off_s) > _SURPRISE * link_s + _NOTICEABLE_S:
            self._link.add(max(0.0, other_s - waited_s))
        elif other_s - link_s > _NOTICEABLE_S:
            self._read_cloud.add(draft_s + other_s - link_s)
        elif (self._read_cloud.value or 0.0) > draft_s or self._read_cloud.value is None:
            self._read_cloud.add(min(draft_s, self._read_cloud.value or 0.0))


def _fitting(idle_s: float, times: Times) -> int:
    """Tokens that are drafted in some idle seconds."""
    return max(0, int(idle_s / times.draft_s)) if times.draft_s else 0


def _known(mean: Mean, otherwise: float) -> float:
    return otherwise if mean.value is None else mean.value
