"""The lifelong router in a real job: its example, and a run that is killed half-way and resumed."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ianvs_collab.records import read_records

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
EXAMPLE = "examples/lifelong_routing"
MORTAL = '''
import os, signal
from sedna.common.class_factory import ClassFactory, ClassType
from ianvs_collab.routing import LifelongRouter

@ClassFactory.register(ClassType.HEM, alias="LifelongRouter")
class Mortal(LifelongRouter):
    """Kills the process, as `kill -9` does, the first time it comes to the query that the test has named."""

    def __call__(self, data):
        assert "gold" not in data and not hasattr(data, "gold")
        if os.path.exists("die_at") and data["query_id"].startswith(open("die_at").read()):
            os.remove("die_at")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(data)
'''


@pytest.fixture
def prepared(checkout: Path, shell: Shell) -> Path:
    done = shell(f"python {EXAMPLE}/prepare.py", checkout)
    assert done.returncode == 0, done.stderr
    return checkout


def change(path: Path, edit: Callable[[dict], None]) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def keep(folder: Path, policy: str, *algorithms: str) -> None:
    """Leave only some algorithms and one policy in the job."""

    def only(job: dict) -> None:
        chosen = job["benchmarkingjob"]["test_object"]
        chosen["algorithms"] = [one for one in chosen["algorithms"] if one["name"] in algorithms]

    def one_policy(algorithm: dict) -> None:
        miner = algorithm["algorithm"]["modules"][-1]
        for setting in miner["hyperparameters"]:
            if "policy" in setting:
                setting["policy"]["values"] = [policy]

    change(folder / EXAMPLE / "job.yaml", only)
    change(folder / EXAMPLE / "lifelong.yaml", one_policy)


def answers(folder: Path) -> list[dict]:
    (records,) = (folder / "workspace" / "lifelong-routing" / "lifelong").glob("*/records.jsonl")
    return [record.result[1] for record in read_records(records)]


def test_the_example_passes_its_checks(prepared: Path, shell: Shell) -> None:
    done = shell(f"ianvs -f {EXAMPLE}/job.yaml --dry-run --strict", prepared)
    assert done.returncode == 0, done.stderr


def test_the_lifelong_twin_is_ahead_where_the_subjects_are_new(prepared: Path, shell: Shell) -> None:
    keep(prepared, "thompson", "frozen", "lifelong")
    done = shell(f"ianvs -f {EXAMPLE}/job.yaml --quiet && python {EXAMPLE}/inspect_run.py", prepared)
    assert done.returncode == 0, done.stderr
    curves = dict(re.findall(r"^  (thompson|frozen twin) +([\d. ]+?) +cloud", done.stdout, re.M))
    lifelong, frozen = ([float(value) for value in curves[name].split()] for name in ("thompson", "frozen twin"))
    assert sum(lifelong[-2:]) > sum(frozen[-2:]) + 0.02, done.stdout
    truth = float(re.search(r"accuracy is (\d\.\d+)", done.stdout)[1])
    found = re.search(r"snips +\S+, 95 % interval (\S+) to (\S+)", done.stdout)
    assert float(found[1]) <= truth <= float(found[2])


def test_a_killed_run_decides_after_its_resumption_as_if_nothing_had_happened(prepared: Path, shell: Shell) -> None:
    keep(prepared, "lin-ucb", "lifelong")
    (prepared / "mortal.py").write_text(MORTAL, encoding="utf-8")

    def mortal_and_late_users(algorithm: dict) -> None:
        modules = algorithm["algorithm"]["modules"]
        modules[-1]["url"] = "./mortal.py"
        modules[-1]["hyperparameters"].append({"seed": {"values": [3]}})
        users = {"flip": 0.1, "feedback_probability": 0.7, "delay": 5, "seed": 2}
        modules[0]["hyperparameters"] = [{name: {"values": [value]}} for name, value in users.items()]

    change(prepared / EXAMPLE / "lifelong.yaml", mortal_and_late_users)
    job = f"ianvs -f {EXAMPLE}/job.yaml --limit 160 --quiet"
    assert shell(job, prepared).returncode == 0
    expected = [answer["routing"] for answer in answers(prepared)]
    assert len(expected) == 160
    assert len({route["propensity"] for route in expected}) > 1
    (prepared / "workspace").rename(prepared / "uninterrupted")
    (prepared / "die_at").write_text("nano-stream-00090", encoding="utf-8")
    assert shell(job, prepared).returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert len(answers(prepared)) == 90
    done = shell(f"{job} --resume", prepared)
    assert done.returncode == 0, done.stderr
    assert [answer["routing"] for answer in answers(prepared)] == expected
