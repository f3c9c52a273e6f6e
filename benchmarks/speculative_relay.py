"""Is the virtual timeline right? The same queries over a link that is really there, and on the timeline.

The target is `zoo:cloud`, the drafter `zoo:edge`. Once they take turns in this process, and the timeline says what two
machines and a link between them would have taken; once the target is a worker (`ianvs cloud`) in a process of its own,
behind a relay that delays, and a clock tells.

Both models are played at the times of a table, measured here first (CPU time of one thread), and multiplied by each of
`--slowdowns`. The timeline is charged by that table; in the relay each step is waited for until its time is over, and
texts are decoded once before, so that nothing is left to compute. So edge and cloud do not slow each other down, as
they do where the processors of one machine share what is in it, and everything else is real: worker, gRPC, threads,
sockets, relay. With `--compute` the models compute instead, on one thread each, and what the machine makes of that is
in the figures.

What gRPC, threads and the relay's lateness take for a message is measured too, by blocks that are answered without the
model (the latest one once more), before each round-trip time; half of it is each message's `overhead_ms` on the
timeline. With `--bare` the timeline knows nothing of that.

Printed are medians over questions in the relay, of each question's median over `--repeat` times, and the median of the
ratios to the virtual timeline, question by question, with a bootstrap interval of 95 %. TPOT is (E2E - TTFT) / (n - 1)
for n tokens. *Between* is what a round of synchronous speculation takes beyond drafting, round-trip time and
verification; *overhead* what was measured for a message.

Run it from the repository's root: `OMP_NUM_THREADS=1 python benchmarks/speculative_relay.py [--questions 30]`.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap
from speculative_paced import overhead

from ianvs_collab.link import Deployment, Link, Timeline
from ianvs_collab.link.relay import CalibrationError, Relay
from ianvs_collab.modelserver import SamplingParams, load_model
from ianvs_collab.modelserver.stepping import Stepper, open_stepper
from ianvs_collab.speculative import Decoding, ModelDrafter, SpeculativeDecoder, make_codec
from ianvs_collab.speculative.paced import Costs, PacedClock, PacedStepper, WaitingClock, measure_costs
from ianvs_collab.speculative.protocols import Block
from ianvs_collab.speculative.remote import EXTENSION, RemoteTarget, connect
from ianvs_collab.speculative.remote.terms import Terms
from ianvs_collab.speculative.verification import Draft
from ianvs_collab.zoo.export import test_questions

PARAMS = SamplingParams(max_tokens=48)
MODES: dict[str, dict[str, Any]] = {
    "streamed": {"draft_length": 0},
    "synchronous": {},
    "asynchronous": {"pipelining": "asynchronous", "window": 8},
}
WORKER = Path(__file__).with_name("speculative_paced_worker.py")


@dataclass(frozen=True)
class Side:
    """One of the two ways: on the virtual timeline, or in the relay.

    Attributes:
        target: The cloud's model; of the relay the worker is asked for it.
        draft: The edge's model.
        clock: What measures its steps, in seconds.
    """

    target: Stepper | RemoteTarget
    draft: Stepper
    clock: Any

    def decoder(self, **settings: Any) -> SpeculativeDecoder:
        """What decodes this way."""
        drafter = ModelDrafter(self.draft, self.target.vocabulary, end_tokens=self.target.end_tokens)
        return SpeculativeDecoder(self.target, drafter, clock=self.clock, **settings)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=30, help="nano questions (default: 30)")
    parser.add_argument("--length", type=int, default=4, help="draft length (default: 4)")
    parser.add_argument("--repeat", type=int, default=3, help="times that each is decoded (default: 3)")
    parser.add_argument("--slowdowns", type=float, nargs="+", default=[1, 4], help="of both devices (default: 1 4)")
    parser.add_argument("--bare", action="store_true", help="let the timeline know nothing of the software's part")
    parser.add_argument("--compute", action="store_true", help="compute, instead of playing devices")
    parser.add_argument("--rtts", type=float, nargs="+", default=[10, 25, 50, 100], help="round-trip times, ms")
    options = parser.parse_args()
    models = Models()
    print(models.describe())
    figures = ("TTFT, ms", "TPOT, ms", "E2E, ms", "TPOT, ratio", "E2E, ratio", "overhead, ms", "between, ms", "equal")
    print(f"| slowdown | RTT, ms | way | {' | '.join(figures)} |\n{'| --- ' * 11}|")
    for slowdown in [1.0] if options.compute else options.slowdowns:
        pace = None if options.compute else slowdown
        with worker(models.costs[0].scaled(pace) if pace else None) as port:
            for rtt in options.rtts:
                measure(models, pace, rtt, port, options)


class Models:
    """The nano models, the times that they are played at, and questions for them."""

    def __init__(self) -> None:
        names = ("cloud", "edge")
        self.target, self.draft = (open_stepper(load_model("transformers", f"zoo:{name}", threads=1)) for name in names)
        self.prompts = [self.target.encode([{"role": "user", "content": row.prompt}]) for row in test_questions()]
        steppers = (self.target, self.draft)
        self.costs = [measure_costs(each, self.prompts[0], clock=time.process_time) for each in steppers]
        self.overhead_s = overhead(self.target, self.draft, self.prompts[:8])

    def describe(self) -> str:
        """The times, for people."""
        steps = ", ".join(f"{1000 * self.costs[0].step(count):.1f}" for count in (1, 5))
        drafting = f"draft steps {1000 * self.costs[1].prefill(1):.1f} ms"
        overhead_ms = f"overhead of an operation {1000 * self.overhead_s:.3f} ms"
        return f"target steps of 1 and 5 tokens {steps} ms, {drafting}; {overhead_ms}"

    def sides(self, far: RemoteTarget, pace: float | None) -> tuple[Side, Side]:
        """On the virtual timeline and in the relay, so many times slower than the table; None to compute."""
        if pace is None:
            return Side(self.target, self.draft, time.perf_counter), Side(far, self.draft, time.perf_counter)
        clock, tables = PacedClock(self.overhead_s), [each.scaled(pace) for each in self.costs]
        virtual = Side(PacedStepper(self.target, tables[0], clock), PacedStepper(self.draft, tables[1], clock), clock)
        return virtual, Side(far, PacedStepper(self.draft, tables[1], WaitingClock()), time.perf_counter)


def measure(models: Models, pace: float | None, rtt: float, port: int, options: argparse.Namespace) -> None:
    """Prints the rows of one round-trip time."""
    prompts = models.prompts[: options.questions]
    link = Link(rtt_ms=rtt, uplink_mbps=100, downlink_mbps=100)
    with calm_relay(link, port) as relay:
        far = connect(f"{relay.host}:{relay.port}", relay=relay)
        overhead_ms = max(0.0, 500 * (echo(far, prompts[0]) - rtt / 1000))
        link = link.model_copy(update={"overhead_ms": 0.0 if options.bare else overhead_ms})
        places = [Deployment(name=tier, tier=tier, link=link) for tier in ("virtual", "relay")]
        for mode, settings in MODES.items():
            chosen = {"draft_length": options.length, **settings}
            found = compare(models.sides(far, pace), places, prompts, options.repeat, chosen)
            left = f"{1000 * between(found):.2f}" if mode == "synchronous" else ""
            print_row(f"| {pace or 'none'} | {rtt:g} | {mode} |", found, f"| {overhead_ms:.2f} | {left} |")
        far.close()


@contextmanager
def calm_relay(link: Link, port: int) -> Iterator[Relay]:
    """A relay; where its calibration finds the machine too busy, it is tried again for some minutes."""
    for left in reversed(range(20)):
        with ExitStack() as opened:
            try:
                relay = opened.enter_context(Relay(Deployment(tier="relay", link=link), ("127.0.0.1", port)))
            except CalibrationError as error:
                if not left:
                    raise
                print(f"{error}; trying again", file=sys.stderr)
                time.sleep(10)
                continue
            yield relay
            return


@contextmanager
def worker(costs: Costs | None) -> Iterator[int]:
    """The target in a process of its own, which ends with this one, at a pace if one is given; its port."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "costs.json")
        chosen = ["-m", "ianvs_collab.inference.cloudprocess", "--option", "threads=1"]
        if costs:
            table.write_text(json.dumps(asdict(costs)), encoding="utf-8")
            chosen = [str(WORKER), "--backend", "paced", "--option", f"costs={table}"]
        command = [sys.executable, *chosen, "--model", "zoo:cloud", "--port", "0", "--extension", EXTENSION]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin
            assert process.stdout
            ready = re.search(r":(\d+), plaintext", process.stdout.readline())
            if not ready:
                raise SystemExit("the worker did not start")
            yield int(ready[1])
            process.stdin.close()


def compare(
    sides: tuple[Side, Side],
    places: Sequence[Deployment],
    prompts: list[list[int]],
    repeat: int,
    settings: dict[str, Any],
) -> list[list[tuple[Decoding, Decoding]]]:
    """Every prompt on the virtual timeline and in the relay, in turn: repetitions of each prompt."""
    decoders = [side.decoder(**settings) for side in sides]

    def once(prompt: list[int]) -> tuple[Decoding, Decoding]:
        time.sleep(0.05 + places[1].link.rtt_ms / 1000)  # the worker has done with the last query
        virtual, real = (
            decoder.decode_tokens(prompt, PARAMS, Timeline(place))
            for decoder, place in zip(decoders, places, strict=True)
        )
        return virtual, real

    return [[once(prompt) for _ in range(repeat + 1)][1:] for prompt in prompts]


def echo(far: RemoteTarget, prompt: list[int], times: int = 40) -> float:
    """Median seconds from a block to its verdict where the model has nothing to do, as it was answered before."""
    codec = make_codec("ids", far.vocabulary)
    query = far.begin(Terms.of("greedy", "ids", {}, SamplingParams(max_tokens=48, seed=0), eager=True))
    query.open(codec.encode_prompt(prompt))
    block = codec.encode_block(Block(0, Draft([1, 2, 3, 4])))
    found = []
    for _ in range(times):
        time.sleep(0.01)  # as there is between blocks
        sent = time.perf_counter()
        query.post(block)
        query.take()
        found.append(time.perf_counter() - sent)
    query.close()
    return statistics.median(found[1:])


def print_row(head: str, found: list[list[tuple[Decoding, Decoding]]], left: str) -> None:
    """Prints a way to decode at one round-trip time, relayed and beside the virtual timeline."""
    pairs = [pair for group in found for pair in group]
    equal = sum(virtual.tokens == relayed.tokens for virtual, relayed in pairs)
    virtual, relayed = (typical([[pair[side] for pair in group] for group in found]) for side in range(2))
    medians = [f"{1000 * statistics.median(column):.1f}" for column in relayed.T]
    ratios = [ratio(relayed[:, figure] / virtual[:, figure]) for figure in (1, 2)]
    print(f"{head} {' | '.join(medians + ratios)} {left} {equal} of {len(pairs)} |", flush=True)


def typical(groups: Sequence[Sequence[Decoding]]) -> NDArray[np.float64]:
    """TTFT, TPOT and E2E of each question, medians of its repetitions, in seconds: shape (questions, 3)."""
    return np.array([np.median([times(decoding) for decoding in group], axis=0) for group in groups])


def times(decoding: Decoding) -> tuple[float, float, float]:
    """Seconds of TTFT, TPOT and E2E of a completion."""
    first, last = decoding.timeline.commits[0], decoding.timeline.commits[-1]
    return first, (last - first) / max(1, len(decoding.tokens) - 1), last


def between(found: list[list[tuple[Decoding, Decoding]]]) -> float:
    """Seconds from a block to its verdict, less round trip and verification: the median over all but first blocks."""
    left = []
    for decoding in (pair[1] for group in found for pair in group):
        sent = [event.start for event in decoding.timeline.events if event.resource == "uplink"][1:]
        come = [event.start for event in decoding.timeline.events if event.resource == "downlink"]
        rtt = decoding.timeline.deployment.link.rtt_ms / 1000
        left += [
            end - start - rtt - model for start, end, model in zip(sent, come, decoding.meter.verify_s, strict=False)
        ][1:]
    return statistics.median(left)


def ratio(values: NDArray[np.float64]) -> str:
    """The median and its interval; an answer that came as a whole has no TPOT to compare."""
    values = values[np.isfinite(values) & (values > 0)]
    low, high = bootstrap((values,), np.median, rng=np.random.default_rng(0)).confidence_interval
    return f"{np.median(values):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
