"""What the paced benchmarks of speculative decoding share: models with measured times, strategies, and runs.

The nano models are run for real, so tokens, acceptances and rollbacks are theirs. Their times are first quartiles that
`measure_costs` takes first, in the same run (CPU time of one thread), and every strategy is charged by these, on the
virtual timeline. So two strategies are compared without the noise of the machine; `validate` says how far the paced
times are from measured ones. Every output is compared with that of the target alone.
"""

from __future__ import annotations

import json
import statistics
import time
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ianvs_collab.link import Deployment, Link, Timeline
from ianvs_collab.modelserver import load_model
from ianvs_collab.modelserver.stepping import Session, Stepper, greedy, open_stepper
from ianvs_collab.speculative import (
    Drafter,
    FixedLength,
    MeasuredLength,
    ModelDrafter,
    PromptLookup,
    Silent,
    Tally,
    early_exit,
    make_codec,
)
from ianvs_collab.speculative.drafters import FixedPicker
from ianvs_collab.speculative.loop import (
    CloudHalf,
    EdgeHalf,
    PipelinedEdge,
    VirtualExchange,
    run_pipelined,
    run_synchronous,
)
from ianvs_collab.speculative.loop.branching import BranchingEdge
from ianvs_collab.speculative.loop.controlled import run_controlled
from ianvs_collab.speculative.paced import PacedClock, PacedStepper, measure_costs
from ianvs_collab.speculative.verification import Greedy, Matching
from ianvs_collab.zoo.export import test_questions

STREAM = 8
NANO_TOKENS, LONG_TOKENS = 48, 64
EDGES: dict[str, Any] = {"pre-draft": PipelinedEdge, "asynchronous": PipelinedEdge, "branches": BranchingEdge}


@dataclass(frozen=True)
class Suite:
    """Prompts in tokens.

    Attributes:
        name: As printed.
        prompts: Each fits into the models' context together with the completion.
        max_tokens: Longest completion.
        ends: Tokens that end one; none where the end token is ignored.
    """

    name: str
    prompts: list[list[int]]
    max_tokens: int
    ends: Collection[int]


@dataclass(frozen=True)
class Strategy:
    """How to decode.

    Attributes:
        kind: `streamed`, `synchronous`, `pre-draft`, `asynchronous`, `branches` or `measured`.
        length: Draft length.
        window: Blocks under way, with `asynchronous` and `branches`.
        policy: What chooses lengths, with `measured`.
    """

    kind: str
    length: int = 0
    window: int = 1
    policy: MeasuredLength | None = None


@dataclass
class Outcome:
    """What a strategy did over a suite.

    Attributes:
        seconds: Of each query, on the timeline.
        tally: Counts over all.
        surprises: Rejections with drafts beyond them, with `branches`.
        foreseen: How many of these had a branch.
    """

    seconds: list[float] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    surprises: int = 0
    foreseen: int = 0

    @property
    def mean_ms(self) -> float:
        """Mean milliseconds of a query."""
        return 1e3 * statistics.fmean(self.seconds)

    @property
    def rounds(self) -> float:
        """Blocks of a query."""
        return self.tally.blocks / len(self.seconds)


class World:
    """The nano models, their measured times, and a clock that all share.

    Attributes:
        clock: What paced models are charged to.
        target: The paced cloud model.
        edge: The paced edge model.
        exit: The cloud model's first four layers, paced.
        steppers: The three models themselves, by name.
    """

    def __init__(self) -> None:
        torch.set_num_threads(1)
        target = open_stepper(load_model("transformers", "zoo:cloud"))
        edge = open_stepper(load_model("transformers", "zoo:edge"))
        self.steppers: dict[str, Stepper] = {"target": target, "edge": edge, "exit": early_exit(target, 4)}
        self.text = encode(target, 1)[0]
        costs = {
            name: measure_costs(stepper, self.text, clock=time.process_time) for name, stepper in self.steppers.items()
        }
        self.overhead_s = overhead(target, edge, encode(target, 8))
        self.clock = PacedClock(self.overhead_s)
        self.target, self.edge, self.exit = (
            PacedStepper(self.steppers[name], costs[name], self.clock) for name in ("target", "edge", "exit")
        )
        self._expected: dict[tuple[tuple[int, ...], int, int], list[int]] = {}

    def drafters(self, ends: Collection[int]) -> dict[str, Callable[[], Drafter]]:
        """What drafts, by name."""
        size = self.target.vocabulary
        return {
            "`zoo:edge`": lambda: ModelDrafter(self.edge, size, end_tokens=ends),
            "early exit after 4 layers": lambda: ModelDrafter(self.exit, size, end_tokens=ends),
            "prompt lookup": PromptLookup,
        }

    def describe(self) -> str:
        """The measured times, for people."""
        parts = []
        for name, model in (("target", self.target), ("`zoo:edge`", self.edge), ("early exit", self.exit)):
            costs = model.costs
            steps = ", ".join(f"{count}: {1e3 * costs.step(count):.1f}" for count in (1, 2, 5, 9, 17))
            parts.append(f"{name} step ms by tokens {steps}; prefill of 129 tokens {1e3 * costs.prefill(129):.1f}")
        return "; ".join(parts) + f"; overhead of an operation {1e3 * self.overhead_s:.3f} ms"

    def run(
        self,
        suite: Suite,
        strategy: Strategy,
        drafter: Drafter,
        rtts_ms: float | Sequence[float],
        target: PacedStepper | None = None,
    ) -> Outcome:
        """Decode a suite.

        Args:
            suite: The prompts.
            strategy: How.
            drafter: What drafts.
            rtts_ms: Round-trip time, one for all or one for each prompt.
            target: Instead of the cloud model.
        """
        outcome, target = Outcome(), target or self.target
        for number, prompt in enumerate(suite.prompts):
            rtt = rtts_ms if isinstance(rtts_ms, int | float) else rtts_ms[number]
            exchange = decode(target, drafter, strategy, prompt, suite, rtt_ms=rtt, clock=self.clock)
            if exchange.edge.tokens != self.expected(prompt, suite):
                raise AssertionError(f"prompt {number} of {suite.name}: not what the target gives alone")
            outcome.seconds.append(exchange.timeline.now)
            outcome.tally.add(exchange.edge.tally)
            if isinstance(exchange.edge, BranchingEdge):
                outcome.surprises += exchange.edge.surprises
                outcome.foreseen += exchange.edge.foreseen
        return outcome

    def expected(self, prompt: list[int], suite: Suite) -> list[int]:
        """What the target gives alone."""
        key = (tuple(prompt), suite.max_tokens, len(suite.ends))
        if key not in self._expected:
            with self.target.open() as session:
                self._expected[key] = greedy(session, prompt, suite.max_tokens, suite.ends)
        return self._expected[key]


def decode(
    target: Stepper,
    drafter: Drafter,
    strategy: Strategy,
    prompt: list[int],
    suite: Suite,
    *,
    rtt_ms: float,
    clock: Callable[[], float],
) -> VirtualExchange:
    """One greedy query on the virtual timeline."""
    codec = make_codec("ids", target.vocabulary)
    policy = strategy.policy
    begun = policy.begin(suite.max_tokens) if policy else strategy.length
    drafting = drafter if policy or strategy.length else Silent()
    cloud = CloudHalf(target, codec, Matching(Greedy()), suite.ends, eager=bool(rtt_ms and begun))
    # A measured length drafts in branches while it waits, where the drafter can.
    kind = EDGES.get(strategy.kind, BranchingEdge if policy and isinstance(drafter, ModelDrafter) else EdgeHalf)
    edge = kind(drafting, codec, np.random.default_rng(0), suite.max_tokens, suite.ends)
    timeline = Timeline(Deployment(link=Link(rtt_ms=rtt_ms)))
    exchange = VirtualExchange(edge, cloud, codec, timeline, clock)
    try:
        exchange.start(prompt, lambda: drafting.begin(prompt, FixedPicker(Greedy())))
        if policy:
            run_controlled(exchange, policy, drafter, STREAM)
        elif isinstance(edge, PipelinedEdge):
            run_pipelined(exchange, edge, strategy.length, STREAM, strategy.window)
        else:
            run_synchronous(exchange, FixedLength(strategy.length), STREAM)
    finally:
        drafting.end()
        cloud.close()
    return exchange


class Corrupted:
    """A model that takes a wrong token first with a given probability, always the same way behind the same text."""

    def __init__(self, stepper: PacedStepper, wrong: float, second: float) -> None:
        self._stepper, self._wrong, self._second = stepper, wrong, second

    def __getattr__(self, name: str) -> Any:
        """Everything else is the model's."""
        return getattr(self._stepper, name)

    def open(self, *, hidden: bool = False) -> Any:
        """Begin an empty session."""
        return CorruptedSession(self._stepper.open(hidden=hidden), self._wrong, self._second)


class CorruptedSession:
    """A session whose most probable token changes places with the second or a later one, now and then."""

    def __init__(self, session: Session, wrong: float, second: float) -> None:
        self._session, self._wrong, self._second = session, wrong, second

    def __getattr__(self, name: str) -> Any:
        """Everything else is the session's."""
        return getattr(self._session, name)

    def prefill(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append tokens; the only call of a draft model."""
        logits = self._session.prefill(tokens)
        text = f"{self._session.length} {self._session.tokens[-8:]}".encode()
        if zlib.crc32(text) / 2**32 >= self._wrong:
            return logits
        # The right token becomes the second, or else the third; the rest keep their order.
        behind = 1 if zlib.crc32(b"place" + text) / 2**32 < self._second else 2
        best = logits.topk(behind + 1).indices
        corrupted = logits.clone()
        corrupted[best[1:]], corrupted[best[0]] = logits[best[:-1]], logits[best[-1]]
        return corrupted

    def fork(self) -> CorruptedSession:
        """An independent copy."""
        return CorruptedSession(self._session.fork(), self._wrong, self._second)


def overhead(target: Stepper, edge: Stepper, prompts: Sequence[list[int]]) -> float:
    """Median seconds of an operation in which no model works: taking a verdict."""
    drafter = ModelDrafter(edge, target.vocabulary, end_tokens=target.end_tokens)
    suite = Suite("", [], NANO_TOKENS, target.end_tokens)
    found = []
    for prompt in prompts:
        exchange = decode(target, drafter, Strategy("synchronous", 4), prompt, suite, rtt_ms=0, clock=time.process_time)
        found += exchange.meter.commit_s
    return statistics.median(found)


def validate(world: World, suite: Suite, rtts_ms: Sequence[float] = (0, 50)) -> None:
    """Prints how long queries took by the clock, beside what the paced models say, for the same queries."""
    print("\n| drafter | strategy | RTT, ms | measured, ms | paced, ms | paced / measured |")
    print("| --- | --- | --- | --- | --- | --- |")
    target, edge = world.steppers["target"], world.steppers["edge"]
    real = ModelDrafter(edge, target.vocabulary, end_tokens=suite.ends)
    paced = world.drafters(suite.ends)["`zoo:edge`"]()
    for strategy in (Strategy("streamed"), Strategy("synchronous", 4), Strategy("asynchronous", 4, 8)):
        for rtt in rtts_ms:
            said = world.run(suite, strategy, paced, rtt).mean_ms
            measured = [
                decode(target, real, strategy, prompt, suite, rtt_ms=rtt, clock=time.process_time).timeline.now
                for prompt in suite.prompts
            ]
            mean = 1e3 * statistics.fmean(measured)
            name = strategy.kind + (f", γ = {strategy.length}" if strategy.length else "")
            print(f"| `zoo:edge` | {name} | {rtt:g} | {mean:.1f} | {said:.1f} | {said / mean:.3f} |", flush=True)


def encode(stepper: Stepper, count: int) -> list[list[int]]:
    """Prompts of nano questions."""
    return [stepper.encode([{"role": "user", "content": row.prompt}]) for row in test_questions()[:count]]


def nano(world: World, count: int) -> Suite:
    """Nano questions, answered in about 12 tokens."""
    return Suite("nano questions", encode(world.target, count), NANO_TOKENS, world.target.end_tokens)


def spec_bench(world: World, folder: Path, count: int) -> Suite:
    """Spec-Bench prompts (Xia et al. 2024), spread over its tasks, cut at the front to fit; end tokens are ignored."""
    lines = (folder / "question.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line)["turns"][0] for line in lines[:: max(1, len(lines) // count)]][:count]
    room = (world.target.context or 512) - LONG_TOKENS
    prompts = [world.target.encode([{"role": "user", "content": turn}])[-room:] for turn in asked]
    return Suite("Spec-Bench", prompts, LONG_TOKENS, ())
