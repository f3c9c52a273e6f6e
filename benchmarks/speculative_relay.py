"""Is the virtual timeline right? The same queries over a link that is really there, and on the timeline.

The target is `zoo:cloud`, the drafter `zoo:edge`. Once they take turns in this process, and the timeline says what two
machines and a link between them would have taken; once the target is a worker (`ianvs cloud`) in a process of its own,
behind a relay that delays, and a clock tells. Both ways decode every question in turn, so that whatever else the
machine does slows both; of several times the fastest counts. Each side computes on one thread. With asynchronous
speculation both do at the same time, so the machine needs two processors that do nothing else; with `--slowdown` both
devices are played that many times slower by waiting, so that they rarely need a processor at the same time, and a round
of models as small as these takes as long as one of models that are not.

Printed are medians over questions in the relay, and the median of the ratios to the virtual timeline, question by
question, with a bootstrap interval of 95 %. TPOT is (E2E - TTFT) / (n - 1) for n tokens. *Between* is what a round of
synchronous speculation takes beyond drafting, round-trip time and verification: gRPC, threads, the relay's lateness.

Run it from the repository's root: `OMP_NUM_THREADS=1 python benchmarks/speculative_relay.py [--questions 30]`.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from ianvs_collab.link import Deployment, Device, Link, Timeline
from ianvs_collab.link.relay import Relay
from ianvs_collab.modelserver import SamplingParams, load_model
from ianvs_collab.modelserver.stepping import Stepper, open_stepper
from ianvs_collab.speculative import Decoding, ModelDrafter, SpeculativeDecoder
from ianvs_collab.speculative.remote import EXTENSION, connect
from ianvs_collab.zoo.export import test_questions

PARAMS = SamplingParams(max_tokens=48)
WARM_UP = 3
MODES: dict[str, dict[str, Any]] = {
    "streamed": {"draft_length": 0},
    "synchronous": {},
    "asynchronous": {"pipelining": "asynchronous", "window": 8},
}
Times = tuple[float, float, float]
"""Seconds of TTFT, TPOT and E2E."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=30, help="nano questions (default: 30)")
    parser.add_argument("--length", type=int, default=4, help="draft length (default: 4)")
    parser.add_argument("--repeat", type=int, default=3, help="times that each is decoded (default: 3)")
    parser.add_argument("--slowdown", type=float, default=1.0, help="of both devices (default: 1)")
    parser.add_argument("--rtts", type=float, nargs="+", default=[10, 25, 50, 100], help="round-trip times, ms")
    options = parser.parse_args()
    target = open_stepper(load_model("transformers", "zoo:cloud", threads=1))
    draft = open_stepper(load_model("transformers", "zoo:edge", threads=1))
    asked = test_questions()[: options.questions + WARM_UP]
    prompts = [target.encode([{"role": "user", "content": row.prompt}]) for row in asked]
    prompts = [prompt for prompt in prompts for _ in range(options.repeat)]
    print("| RTT, ms | way | TTFT, ms | TPOT, ms | E2E, ms | TPOT, ratio | E2E, ratio | between, ms | equal |")
    print("|" + " --- |" * 9)
    with worker(options.slowdown) as port:
        for rtt in options.rtts:
            tiers = [deployment(tier, rtt, options.slowdown) for tier in ("virtual", "relay")]
            with Relay(tiers[1], ("127.0.0.1", port)) as relay:
                far = connect(f"{relay.host}:{relay.port}", relay=relay)
                for mode, settings in MODES.items():
                    chosen = {"draft_length": options.length, **settings}
                    print_row((rtt, mode), compare(tiers, (target, far, draft), prompts, chosen), options.repeat)
                far.close()


@contextmanager
def worker(slowdown: float) -> Iterator[int]:
    """The target in a process of its own, which ends with this one; its port."""
    command = [sys.executable, "-m", "ianvs_collab.inference.cloudprocess", "--model", "zoo:cloud", "--port", "0"]
    command += ["--option", "threads=1", "--extension", EXTENSION, "--slowdown", repr(slowdown)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        ready = re.search(r":(\d+), plaintext", process.stdout.readline())
        if not ready:
            raise SystemExit("the worker did not start")
        yield int(ready[1])
        process.stdin.close()


def deployment(tier: Any, rtt: float, slowdown: float) -> Deployment:
    """This machine, slowed down, at both ends of a link."""
    device = Device(slowdown=slowdown)
    return Deployment(name=f"{rtt:g} ms", tier=tier, edge=device, cloud=device, link=Link(rtt_ms=rtt))


def compare(
    tiers: Sequence[Deployment],
    models: tuple[Stepper, Stepper, Stepper],
    prompts: list[list[int]],
    settings: dict[str, Any],
) -> list[list[Decoding]]:
    """Every prompt on the virtual timeline and in the relay, in turn."""
    target, far, draft = models
    drafters = [ModelDrafter(draft, target.vocabulary, end_tokens=target.end_tokens) for _ in range(2)]
    sides = zip((target, far), drafters, strict=True)
    decoders = [SpeculativeDecoder(each, drafter, **settings) for each, drafter in sides]
    return [
        [decoder.decode_tokens(prompt, PARAMS, Timeline(where)) for decoder, where in zip(decoders, tiers, strict=True)]
        for prompt in prompts
    ]


def print_row(row: tuple[float, str], found: list[list[Decoding]], repeat: int) -> None:
    """Prints a way to decode at one round-trip time, relayed and beside the virtual timeline."""
    rtt, mode = row
    found = found[WARM_UP * repeat :]
    equal = sum(virtual.tokens == relayed.tokens for virtual, relayed in found)
    virtual, relayed = (fastest([pair[side] for pair in found], repeat) for side in range(2))
    medians = [f"{1000 * statistics.median(column):.1f}" for column in relayed.T]
    ratios = [ratio(relayed[:, figure] / virtual[:, figure]) for figure in (1, 2)]
    left = f"{1000 * between([pair[1] for pair in found]):.2f}" if mode == "synchronous" else ""
    print(f"| {rtt:g} | {mode} | {' | '.join(medians + ratios)} | {left} | {equal} of {len(found)} |", flush=True)


def fastest(decodings: Sequence[Decoding], repeat: int) -> NDArray[np.float64]:
    """TTFT, TPOT and E2E of each question, of its several times the one with the least E2E: shape (questions, 3)."""
    groups = [decodings[start : start + repeat] for start in range(0, len(decodings), repeat)]
    return np.array([min(map(times, group), key=lambda each: each[2]) for group in groups])


def times(decoding: Decoding) -> Times:
    """TTFT, TPOT and E2E of a completion."""
    first, last = decoding.timeline.commits[0], decoding.timeline.commits[-1]
    return first, (last - first) / max(1, len(decoding.tokens) - 1), last


def between(decodings: Sequence[Decoding]) -> float:
    """Seconds from a block to its verdict, less round trip and verification: the median over all but first blocks."""
    left = []
    for decoding in decodings:
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
