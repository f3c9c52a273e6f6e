"""Runs that are killed, or whose disk is full, go on with `--resume` to the leaderboard of an uninterrupted run."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PLUGINS = """
import os, random, signal
from sedna.common.class_factory import ClassFactory, ClassType

os.environ["BACKEND_TYPE"] = "TORCH"

def die_at(point):
    '''Kills the process, as `kill -9` does, the first time it comes to the point that the test has named.'''
    if os.path.exists("die_at") and open("die_at").read() == point:
        os.remove("die_at")
        os.kill(os.getpid(), signal.SIGKILL)

@ClassFactory.register(ClassType.GENERAL, alias="Edge")
class Edge:
    def __init__(self, style):
        os.environ["model_path"] = "no/model"
        self.style = style
        die_at(f"{style} init")
    def predict(self, data, **kwargs):
        die_at(f"{self.style} {data}")
        return {"completion": f"{self.style} {data} {random.random()}" + "." * int(os.environ.get("LENGTH", 0))}
    def cleanup(self):
        die_at(f"{self.style} cleanup")

@ClassFactory.register(ClassType.GENERAL, alias="Cloud")
class Cloud:
    def inference(self, data, **kwargs):
        return {"completion": f"cloud {data} {random.random()}"}

@ClassFactory.register(ClassType.HEM, alias="Learner")
class Learner:
    '''Sends a query to the cloud after every two that went to the edge: what it has seen matters.'''
    def __init__(self):
        self.edge = 0
    def __call__(self, data):
        hard = self.edge == 2
        self.replay(data, [hard])
        return hard
    def replay(self, data, result):
        self.edge = 0 if result[0] else self.edge + 1

@ClassFactory.register(ClassType.GENERAL, alias="Letters")
def letters(y_true, y_pred):
    die_at("metric")
    return sum(sum(map(ord, row[1]["completion"])) for row in y_pred)

@ClassFactory.register(ClassType.GENERAL, alias="Clouded")
def clouded(y_true, y_pred):
    return " ".join(str(int(row[0])) for row in y_pred)
"""
JOB = """
benchmarkingjob:
  name: job
  workspace: ./workspace
  testenv: testenv.yaml
  test_object: {type: algorithms, algorithms: [{name: both, url: algorithm.yaml}]}
  rank:
    sort_by: [{Letters: descend}]
"""
TESTENV = """
testenv:
  dataset: {train_data: data.jsonl, test_data: data.jsonl}
  metrics: [{name: Letters, url: plugins.py}, {name: Clouded, url: plugins.py}]
"""
ALGORITHM = """
algorithm:
  paradigm_type: jointinference
  modules:
    - {type: edgemodel, name: Edge, url: plugins.py, hyperparameters: [{style: {values: [plain, fancy]}}]}
    - {type: cloudmodel, name: Cloud, url: plugins.py}
    - {type: hard_example_mining, name: Learner, url: plugins.py}
"""
QUERIES = 12


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder with a job of two test cases, whose models and router draw and remember."""
    rows = (json.dumps({"question": f"q{i}", "answer": f"a{i}"}) for i in range(QUERIES))
    files = {
        "plugins.py": PLUGINS,
        "job.yaml": JOB,
        "testenv.yaml": TESTENV,
        "algorithm.yaml": ALGORITHM,
        "data.jsonl": "".join(row + "\n" for row in rows),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def ianvs(
    folder: Path, *options: str, file_size: int | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs the job; `file_size` bytes is what any file may grow to."""

    def limit() -> None:
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    command = [str(Path(sys.executable).with_name("ianvs")), "-f", "job.yaml", "--seed", "5", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    if file_size is not None:  # the coverage measurement of the child would meet the limit too
        environment = {name: value for name, value in environment.items() if not name.startswith("COVERAGE")}
    return subprocess.run(
        command, cwd=folder, env=environment, preexec_fn=limit, capture_output=True, text=True, timeout=300, check=False
    )


def leaderboard(folder: Path, workspace: str = "workspace") -> list[dict[str, str]]:
    """The rows of the rank file but for time and place."""
    with (folder / workspace / "job" / "rank" / "all_rank.csv").open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key not in ("time", "url")} for row in csv.DictReader(file)
        ]


def recorded(folder: Path, workspace: str = "workspace") -> list[list[object]]:
    """All results on disk, by test case and query."""
    found = []
    for path in (folder / workspace / "job" / "both").glob("*/records.jsonl"):
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        found.append(sorted([row["index"], row["result"], row["gold"]] for row in rows))
    return sorted(found, key=str)


def uninterrupted(folder: Path) -> tuple[list[dict[str, str]], list[list[object]]]:
    done = ianvs(folder, "--workspace", "reference")
    assert done.returncode == 0, done.stderr
    return leaderboard(folder, "reference"), recorded(folder, "reference")


POINTS = ["plain q0", "plain q7", "plain cleanup", "metric", "fancy init", "fancy q4"]


def test_killed_anywhere_and_resumed(job):
    expected = uninterrupted(job)
    for point in POINTS:
        (job / "die_at").write_text(point)
        workspace = f"killed at {point}"
        killed = ianvs(job, "--workspace", workspace)
        assert killed.returncode == -signal.SIGKILL
        resumed = ianvs(job, "--workspace", workspace, "--resume")
        assert resumed.returncode == 0, resumed.stderr
        assert (leaderboard(job, workspace), recorded(job, workspace)) == expected


def test_killed_twice_and_in_the_middle_of_a_write(job):
    expected = uninterrupted(job)
    for options in ((), ("--resume",)):
        (job / "die_at").write_text("plain q10" if options else "plain q3")
        assert ianvs(job, *options).returncode == -signal.SIGKILL
        (records,) = job.glob("workspace/job/both/*/records.jsonl")
        with records.open("ab") as file:
            file.write(b'{"index": 10, "query_id": nul')
    resumed = ianvs(job, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "the last record is incomplete and is left out" in resumed.stderr
    assert (leaderboard(job), recorded(job)) == expected


def test_killed_by_another_process_at_any_moment(job):
    (job / "data.jsonl").write_text("".join(f'{{"question": "q{i}", "answer": "a"}}\n' for i in range(3000)))
    expected = uninterrupted(job)
    command = [str(Path(sys.executable).with_name("ianvs")), "-f", "job.yaml", "--seed", "5", "--quiet"]
    process = subprocess.Popen(command, cwd=job, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and not any(job.glob("workspace/job/both/*/records.jsonl")):
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    resumed = ianvs(job, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert (leaderboard(job), recorded(job)) == expected


def test_a_finished_run_resumed_changes_nothing(job):
    expected = uninterrupted(job)
    again = ianvs(job, "--workspace", "reference", "--resume")
    assert again.returncode == 0, again.stderr
    assert (leaderboard(job, "reference"), recorded(job, "reference")) == expected


def test_a_full_disk_loses_nothing(job):
    length = {"LENGTH": "9000"}
    assert ianvs(job, "--workspace", "reference", **length).returncode == 0
    full = ianvs(job, file_size=100_000, **length)
    assert full.returncode == 1
    (message,) = [line for line in full.stderr.splitlines() if line.startswith("RuntimeError")]
    assert "records.jsonl: a record cannot be written (File too large)" in message
    assert "Make room on the disk, then go on with --resume" in message
    assert "Traceback" not in full.stderr
    (records,) = job.glob("workspace/job/both/*/records.jsonl")
    lines = records.read_bytes().splitlines()
    assert 0 < len(lines) < QUERIES
    assert [json.loads(line)["index"] for line in lines] == list(range(len(lines)))
    resumed = ianvs(job, "--resume", **length)
    assert resumed.returncode == 0, resumed.stderr
    assert (leaderboard(job), recorded(job)) == (leaderboard(job, "reference"), recorded(job, "reference"))


def test_two_jobs_side_by_side_and_killed(job):
    expected = uninterrupted(job)
    (job / "plugins.py").write_text(PLUGINS.replace("os.getpid()", "os.getppid()"))  # the worker kills the whole run
    (job / "die_at").write_text("fancy q4")
    assert ianvs(job, "--jobs", "2").returncode == -signal.SIGKILL
    resumed = ianvs(job, "--jobs", "2", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert leaderboard(job) == expected[0]


def test_a_worker_ends_whose_run_was_killed_before_it_had_a_test_case(job):
    """The pipe of stderr, which every worker holds, closes only as the last of them ends."""
    (job / "sitecustomize.py").write_text(
        "import sys, time\nif any('popen_loky' in argument for argument in sys.orig_argv): time.sleep(2)\n"
    )
    command = [str(Path(sys.executable).with_name("ianvs")), "-f", "job.yaml", "--jobs", "2"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    process = subprocess.Popen(
        command, cwd=job, env=environment | {"PYTHONPATH": str(job)}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stderr is not None
    for line in process.stderr:
        if b"side by side" in line:
            break
    time.sleep(1)  # the workers have been started, and sleep
    process.kill()
    assert process.communicate(timeout=100)[1].count(b"Traceback") <= 2


def test_workers_end_when_the_run_is_killed(job):
    source = PLUGINS.replace('die_at(f"{self.style} {data}")', WAIT)
    (job / "plugins.py").write_text(source)
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("ianvs")), "-f", "job.yaml", "--jobs", "2"],
        cwd=job,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        workers = wait_for(lambda: [path.name for path in job.glob("worker-*")], 2)
    finally:
        process.kill()
        process.wait()
    pids = [int(name.removeprefix("worker-")) for name in workers]
    wait_for(lambda: [pid for pid in pids if not alive(pid)], 2)


WAIT = """
        open(f"worker-{os.getpid()}", "w").close()
        __import__("time").sleep(600)
"""


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has asked for its status yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(found, count: int):
    """Returns what is found once there are that many."""
    end = time.monotonic() + 120
    while len(found()) < count:
        assert time.monotonic() < end, f"waited in vain, found {found()}"
        time.sleep(0.05)
    return found()
