"""How close the relay comes to the link asked for: round trip, rates, the virtual tier's times, and what it costs.

Prints Markdown tables of medians over several runs:

* timers: how much later than asked a sleep ends, with asyncio's usual selector and with the relay's;
* links: round trip and rates asked for and measured by the relay's own calibration, how far off they are, and how busy
  the relay's process was; a run that the relay would refuse to report counts as refused;
* messages: a request and a streamed answer over a link with jitter and loss, the virtual tier's arrival times against
  the relay's, with the same seed.

With `--tier namespaces`, links only, without the traced one: the kernel holds bytes to the rate there.
With `--busy N` as many processes keep the processors busy beside it, as models do.

Run it from the repository's root:
`python benchmarks/relay_accuracy.py [--repeat 5] [--busy 0] [--ordinary-priority] [--tier relay]`.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ianvs_collab.link import Deployment, Link, RateTrace, Timeline
from ianvs_collab.link.namespaces import NamespacedRelay
from ianvs_collab.link.relay import Calibration, Relay
from ianvs_collab.link.relay.precision import lower_timer_slack, precise_loop

WALK = RateTrace(((0.0, 12.0), (0.4, 4.0), (0.8, 20.0), (1.2, 0.5), (1.4, 8.0)), repeat_after=2.0)
LINKS: dict[str, tuple[Link, RateTrace | None]] = {
    "4G": (Link(rtt_ms=70, uplink_mbps=8, downlink_mbps=30), None),
    "4G, 12 ms jitter, 0.5 % loss": (Link(rtt_ms=70, uplink_mbps=8, downlink_mbps=30, jitter_ms=12, loss=0.005), None),
    "Wi-Fi": (Link(rtt_ms=5, uplink_mbps=100, downlink_mbps=200), None),
    "LAN, 1 Gbit/s": (Link(rtt_ms=0.4, uplink_mbps=1000, downlink_mbps=1000), None),
    "satellite": (Link(rtt_ms=600, uplink_mbps=3, downlink_mbps=50), None),
    "traced uplink, 0.5 to 20 Mbit/s": (Link(rtt_ms=50, downlink_mbps=30), WALK),
}
MESSAGES = [("uplink", 2000)] + [("downlink", 220)] * 30
SLEEPS = 200


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each link (default 5)")
    parser.add_argument("--busy", type=int, default=0, help="processes that keep processors busy (default 0)")
    parser.add_argument("--ordinary-priority", action="store_true", help="do not ask for real-time priority")
    parser.add_argument("--tier", choices=["relay", "namespaces"], default="relay", help="which to measure")
    options = parser.parse_args()
    with busy_processes(options.busy):
        if options.tier == "namespaces":
            print_links(NamespacedRelay, options.repeat, realtime=not options.ordinary_priority)
            return
        print_timers()
        print_links(Relay, options.repeat, realtime=not options.ordinary_priority)
        print_messages(options.repeat, realtime=not options.ordinary_priority)


def print_timers() -> None:
    """Lateness of sleeps."""
    print("| event loop | median lateness of a sleep [ms] | 99th percentile [ms] |\n| --- | --- | --- |")
    lower_timer_slack()
    for name, loop in (("asyncio's own", asyncio.new_event_loop()), ("the relay's", precise_loop())):
        with asyncio.Runner(loop_factory=lambda loop=loop: loop) as runner:
            late = sorted(runner.run(lateness()))
        print(f"| {name} | {statistics.median(late) * 1000:.3f} | {late[int(len(late) * 0.99)] * 1000:.3f} |")


async def lateness() -> list[float]:
    """Seconds by which sleeps of 1 to 10 ms end late."""
    late = []
    for index in range(SLEEPS):
        asked = 0.001 + 0.009 * index / SLEEPS
        start = time.monotonic()
        await asyncio.sleep(asked)
        late.append(time.monotonic() - start - asked)
    return late


def print_links(kind: type[Relay], repeat: int, *, realtime: bool) -> None:
    """Calibrations of every link."""
    print(
        "\n| link | RTT asked [ms] | measured [ms] | off [ms] | uplink asked [Mbit/s] | measured | off "
        "| downlink asked [Mbit/s] | measured | off | relay's CPU | refused |"
    )
    print("|" + " --- |" * 12)
    refused = []
    for name, (link, trace) in LINKS.items():
        if trace and kind is NamespacedRelay:
            continue
        runs = [calibrated(kind, Deployment(link=link, seed=seed), trace, realtime=realtime) for seed in range(repeat)]
        refused += [f"{name}: {'; '.join(found.problems)}" for found, _ in runs if found.problems]
        cpu, off = statistics.median(cpu for _, cpu in runs), sum(bool(found.problems) for found, _ in runs)
        print(f"| {name} | {row([found for found, _ in runs])} | {cpu:.1%} | {off} of {repeat} |")
    print("\n".join(["", *(f"Refused: {one}." for one in refused)]))


def calibrated(
    kind: type[Relay], deployment: Deployment, trace: RateTrace | None, *, realtime: bool
) -> tuple[Calibration, float]:
    """One calibration, and the share of a processor that the relay took for it."""
    traces = {"uplink_trace": trace} if trace else {}
    with kind(deployment, ("127.0.0.1", 9), **traces, check=False, realtime=realtime) as relay:
        cpu, start = relay.counters().cpu_seconds, time.monotonic()
        found = relay.calibrate()
        return found, (relay.counters().cpu_seconds - cpu) / (time.monotonic() - start)


def row(runs: list[Calibration]) -> str:
    """Medians over the runs."""

    def median(name: str) -> float:
        return statistics.median(getattr(one, name) for one in runs)

    def off(name: str) -> float:
        return statistics.median(getattr(one, f"{name}_mbps") / getattr(one, f"{name}_asked_mbps") - 1 for one in runs)

    late = statistics.median(one.rtt_ms - one.rtt_asked_ms for one in runs)
    cells = [f"{median('rtt_asked_ms'):.2f}", f"{median('rtt_ms'):.2f}", f"{late:+.2f}"]
    for name in ("uplink", "downlink"):
        cells += [f"{median(f'{name}_asked_mbps'):.2f}", f"{median(f'{name}_mbps'):.2f}", f"{off(name):+.2%}"]
    return " | ".join(cells)


def print_messages(repeat: int, *, realtime: bool) -> None:
    """The same exchange in both tiers."""
    deployment = Deployment(link=Link(rtt_ms=70, uplink_mbps=8, downlink_mbps=30, jitter_ms=12, loss=0.005), seed=1)
    found = [exchange(deployment, str(query), realtime=realtime) for query in range(repeat)]
    virtual, relay = ([pair[side] for pair in found] for side in (0, 1))
    differences = [abs(a - b) for one, other in found for a, b in zip(one, other, strict=True)]
    print("\n| exchange over 4G | virtual | relay |\n| --- | --- | --- |")
    for name, index in (("request arrives", 0), ("first event arrives", 1), ("last event arrives", -1)):
        medians = [statistics.median(times[index] for times in side) * 1000 for side in (virtual, relay)]
        print(f"| {name} [ms] | {medians[0]:.2f} | {medians[1]:.2f} |")
    print(
        f"\nMedian difference of one arrival: {statistics.median(differences) * 1000:.2f} ms, "
        f"largest: {max(differences) * 1000:.2f} ms, over {len(differences)} messages."
    )


def exchange(deployment: Deployment, key: str, *, realtime: bool) -> tuple[list[float], list[float]]:
    """Arrival times in both tiers of a request and a streamed answer, an event every 10 ms, in seconds."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Relay(deployment, listener.getsockname(), check=False, realtime=realtime) as relay,
        socket.create_connection((relay.host, relay.port)) as edge,
        listener.accept()[0] as cloud,
    ):
        for end in (edge, cloud):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        relay.restart(key)
        return _both(Timeline(deployment, key), edge, cloud)


def _both(timeline: Timeline, edge: socket.socket, cloud: socket.socket) -> tuple[list[float], list[float]]:
    start = time.monotonic()
    edge.sendall(bytes(MESSAGES[0][1]))
    read(cloud, MESSAGES[0][1])
    measured = [time.monotonic() - start]
    expected = [timeline.transfer("uplink", MESSAGES[0][1], "request")]
    for _, nbytes in MESSAGES[1:]:
        time.sleep(0.01)
        now = time.monotonic() - start
        expected.append(timeline.transfer("downlink", nbytes, "event", after=now))
        cloud.sendall(bytes(nbytes))
        read(edge, nbytes)
        measured.append(time.monotonic() - start)
    return expected, measured


def read(sock: socket.socket, nbytes: int) -> None:
    """Wait for so many bytes."""
    while nbytes:
        got = len(sock.recv(nbytes))
        if not got:
            raise SystemExit("the relay closed the connection")
        nbytes -= got


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep processors busy."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
