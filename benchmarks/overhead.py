"""What the engine itself costs: start-up of the command, time and memory for each query.

Prints medians over several repetitions, because a machine is never idle:

* `ianvs -v`: wall time and peak resident memory of the process, spawned anew each time;
* a joint-inference query whose plug-ins do nothing, loading the data and writing its record included: wall time, the
  same without the record, and processor time, which a busy machine changes least; with small answers (one short text)
  and with full ones (all that the engine's own models return);
* growth of resident memory over those queries.

Run it from the repository's root: `python benchmarks/overhead.py [--queries 10000] [--repeat 7] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLUGINS = """
import os
from sedna.common.class_factory import ClassFactory, ClassType

ANSWER = {answer}

@ClassFactory.register(ClassType.GENERAL, alias="Edge")
class Edge:
    def __init__(self):
        os.environ["BACKEND_TYPE"] = "TORCH"
        os.environ["model_path"] = "no/model"
    def load(self):
        pass
    def predict(self, data, **kwargs):
        return ANSWER

@ClassFactory.register(ClassType.GENERAL, alias="Cloud")
class Cloud:
    def inference(self, data, **kwargs):
        return ANSWER

@ClassFactory.register(ClassType.HEM, alias="Never")
class Never:
    def __call__(self, data):
        return False

@ClassFactory.register(ClassType.GENERAL, alias="Count")
def count(y_true, y_pred):
    return len(y_pred)
"""

SMALL = {"completion": "A"}
FULL = {
    "completion": "The capital of France is Paris.",
    "usage": {"prompt_tokens": 57, "completion_tokens": 8, "total_tokens": 65},
    "perf": {
        "time_to_first_token": 0.0123,
        "internal_token_latency": 0.0021,
        "time_per_output_token": 0.0021,
        "end_to_end_latency": 0.027,
        "throughput": 296.3,
    },
    "link": {"uplink_bytes": 812, "downlink_bytes": 2044, "round_trips": 1},
    "outcome": "ok",
    "answer": "B",
    "extractor": "option-text/1",
    "subject": "capitals",
    "where": "edge",
    "shared": False,
    "energy": {"joules": None, "source": "unavailable"},
    "cost": 0.0,
    "tier": "virtual",
    "logprobs": None,
}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=10_000, help="queries in each repetition (default 10000)")
    parser.add_argument("--repeat", type=int, default=7, help="repetitions (default 7)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    figures = version_figures(options.repeat) | query_figures(options.queries, options.repeat)
    for name, value in figures.items():
        print(f"{name:<58} {value:10.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def version_figures(repeat: int) -> dict[str, float]:
    """Spawns `ianvs -v` and returns its wall time in seconds and peak resident memory in MB."""
    command = Path(sys.executable).with_name("ianvs")
    walls, peaks = [], []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        process = subprocess.Popen([command, "-v"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        walls.append(time.perf_counter() - start)
        peaks.append(usage.ru_maxrss / 1024)
        if status:
            raise SystemExit(f"{command} -v failed; install the project first: pip install -e .")
    return {  # the first one warms the disk cache
        "ianvs -v: wall time [s]": statistics.median(walls[1:]),
        "ianvs -v: peak resident memory [MB]": statistics.median(peaks[1:]),
    }


def query_figures(queries: int, repeat: int) -> dict[str, float]:
    """Times whole test cases of small and of full answers, each in a process of its own."""
    figures = {}
    for name, answer in (("small answer", SMALL), ("full answer", FULL)):
        runs = [_in_a_process(queries, answer) for _ in range(repeat)]
        for key, label in (
            ("with_records", f"query, {name}, with its durable record [us]"),
            ("without_records", f"query, {name}, without records [us]"),
            ("processor", f"query, {name}, with its record, processor time [us]"),
            ("growth_mb", f"memory growth over {queries} queries, {name} [MB]"),
        ):
            figures[label] = statistics.median(run[key] for run in runs)
    return figures


def _in_a_process(queries: int, answer: dict[str, Any]) -> dict[str, float]:
    request = json.dumps({"queries": queries, "answer": answer})
    code = "import json, sys, overhead; print(json.dumps(overhead.measure(**json.loads(sys.argv[1]))))"
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code, request],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def measure(queries: int, answer: dict[str, Any]) -> dict[str, float]:
    """Runs the same test case with and without records, after a short one that warms up.

    Returns:
        Microseconds of wall time for each query with and without records, of processor time with them, and growth of
        resident memory in MB over the run with records.
    """
    import psutil

    with _workbench(queries, answer) as make_case:
        _seconds(make_case(), limit=100)
        before, busy = psutil.Process().memory_info().rss, time.process_time()
        seconds = _seconds(make_case())
        busy = time.process_time() - busy
        growth = psutil.Process().memory_info().rss - before
        with _no_records():
            seconds_without = _seconds(make_case())
    return {
        "with_records": seconds / queries * 1e6,
        "processor": busy / queries * 1e6,
        "without_records": seconds_without / queries * 1e6,
        "growth_mb": growth / 2**20,
    }


def _seconds(case: Any, limit: int | None = None) -> float:
    from ianvs_collab.testcase.spec import RunOptions
    from ianvs_collab.testcase.testcase import run_case

    start = time.perf_counter()
    outcome = run_case(case, RunOptions(quiet=True, limit=limit))
    elapsed = time.perf_counter() - start
    if outcome.failures:
        raise SystemExit(outcome.failures[0].traceback)
    return elapsed


@contextmanager
def _workbench(queries: int, answer: dict[str, Any]) -> Iterator[Any]:
    """Writes plug-ins and data to a temporary folder on disk; yields a function that makes test cases of them."""
    from ianvs_collab.testcase import spec
    from ianvs_collab.testenv.schema import DatasetSpec

    folder = Path(tempfile.mkdtemp(dir=Path.cwd(), prefix=".overhead-"))
    plugin = folder / "plugins.py"
    plugin.write_text(PLUGINS.format(answer=repr(answer)), encoding="utf-8")
    data = folder / "test.jsonl"
    rows = (json.dumps({"question": f"question {i}", "answer": "A"}) for i in range(queries))
    data.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    url = str(plugin)
    modules = (
        spec.ModuleSpec("edgemodel", "Edge", url),
        spec.ModuleSpec("cloudmodel", "Cloud", url),
        spec.ModuleSpec("hard_example_mining", "Never", url),
    )
    dataset = DatasetSpec(train_data=str(data), test_data=str(data))
    testenv = spec.TestEnvSpec(dataset, (spec.MetricSpec("Count", url),))
    algorithm = spec.AlgorithmSpec("noop", "jointinference", modules)
    try:
        yield lambda: spec.TestCaseSpec(str(uuid.uuid1()), algorithm, testenv, str(folder / "workspace"))
    finally:
        shutil.rmtree(folder)


@contextmanager
def _no_records() -> Iterator[None]:
    from ianvs_collab.records import RecordWriter

    append = RecordWriter.append
    RecordWriter.append = lambda self, record: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        RecordWriter.append = append  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
