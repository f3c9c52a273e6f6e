"""Speculative decoding of queries: a target in the cloud, a drafter at the edge, a link in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ianvs_collab.link import Deployment, Timeline
from ianvs_collab.modelserver.stepping import Stepper
from ianvs_collab.modelserver.types import GREEDY, Prompt, SamplingParams
from ianvs_collab.speculative.drafters import Drafter, Silent
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.loop import (
    CloudHalf,
    EdgeHalf,
    Exchange,
    FixedLength,
    LengthPolicy,
    Meter,
    PipelinedEdge,
    Tally,
    run_pipelined,
    run_synchronous,
)
from ianvs_collab.speculative.modes import check_mode, make_generator, make_picker, make_verifier, seeded
from ianvs_collab.speculative.protocols import MAX_DRAFT, make_codec

PIPELININGS = ("synchronous", "pre-draft", "asynchronous")
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
        margins: How near each verdict was to another one; see `Verdict.margin`.
        timeline: When what happened on the deployment.
    """

    tokens: list[int]
    finish_reason: str
    params: SamplingParams
    tally: Tally
    meter: Meter
    margins: list[float]
    timeline: Timeline


class SpeculativeDecoder:
    """Decodes one query after another.

    Args:
        target: The cloud's model.
        drafter: What proposes at the edge. It may keep what it has learnt from query to query.
        mode: `greedy`, `rejection`, `sample-match` or `gumbel`.
        protocol: `ids`, `quantised-q`, `dssd` or `full-q`.
        draft_length: Tokens to draft for a block, γ; with 0 the cloud streams without drafts. Or a policy that chooses
            them, with synchronous decoding.
        stream: Tokens that the cloud streams when the drafter proposes nothing.
        pipelining: `synchronous`; `pre-draft`: the next block is drafted while the verdict is on its way;
            `asynchronous`: blocks are sent without waiting for verdicts.
        window: With `asynchronous`, blocks that may be under way.
        clock: What measures the models' times, in seconds; `time.process_time` on a machine that does other work too.
        settings: Of the protocol, e.g. `{"top": 8}` for `quantised-q`.

    Raises:
        SpeculativeError: If there is no such protocol, or a number is out of range.
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
        self._stream, self._clock = stream, clock
        self._window = {"synchronous": 0, "pre-draft": 1, "asynchronous": window}[pipelining]
        self._codec = make_codec(protocol, target.vocabulary, **(settings or {}))

    def decode(self, prompt: Prompt, params: SamplingParams = GREEDY, timeline: Timeline | None = None) -> Decoding:
        """Complete a prompt; see `decode_tokens`.

        Args:
            prompt: A text or a chat.
            params: How to decode.
            timeline: Of the query; None for one with an ideal link.
        """
        return self.decode_tokens(self.target.encode(prompt), params, timeline, prompt=prompt)

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
            timeline: Of the query; None for one with an ideal link.
            prompt: The same as a text or a chat, for drafters with words of their own.

        Raises:
            SpeculativeError: If mode, protocol and temperature do not fit together, or prompt and completion do not fit
                into the target's context.
            CloudLostError: If the cloud cannot be reached any more.
            ModelServerError: If a model cannot do what it has to.
        """
        check_mode(self.mode, self._codec, params)
        self._check_length(len(tokens), params.max_tokens)
        params = seeded(params)
        ends = self.target.end_tokens
        drafter = Silent() if self._fixed == 0 else self.drafter
        timeline = timeline or Timeline(Deployment(name="this-machine"))
        # Reading the prompt ahead pays where the first block comes later than the prompt.
        far = timeline.deployment.tier != "virtual" or timeline.deployment.link.rtt_ms > 0
        cloud = CloudHalf(
            self.target,
            self._codec,
            make_verifier(self.mode, params, self._codec),
            ends,
            eager=far and self._fixed != 0,
        )
        picker = make_picker(self.mode, params, self._codec)
        kind = PipelinedEdge if self._fixed and self._window else EdgeHalf
        try:
            edge = kind(drafter, self._codec, make_generator(params), params.max_tokens, ends)
            exchange = Exchange(edge, cloud, self._codec, timeline, self._clock)
            exchange.start(tokens, lambda: drafter.begin(tokens, picker, prompt))
            self._run(exchange)
        finally:
            drafter.end()
            cloud.close()
        reason = "stop" if edge.tokens[-1] in ends else "length"
        return Decoding(edge.tokens, reason, params, edge.tally, exchange.meter, cloud.margins, timeline)

    def _run(self, exchange: Exchange) -> None:
        if isinstance(exchange.edge, PipelinedEdge) and self._fixed:
            run_pipelined(exchange, exchange.edge, self._fixed, self._stream, self._window)
        else:
            run_synchronous(exchange, self._lengths, self._stream)

    def _check_length(self, prompt: int, completion: int) -> None:
        context = self.target.context
        if context is not None and prompt + completion > context:
            raise SpeculativeError(
                f"prompt ({prompt} tokens) and completion (max_tokens {completion}) need {prompt + completion} tokens, "
                f"but the target has a context of {context}; shorten the prompt or lower max_tokens"
            )
