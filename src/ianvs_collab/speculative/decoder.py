"""Speculative decoding of queries: a target in the cloud, a drafter at the edge, a link in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ianvs_collab.cloud.errors import UnreachableError
from ianvs_collab.link import Deployment, Timeline
from ianvs_collab.modelserver.stepping import Stepper
from ianvs_collab.modelserver.types import GREEDY, ModelTimeoutError, Prompt, SamplingParams
from ianvs_collab.speculative.drafters import Drafter, Silent
from ianvs_collab.speculative.errors import CloudLostError, SpeculativeError
from ianvs_collab.speculative.loop import (
    Branching,
    BranchingEdge,
    CloudHalf,
    EdgeHalf,
    Exchange,
    FixedLength,
    LengthPolicy,
    LiveExchange,
    Meter,
    PipelinedEdge,
    Planning,
    Tally,
    VirtualExchange,
    check_branching,
    run_controlled,
    run_pipelined,
    run_synchronous,
)
from ianvs_collab.speculative.modes import check_mode, make_generator, make_picker, make_verifier, seeded
from ianvs_collab.speculative.protocols import MAX_DRAFT, make_codec
from ianvs_collab.speculative.remote import RemoteCloud, RemoteTarget, Terms
from ianvs_collab.speculative.remote.alone import check_cut, finish_alone

PIPELININGS = ("synchronous", "pre-draft", "asynchronous", "branches")
"""Ways to use the time that messages are under way."""

MAX_WINDOW = 32


@dataclass(frozen=True)
class Decoding:
    """A completion and how it came about.

    Attributes:
        tokens: The completion, the end token included.
        finish_reason: `stop` (end token) or `length`.
        params: As decoded with, with the seed that was used.
        tally: Counts of blocks and tokens.
        meter: Bytes and measured seconds.
        margins: How near each verdict was to another one; see `Verdict.margin`. Empty with a remote target, where they
            stay at the cloud.
        timeline: When what happened on the deployment.
        lossless_tokens: How many tokens are the target's, from the first one on: all of them, unless the cloud was lost
            and the draft model wrote the rest.
    """

    tokens: list[int]
    finish_reason: str
    params: SamplingParams
    tally: Tally
    meter: Meter
    margins: list[float]
    timeline: Timeline
    lossless_tokens: int


class SpeculativeDecoder:
    """Decodes one query after another.

    Args:
        target: The cloud's model: in this process, with a link that the timeline adds, or a `RemoteTarget`, with the
            link that there is.
        drafter: What proposes at the edge. It may keep what it has learnt from query to query.
        mode: `greedy`, `rejection`, `sample-match` or `gumbel`.
        protocol: `ids`, `quantised-q`, `dssd` or `full-q`.
        draft_length: Tokens to draft for a block, γ; with 0 the cloud streams without drafts. Or a policy that chooses
            them, with synchronous decoding.
        stream: Tokens that the cloud streams when the drafter proposes nothing.
        pipelining: `synchronous`; `pre-draft`: the next block is drafted while the verdict is on its way;
            `asynchronous`: blocks are sent without waiting for verdicts; `branches`: likewise, and what would follow a
            likely rejection is drafted too.
        window: With `asynchronous` and `branches`, blocks that may be under way.
        clock: What measures the models' times, in seconds; `time.process_time` on a machine that does other work too.
        when_cut: What to do when the cloud is lost in the middle of a query: `error`; or `edge`, and the draft model
            writes the rest.
        settings: Of the protocol, e.g. `{"top": 8}` for `quantised-q`.

    Raises:
        SpeculativeError: If there is no such protocol, a number is out of range, or the drafter cannot do what it has
            to.
    """

    def __init__(
        self,
        target: Stepper,
        drafter: Drafter,
        *,
        mode: str = "greedy",
        protocol: str = "ids",
        draft_length: int | LengthPolicy = 5,
        stream: int = 8,
        pipelining: str = "synchronous",
        window: int = 4,
        clock: Callable[[], float] = time.perf_counter,
        when_cut: str = "error",
        settings: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(draft_length, int) and not 0 <= draft_length <= MAX_DRAFT:
            raise SpeculativeError(
                f"draft_length must be 0 (the cloud streams) to {MAX_DRAFT}, not {draft_length!r}; 5 is a good start"
            )
        if stream < 1:
            raise SpeculativeError(f"stream must be at least 1, not {stream!r}: without a draft the cloud has to go on")
        if pipelining not in PIPELININGS:
            raise SpeculativeError(f"there is no pipelining {pipelining!r}; choose one of {', '.join(PIPELININGS)}")
        if not 1 <= window <= MAX_WINDOW:
            raise SpeculativeError(f"window must be 1 to {MAX_WINDOW} blocks, not {window!r}")
        self.target, self.drafter, self.mode = target, drafter, mode
        if pipelining != "synchronous" and not isinstance(draft_length, int):
            raise SpeculativeError(f"pipelining {pipelining!r} needs a fixed draft_length, a number such as 5")
        self._lengths = FixedLength(draft_length) if isinstance(draft_length, int) else draft_length
        self._fixed = draft_length if isinstance(draft_length, int) else None
        check_cut(when_cut, drafter)
        self._stream, self._clock, self._when_cut = stream, clock, when_cut
        self._window = {"synchronous": 0, "pre-draft": 1}.get(pipelining, window)
        self._branches = pipelining == "branches"
        if self._branches and not isinstance(drafter, Silent):
            check_branching(drafter)
        self._settings = settings or {}
        self._codec = make_codec(protocol, target.vocabulary, **self._settings)

    def decode(self, prompt: Prompt, params: SamplingParams = GREEDY, timeline: Timeline | None = None) -> Decoding:
        """Complete a prompt; see `decode_tokens`.

        Args:
            prompt: A text or a chat.
            params: How to decode.
            timeline: Of the query; None for one with an ideal link, or with a remote target for the link that there is.

        Raises:
            CloudLostError: Also if a remote target, which turns the prompt into tokens, cannot be reached, whatever
                `when_cut` says.
        """
        try:
            tokens = self.target.encode(prompt)
        except (UnreachableError, ModelTimeoutError) as error:
            raise CloudLostError(f"the cloud, which knows the target's tokens, is out of reach: {error}", []) from error
        return self.decode_tokens(tokens, params, timeline, prompt=prompt)

    def decode_tokens(
        self,
        tokens: Sequence[int],
        params: SamplingParams = GREEDY,
        timeline: Timeline | None = None,
        *,
        prompt: Prompt | None = None,
    ) -> Decoding:
        """Complete a prompt of tokens.

        Args:
            tokens: Of the target, not empty.
            params: How to decode.
            timeline: Of the query; None for one with an ideal link, or with a remote target for the link that there is.
            prompt: The same as a text or a chat, for drafters with words of their own.

        Raises:
            SpeculativeError: If mode, protocol and temperature do not fit together, or prompt and completion do not fit
                into the target's context.
            CloudLostError: If the cloud cannot be reached any more, and the draft model is not to go on or cannot.
            ProtocolError: If it says what its protocol does not allow.
            ModelServerError: If a model cannot do what it has to.
        """
        check_mode(self.mode, self._codec, params)
        self._check_length(len(tokens), params.max_tokens)
        params = seeded(params)
        ends = self.target.end_tokens
        drafter = Silent() if self._fixed == 0 else self.drafter
        timeline = timeline or self._timeline()
        crossed = self._crossed()
        cloud = self._cloud(params, timeline)
        picker = make_picker(self.mode, params, self._codec)
        kind = self._kind(drafter)
        alone = partial(finish_alone, drafter=self.drafter, tokens=tokens, mode=self.mode, params=params, prompt=prompt)
        try:
            edge = kind(drafter, self._codec, make_generator(params), params.max_tokens, ends)
            exchange = self._exchange(edge, cloud, timeline)
            lossless = self._finish(exchange, lambda: drafter.begin(tokens, picker, prompt), tokens, alone)
        finally:
            drafter.end()
            cloud.close()
            if isinstance(drafter, Branching):
                drafter.doubting = False  # another decoder may not need it
        if crossed:
            exchange.meter.link_bytes = self._crossed(crossed)
        reason = "stop" if edge.tokens[-1] in ends else "length"
        meter, margins = exchange.meter, cloud.margins
        return Decoding(edge.tokens, reason, params, edge.tally, meter, margins, timeline, lossless)

    def _finish(
        self,
        exchange: Exchange,
        begin: Callable[[], None],
        tokens: Sequence[int],
        alone: Callable[[Exchange, CloudLostError], None],
    ) -> int:
        """Run a query to its end; how many of its tokens are the target's."""
        try:
            exchange.start(tokens, begin)
            self._run(exchange)
        except CloudLostError as lost:
            if self._when_cut == "error":
                raise
            alone(exchange, lost)
            return len(lost.tokens)
        return len(exchange.edge.tokens)

    def _timeline(self) -> Timeline:
        tier: Literal["virtual", "real"] = "real" if isinstance(self.target, RemoteTarget) else "virtual"
        return Timeline(Deployment(name="this-machine", tier=tier))

    def _cloud(self, params: SamplingParams, timeline: Timeline) -> CloudHalf | RemoteCloud:
        """The cloud's half of a query."""
        # Reading the prompt ahead pays where the first block comes later than the prompt.
        far = timeline.deployment.tier != "virtual" or timeline.deployment.link.rtt_ms > 0
        first = self._lengths.begin(params.max_tokens) if isinstance(self._lengths, Planning) else self._fixed
        eager = far and first != 0
        if isinstance(self.target, RemoteTarget):
            return self.target.begin(Terms.of(self.mode, self._codec.name, self._settings, params, eager=eager))
        verifier = make_verifier(self.mode, params, self._codec)
        return CloudHalf(self.target, self._codec, verifier, self.target.end_tokens, eager=eager)

    def _kind(self, drafter: Drafter) -> type[EdgeHalf]:
        """What the edge's half of a query is."""
        if self._fixed and self._window:
            return BranchingEdge if self._branches else PipelinedEdge
        planned = isinstance(self._lengths, Planning) and isinstance(drafter, Branching)
        return BranchingEdge if planned else EdgeHalf

    def _exchange(self, edge: EdgeHalf, cloud: CloudHalf | RemoteCloud, timeline: Timeline) -> Exchange:
        if isinstance(cloud, RemoteCloud):
            return LiveExchange(edge, cloud, self._codec, timeline, self._clock)
        return VirtualExchange(edge, cloud, self._codec, timeline, self._clock)

    def _crossed(self, since: tuple[int, int] = (0, 0)) -> tuple[int, int] | None:
        """Bytes that went over the link, up and down, where somebody counts them."""
        found = self.target.crossed() if isinstance(self.target, RemoteTarget) else None
        return (found[0] - since[0], found[1] - since[1]) if found else None

    def _run(self, exchange: Exchange) -> None:
        if isinstance(exchange.edge, PipelinedEdge) and self._fixed:
            run_pipelined(exchange, exchange.edge, self._fixed, self._stream, self._window)
        elif isinstance(self._lengths, Planning):
            run_controlled(exchange, self._lengths, self.drafter, self._stream)
        else:
            run_synchronous(exchange, self._lengths, self._stream)

    def _check_length(self, prompt: int, completion: int) -> None:
        context = self.target.context
        if context is not None and prompt + completion > context:
            raise SpeculativeError(
                f"prompt ({prompt} tokens) and completion (max_tokens {completion}) need {prompt + completion} tokens, "
                f"but the target has a context of {context}; shorten the prompt or lower max_tokens"
            )
