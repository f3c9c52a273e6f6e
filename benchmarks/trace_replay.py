"""What it costs to replay routers over a trace: routed queries, estimates and files a second.

Prints medians over several repetitions, because a machine is never idle:

* `scores`: decisions, qualities and tokens of given scores (`Replayer.threshold`), features and trace being ready;
* `batch`: a router that scores all queries as one batch, each query being handed to it anew (`Replayer.router`);
* `calls`: the same router called query by query (`Router.__call__`, which also times and books each decision);
* `estimate`: latency, bytes, cost and energy of each routed query under a deployment;
* `read`, `write`: the trace's files.

The trace is a folder (`--trace FOLDER`), by default the nano trace of the repository. Its rows are repeated until there
are `--queries`. Run it from the repository's root: `python benchmarks/trace_replay.py [--queries 7000] [--repeat 7]`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ianvs_collab.inference import Answer, Query
from ianvs_collab.link import load_deployment
from ianvs_collab.routing import Router
from ianvs_collab.routing.traces import Trace, read_trace, write_trace
from ianvs_collab.routing.traces.estimate import estimate_route
from ianvs_collab.routing.traces.replay import Replayer

PROMISED = 20_000


class FixedScores(Router):
    """A router whose scores are known: what is left is the cost of routing itself."""

    def __init__(self, scores: np.ndarray) -> None:
        super().__init__(0.5)
        self._all = scores
        self._by_id: dict[str, float] = {}

    def know(self, trace: Trace) -> None:
        """Learn which score is whose."""
        self._by_id = {row.query_id: float(score) for row, score in zip(trace, self._all, strict=True)}

    def score(self, data: Query | Answer) -> float:
        """The score of one query, looked up."""
        return self._by_id[data["query_id"]]

    def scores(self, batch: Sequence[Query | Answer]) -> np.ndarray:
        """The scores of all."""
        return self._all


def repeated(trace: Trace, count: int) -> Trace:
    """The rows over and over, each with an id of its own."""
    rows = [replace(trace.rows[n % len(trace)], query_id=f"q{n}") for n in range(count)]
    return Trace(rows, trace.name, trace.provenance)


def rate(run: Callable[[], object], count: int, repeat: int) -> float:
    """Median of queries per second."""
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return count / statistics.median(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", default="testenv/nano/train_data")
    parser.add_argument("--deployment", default="testenv/deployments/4g.yaml")
    parser.add_argument("--queries", type=int, default=7000)
    parser.add_argument("--repeat", type=int, default=7)
    arguments = parser.parse_args()
    trace = repeated(read_trace(arguments.trace), arguments.queries)
    scores = np.random.default_rng(0).random(len(trace))
    router, replayer, deployment = FixedScores(scores), Replayer(trace), load_deployment(arguments.deployment)
    router.know(trace)
    queries, hard = trace.queries(), scores >= router.threshold
    assert [router(query) for query in queries] == replayer.threshold(scores, 0.5).to_cloud.tolist()
    with tempfile.TemporaryDirectory() as folder:
        measured = {
            "scores": rate(lambda: replayer.threshold(scores, 0.5).tokens, len(trace), arguments.repeat),
            "batch": rate(lambda: replayer.router(router), len(trace), arguments.repeat),
            "calls": rate(lambda: [router(query) for query in queries], len(trace), arguments.repeat),
            "estimate": rate(
                lambda: [estimate_route(row, bool(up), deployment) for row, up in zip(trace, hard, strict=True)],
                len(trace),
                arguments.repeat,
            ),
            "write": rate(lambda: write_trace(trace, Path(folder)), len(trace), arguments.repeat),
            "read": rate(lambda: read_trace(folder), len(trace), arguments.repeat),
        }
    print(f"{len(trace)} queries of {arguments.trace}, median of {arguments.repeat}")
    for name, value in measured.items():
        print(f"{name:10}{value:>14,.0f} queries/s{1e6 / value:>10.2f} us each")
    verdict = "met" if measured["scores"] >= PROMISED else "MISSED"
    print(f"promised: {PROMISED:,} routed queries/s without features: {verdict}")


if __name__ == "__main__":
    main()
