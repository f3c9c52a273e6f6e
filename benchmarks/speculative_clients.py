"""How many clients one verifier serves at a fixed time per output token: streaming, speculation alone and in batches.

First, what sharing a forward pass saves: `step_together` over n sessions beside stepping each alone, and beside one
bare call of the model on an equally large batch whose cache is already in one piece, which is what joining the caches
of separate clients costs.

Then closed-loop clients, each with a device of its own, that ask one nano question after the other over a link with
the given round trip. MEASURED, by CPU time on one thread of this machine, in this run: every draft, every prompt,
every forward pass of the target with the blocks that are really waiting for it, every verdict; all of them are really
computed, by the code that a worker runs, and every answer is compared with the target's own. SIMULATED: the clock, on
which the clients' devices and the verifier work at the same time, and the link, a constant delay; a block's bytes, a
network stack and a process switch take no time. The verifier does what it is asked for in order, as a worker with one
thread for the model does: a block's turn is a pass with all blocks that wait. Prompts are read each alone, while the
edge drafts its first block, or, with streaming and in the last scheme, in a pass with the others' blocks.

Streaming is the cloud alone with continuous batching: no drafts, one round trip for an answer. TPOT is (last token -
first token) / (tokens - 1) of an answer. With short answers that leaves out much of what a user waits for, since a
block's tokens come all at once, so the time from the question to the last token, divided by the tokens, is given too.

Run it from the repository's root: `python benchmarks/speculative_clients.py [--clients 1,2,4,8,16,32] [--rtts 10,50]`.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from transformers import DynamicCache

from ianvs_collab.modelserver import SamplingParams, load_model
from ianvs_collab.modelserver.stepping import Stepper, greedy, open_stepper, step_together
from ianvs_collab.speculative import ModelDrafter
from ianvs_collab.speculative.batching import BatchedHalf, Batcher, Ticket
from ianvs_collab.speculative.drafters import Silent
from ianvs_collab.speculative.loop import CloudHalf, EdgeHalf
from ianvs_collab.speculative.modes import make_generator, make_picker, make_verifier
from ianvs_collab.speculative.protocols import make_codec
from ianvs_collab.zoo.export import test_questions

MAX_TOKENS = 48
PARAMS = SamplingParams(max_tokens=MAX_TOKENS, seed=0)
OBJECTIVES_MS = (10, 25, 50, 100)
STAGGER_S = 0.5
T = TypeVar("T")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", default="1,2,4,8,16,32", help="numbers of clients (default: %(default)s)")
    parser.add_argument("--rtts", default="10,50", help="round trips in ms (default: %(default)s)")
    parser.add_argument("--length", type=int, default=5, help="draft length (default: %(default)s)")
    parser.add_argument("--answers", type=int, default=3, help="answers of each client (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=15, help="timings of each forward pass (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    target = open_stepper(load_model("transformers", "zoo:cloud"))
    edge = open_stepper(load_model("transformers", "zoo:edge"))
    prompts = [target.encode([{"role": "user", "content": row.prompt}]) for row in test_questions()[:40]]
    counts = [int(text) for text in arguments.clients.split(",")]
    for width in (1, arguments.length + 1):
        passes(target, prompts, counts, width, arguments.repeats)
    asked = [Asked(prompt, alone(target, prompt)) for prompt in prompts]
    schemes = [
        Scheme("streamed, batched", 0, max(counts), eager=False),
        Scheme("speculation, one by one", arguments.length, 1),
        Scheme("speculation, batched", arguments.length, max(counts)),
        Scheme("the same, prompts too", arguments.length, max(counts), eager=False),
    ]
    for rtt_ms in map(float, arguments.rtts.split(",")):
        compare(Place(target, edge, asked), schemes, counts, rtt_ms, arguments.answers)


def passes(target: Stepper, prompts: list[list[int]], counts: list[int], width: int, repeats: int) -> None:
    """Prints what a forward pass over several clients takes."""
    print(f"\n| clients, {width} tokens each | together, ms | one by one, ms | gain | one batch from the start, ms |")
    print("| --- | --- | --- | --- | --- |")
    for count in counts:
        sessions = [target.open() for _ in range(count)]
        rows = [prompts[index % len(prompts)] for index in range(count)]
        for session, row in zip(sessions, rows, strict=True):
            session.prefill(row)
        new = [row[:width] for row in rows]
        bare = bare_pass(target, max(rows, key=len), count, width)
        times: dict[str, list[float]] = {"together": [], "alone": [], "bare": []}
        deeds: dict[str, Callable[[], object]] = {
            "together": lambda s=sessions, n=new: step_together(s, n),  # type: ignore[misc]
            "alone": lambda s=sessions, n=new: [one.step(row) for one, row in zip(s, n, strict=True)],  # type: ignore[misc]
            "bare": bare,
        }
        for name in [*deeds, *deeds] + [name for _ in range(repeats) for name in deeds]:
            times[name].append(timed(deeds[name])[1])
            if name != "bare":
                for session in sessions:
                    session.rollback(width)
        together, apart, batch = (1e3 * statistics.median(values[2:]) for values in times.values())
        print(f"| {count} | {together:.1f} | {apart:.1f} | {apart / together:.2f} x | {batch:.1f} |", flush=True)


def bare_pass(target: Stepper, prompt: list[int], count: int, width: int) -> Callable[[], None]:
    """A function that calls the model on a batch whose cache is in one piece."""
    cache, engine = DynamicCache(), target.engine  # type: ignore[attr-defined]
    with engine.at_work() as model:
        model(input_ids=torch.tensor([prompt] * count), past_key_values=cache, use_cache=True)
    tokens = torch.tensor([prompt[:width]] * count)

    def call() -> None:
        with engine.at_work() as model:
            model(input_ids=tokens, past_key_values=cache, use_cache=True)
        cache.crop(-width)

    return call


@dataclass(frozen=True)
class Asked:
    """A question, and what the target answers alone."""

    prompt: list[int]
    answer: list[int]


@dataclass(frozen=True)
class Place:
    """The verifier's model, the clients' model, and what they ask."""

    target: Stepper
    edge: Stepper
    asked: list[Asked]


@dataclass(frozen=True)
class Scheme:
    """A way to serve clients.

    Attributes:
        name: What it is called.
        length: Tokens drafted for a block; 0: the cloud streams.
        max_batch: Clients in a pass.
        eager: Whether a prompt is read alone when it comes, or in a pass with others when its first block is there.
    """

    name: str
    length: int
    max_batch: int
    eager: bool = True


@dataclass
class Outcome:
    """What the clients saw, in seconds, and what the verifier did."""

    tpot: list[float] = field(default_factory=list)
    per_token: list[float] = field(default_factory=list)
    different: int = 0
    busy_s: float = 0.0
    span_s: float = 0.0
    batch: float = 0.0


def compare(place: Place, schemes: list[Scheme], counts: list[int], rtt_ms: float, answers: int) -> None:
    """Prints the tables of one round-trip time."""
    print(
        f"\nRTT {rtt_ms:g} ms, draft length {schemes[-1].length}: TPOT p50 / p90; answer time per token p50; all ms\n"
    )
    print("| clients | " + " | ".join(f"{scheme.name} | clients in a pass, cloud busy" for scheme in schemes) + " |")
    print("| --- |" + " --- | --- |" * len(schemes))
    found: dict[tuple[str, int], Outcome] = {}
    for count in counts:
        cells = []
        for scheme in schemes:
            world = World(place, scheme, count, rtt_ms / 1000)
            outcome = found[scheme.name, count] = world.run(max(16, answers * count))
            tpot = 1e3 * np.percentile(outcome.tpot, [50, 90])
            cells.append(f"{tpot[0]:.1f} / {tpot[1]:.1f}; {1e3 * np.median(outcome.per_token):.1f}")
            cells.append(f"{outcome.batch:.1f}, {outcome.busy_s / outcome.span_s:.0%}")
        print(f"| {count} | {' | '.join(cells)} |", flush=True)
    different = sum(outcome.different for outcome in found.values())
    total = sum(len(outcome.tpot) for outcome in found.values())
    print(f"\n{total} answers counted, {different} of them not the target's own\n")
    print("| objective | " + " | ".join(scheme.name for scheme in schemes) + " |")
    print("| --- |" + " --- |" * len(schemes))
    for name in ("tpot", "per_token"):
        label = "TPOT" if name == "tpot" else "answer time per token"
        for objective in OBJECTIVES_MS:
            best = [served(found, scheme.name, counts, name, objective / 1000) for scheme in schemes]
            print(f"| p90 of {label} at most {objective} ms | {' | '.join(best)} |")


def served(found: dict[tuple[str, int], Outcome], scheme: str, counts: list[int], name: str, objective: float) -> str:
    """The largest number of clients up to which 90 % of the answers meet an objective."""
    kept = list(
        itertools.takewhile(lambda n: np.percentile(getattr(found[scheme, n], name), 90) <= objective, sorted(counts))
    )
    if not kept:
        return "none"
    return f"{kept[-1]} or more" if kept[-1] == max(counts) else str(kept[-1])


class World:
    """Clients, a link and a verifier on one simulated clock; whatever they compute is computed and timed for real.

    Args:
        place: Models and questions.
        scheme: How clients are served.
        count: How many clients.
        rtt_s: Round trip.
    """

    def __init__(self, place: Place, scheme: Scheme, count: int, rtt_s: float) -> None:
        self.target, self.edge, self.scheme, self.way_s = place.target, place.edge, scheme, rtt_s / 2
        self.codec = make_codec("ids", place.target.vocabulary)
        self.batcher = Batcher(scheme.max_batch)
        self.outcome = Outcome()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._serial = itertools.count()
        self._requests: deque[Callable[[], bool]] = deque()
        self._busy = False
        self._answered = 0
        draw = random.Random(count)
        self.clients = [Client(self, endless(place.asked, draw)) for _ in range(count)]
        for client in self.clients:
            self.at(draw.uniform(0, STAGGER_S), client.ask)

    def at(self, when: float, deed: Callable[[float], None]) -> None:
        """Have something happen at a time."""
        heapq.heappush(self._events, (when, next(self._serial), deed))

    def run(self, answers: int) -> Outcome:
        """Go on until so many answers were given; the first one of each client is for warming up."""
        start = 0.0
        while self._answered < answers + len(self.clients):
            now, _, deed = heapq.heappop(self._events)
            if self._answered < len(self.clients):
                start, self.outcome.busy_s = now, 0.0
                self.batcher.sizes.clear()
            deed(now)
        self.outcome.span_s = now - start
        self.outcome.batch = self.batcher.sizes.total() and statistics.mean(self.batcher.sizes.elements())
        for client in self.clients:
            client.hang_up()
        return self.outcome

    def answered(self, asked: Asked, tokens: list[int], begun: float, commits: list[float]) -> None:
        """Note an answer."""
        self._answered += 1
        if self._answered > len(self.clients):
            self.outcome.tpot.append((commits[-1] - commits[0]) / max(1, len(tokens) - 1))
            self.outcome.per_token.append((commits[-1] - begun) / len(tokens))
            self.outcome.different += tokens != asked.answer

    def request(self, deed: Callable[[], bool], now: float) -> None:
        """Have the verifier do something, in the order of requests; `deed` says whether there was anything to do."""
        self._requests.append(deed)
        self._wake(now)

    def _wake(self, now: float) -> None:
        while self._requests and not self._busy:
            self._busy = True
            worked, seconds = timed(self._requests.popleft())
            if worked:
                self.at(now + seconds, lambda at, took=seconds: self._done(took, at))  # type: ignore[misc]
            else:
                self._busy = False

    def _done(self, seconds: float, now: float) -> None:
        self.outcome.busy_s += seconds
        for client in self.clients:
            client.fetch(now)
        self._busy = False
        self._wake(now)


class Client:
    """One edge, which asks one question after the other.

    Args:
        world: Where it is.
        questions: What it asks.
    """

    def __init__(self, world: World, questions: Iterator[Asked]) -> None:
        self._world, self._questions = world, questions
        ends = world.target.end_tokens
        self._drafter: Any = (
            ModelDrafter(world.edge, world.target.vocabulary, end_tokens=ends) if world.scheme.length else Silent()
        )
        self._cloud: BatchedHalf | None = None
        self._ticket: Ticket | None = None
        self._fetched = 0

    def ask(self, now: float) -> None:
        """Send a prompt, and draft the first block while the cloud reads it."""
        world, self._asked = self._world, next(self._questions)
        verifier = make_verifier("greedy", PARAMS, world.codec)
        ends, eager = world.target.end_tokens, world.scheme.eager
        self._edge = EdgeHalf(self._drafter, world.codec, make_generator(PARAMS), MAX_TOKENS, ends)
        cloud = BatchedHalf(CloudHalf(world.target, world.codec, verifier, ends, eager=eager), world.batcher)
        self._cloud, self._begun, self._commits = cloud, now, list[float]()
        self._opened, self._early = False, list[bytes]()
        payload = world.codec.encode_prompt(self._asked.prompt)

        def read() -> bool:
            cloud.open(payload)
            self._opened = True
            for block in self._early:
                self._post(block, now)
            return True

        world.at(now + world.way_s, lambda at: world.request(read, at))
        picker = make_picker("greedy", PARAMS, world.codec)
        _, seconds = timed(lambda: self._drafter.begin(self._asked.prompt, picker))
        self._send(now + seconds)

    def fetch(self, now: float) -> None:
        """Let the verdicts that are ready travel to the edge."""
        while self._cloud is not None and self._ticket is not None and self._ticket.settled:
            verdict = self._cloud.take(self._ticket)
            if verdict is None:
                self._ticket = None
                return
            self._fetched += 1
            self._world.at(now + self._world.way_s, lambda at, got=verdict: self._receive(got, at))  # type: ignore[misc]
            if not self._ticket.over:
                self._want(self._ticket, now)

    def hang_up(self) -> None:
        """End the query."""
        if self._cloud is not None:
            self._cloud.close()
        self._drafter.end()
        self._cloud = self._ticket = None

    def _send(self, now: float) -> None:
        world = self._world
        payload, seconds = timed(
            lambda: world.codec.encode_block(self._edge.block(world.scheme.length, MAX_TOKENS)),
        )
        world.at(now + seconds + world.way_s, lambda at: self._arrive(payload, at))

    def _arrive(self, payload: bytes, now: float) -> None:
        """A block is at the cloud; one that comes before its prompt was read waits for that."""
        if self._opened:
            self._post(payload, now)
        else:
            self._early.append(payload)

    def _post(self, payload: bytes, now: float) -> None:
        assert self._cloud is not None
        self._ticket = self._cloud.post(payload)
        self._want(self._ticket, now)

    def _want(self, ticket: Ticket, now: float) -> None:
        """Ask for the next verdict; if another client's pass has brought it by then, there is nothing to do."""
        known = self._fetched
        self._world.request(lambda: self._fetched == known and not ticket.over and self._world.batcher.work(), now)

    def _receive(self, verdict: bytes, now: float) -> None:
        tokens, seconds = timed(lambda: self._edge.receive(verdict))
        self._commits += [now + seconds] * len(tokens)
        if self._edge.finished:
            self.hang_up()
            self._world.answered(self._asked, self._edge.tokens, self._begun, self._commits)
            self.ask(now + seconds)
        elif not self._edge.outstanding:
            self._send(now + seconds)


def endless(asked: list[Asked], draw: random.Random) -> Iterator[Asked]:
    """Questions in random order, again and again."""
    while True:
        yield draw.choice(asked)


def alone(target: Stepper, prompt: Sequence[int]) -> list[int]:
    """What the target answers alone."""
    with target.open() as session:
        return greedy(session, prompt, MAX_TOKENS, target.end_tokens)


def timed(deed: Callable[[], T]) -> tuple[T, float]:
    """What a call gives, and its CPU seconds."""
    start = time.process_time()
    result = deed()
    return result, time.process_time() - start


if __name__ == "__main__":
    main()
