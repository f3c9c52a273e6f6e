"""What the cloud worker costs beside the same model in this process, in time, bytes and memory.

Starts `ianvs cloud` in a process of its own on loopback and prints Markdown tables:

* steps: a step through the worker and one of a local session on the same tokens, turn and turn about, so that whatever
  else the machine does slows both; medians, the median of the differences and of the ratios, and where the time went
  by the worker's own clock;
* bytes: what a step sends and receives for each form of the answer, gRPC's prefix included;
* sessions: steps a second and the time of a step with one session and with many at once, and the worker's resident
  memory before, with all of them open, and after;
* recovery: how long a step takes that finds its stream broken and has its text computed again.

Run it from the repository's root:
`python benchmarks/cloud_worker.py [--model zoo:cloud] [--repeats 200] [--sessions 100] [--rounds 3]`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from ianvs_collab.cloud.backend import load
from ianvs_collab.cloud.client.server import CloudServer
from ianvs_collab.cloud.client.session import RemoteSession
from ianvs_collab.modelserver import load_model, open_stepper

START = "import sys; from ianvs_collab.cloud.command import main; sys.exit(main(sys.argv[1:]))"
TEXT = [(7 * index) % 1000 + 2 for index in range(128)]
WARM_UP, STEPS, TOP = 10, 20, 8
MIB = 2**20

Deed = Callable[[list[int]], object]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="zoo:cloud", help="model of worker and local session (default: zoo:cloud)")
    parser.add_argument("--repeats", type=int, default=200, help="timed pairs of steps (default: 200)")
    parser.add_argument("--sessions", type=int, default=100, help="sessions at once (default: 100)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of sessions at once (default: 3)")
    options = parser.parse_args()
    with worker(options.model) as address:
        server = load(address)
        print_steps(server, options.model, options.repeats)
        print_bytes(server, address)
        print_sessions(server, options.sessions, options.rounds)
        print_recovery(server, max(options.repeats // 10, 3))
        server.close()


@contextmanager
def worker(model: str) -> Iterator[str]:
    """A worker with a model in a process of its own; its address."""
    command = [sys.executable, "-c", START, "--model", model, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            sys.exit(f"the worker with model {model} did not start; `ianvs cloud --model {model}` says why")
        yield line.partition(" on ")[2].partition(",")[0]
        process.terminate()


def print_steps(server: CloudServer, model: str, repeats: int) -> None:
    """The time of steps through the worker beside local ones."""
    print(f"\n## Steps after {len(TEXT)} tokens, {repeats} pairs, medians in ms\n")
    print("| tokens | answer | local | worker | more by | ratio | computing | waiting | rest |\n" + "| --- " * 9 + "|")
    local, remote = open_stepper(load_model("transformers", model)).open(), server.stepper().open()
    local.prefill(TEXT)
    remote.prefill(TEXT)
    for count in (1, 8):
        for name, deed in forms(remote).items():
            print(f"| {count} | {name} | {compare(local, remote, deed, TEXT[:count], repeats)} |")


def compare(local: Any, remote: RemoteSession, deed: Deed, tokens: list[int], repeats: int) -> str:
    """A line of the table of steps."""
    rows = []
    for number in range(repeats + WARM_UP):
        deeds: list[Deed] = [local.step, deed] if number % 2 else [deed, local.step]
        times = {each: timed(lambda each=each: each(tokens)) for each in deeds}  # type: ignore[misc]
        cost = remote.cost
        assert cost is not None
        near, far = times[local.step], times[deed]
        rows.append((near, far, far - near, far / near, cost.compute_s, cost.queued_s, cost.network_s))
        local.rollback(len(tokens))
        remote.rollback(len(tokens))
    medians = [statistics.median(column) for column in zip(*rows[WARM_UP:], strict=True)]
    units = [1e3, 1e3, 1e3, 1, 1e3, 1e3, 1e3]
    return " | ".join(f"{median * unit:.2f}" for median, unit in zip(medians, units, strict=True))


def forms(session: RemoteSession) -> dict[str, Deed]:
    """Ways to ask for a step's answer."""
    return {
        "logits, float32": session.step,
        f"top {TOP}": lambda tokens: session.step_top(tokens, TOP),
        "most probable": session.step_argmax,
    }


def print_bytes(server: CloudServer, address: str) -> None:
    """The bytes of a step for each form of the answer."""
    print(f"\n## Bytes of a step, vocabulary of {server.stepper().vocabulary}\n")
    print("| answer | up, 1 token | down | up, 8 tokens | down |\n" + "| --- " * 5 + "|")
    with ExitStack() as opened:
        answers: dict[str, tuple[RemoteSession, Deed]] = {}
        for name, settings in (
            ("logits, float32", {}),
            ("logits, float32, zstd", {"zstd": True}),
            ("logits, bfloat16", {"logits": "bfloat16"}),
            ("logits, bfloat16, zstd", {"logits": "bfloat16", "zstd": True}),
        ):
            other = load(address, **settings)
            opened.callback(other.close)
            session = opened.enter_context(other.stepper().open())
            answers[name] = session, session.step
        session = opened.enter_context(server.stepper().open())
        answers |= {name: (session, deed) for name, deed in list(forms(session).items())[1:]}
        for name, (session, deed) in answers.items():
            print(f"| {name} | " + " | ".join(f"{size:,}" for size in sizes(session, deed)) + " |")


def sizes(session: RemoteSession, deed: Deed) -> list[int]:
    """Bytes up and down of steps of one and eight tokens."""
    found = []
    for count in (1, 8):
        deed(TEXT[:count])
        assert session.cost is not None
        found += [session.cost.sent_bytes, session.cost.received_bytes]
    return found


def print_sessions(server: CloudServer, most: int, rounds: int) -> None:
    """Throughput and memory with one session and with many."""
    print(
        f"\n## Sessions at once, each {STEPS} steps of one token after {len(TEXT)}, the most probable token asked for\n"
    )
    print("| sessions | steps/s | p50 ms | p99 ms | RSS before, MiB | all open | after |\n" + "| --- " * 7 + "|")
    for count in (1, *[most] * rounds):
        before = rss(server)
        stepper = server.stepper()
        sessions = [stepper.open() for _ in range(count)]
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda session: session.prefill(TEXT), sessions))
            start = time.perf_counter()
            times = sorted(seconds for found in pool.map(walk, sessions) for seconds in found)
            rate = len(times) / (time.perf_counter() - start)
        during = rss(server)
        for session in sessions:
            session.close()
        while server.stats()["sessions"]:
            time.sleep(0.02)
        tail = times[min(round(0.99 * len(times)), len(times) - 1)]
        shown = f"{rate:.0f} | {1e3 * statistics.median(times):.1f} | {1e3 * tail:.1f}"
        print(f"| {count} | {shown} | {before:.1f} | {during:.1f} | {rss(server):.1f} |")


def walk(session: RemoteSession) -> list[float]:
    """Times of steps of one session."""
    return [timed(lambda: session.step_argmax([5])) for _ in range(STEPS)]


def rss(server: CloudServer) -> float:
    """The worker's resident memory in MiB."""
    return float(server.stats()["rss_bytes"]) / MIB


def print_recovery(server: CloudServer, repeats: int) -> None:
    """The time of a step whose stream is broken."""
    with server.stepper().open() as session:
        session.prefill(TEXT)
        whole, broken = [], []
        for _ in range(repeats):
            whole.append(timed(lambda: session.step_argmax([5])))
            session._ready().close()
            broken.append(timed(lambda: session.step_argmax([6])))
            session.rollback(2)
        assert session.recoveries == repeats
    print(
        f"\nA step of one token after {len(TEXT)}: {1e3 * statistics.median(whole):.1f} ms; with its stream broken "
        f"{1e3 * statistics.median(broken):.1f} ms (medians of {repeats})"
    )


def timed(deed: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    deed()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
