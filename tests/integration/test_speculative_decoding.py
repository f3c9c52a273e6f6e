"""The jobs of speculative decoding as a user runs them, on a few questions."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.speculative.ianvs import SelfDesigned, SpeculativeModel, drafter_names
from ianvs_collab.speculative.ianvs import drafters as registry

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
FILES = [f'"testenv/deployments/rtt-{rtt}.yaml"' for rtt in (10, 50, 100)]
ALL, ONE, FAR = f"[{', '.join(FILES)}]", f"[{FILES[1]}]", f"[{FILES[2]}]"


def leaderboard(folder: Path, job: str) -> list[dict[str, str]]:
    with (folder / "workspace" / job / "rank" / "all_rank.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def shrink(checkout: Path) -> None:
    """One network instead of three: the same job in a third of the time."""
    for file in (checkout / "testalgorithms" / "speculative_decoding").glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert ALL in text or ONE in text
        file.write_text(text.replace(ALL, FAR).replace(ONE, FAR), encoding="utf-8")


def tamper(records: Path) -> None:
    """Let the first answer of a run be another one."""
    first, *others = records.read_text(encoding="utf-8").splitlines()
    told = json.loads(first)["result"][1]
    assert (told["speculation"]["draft_length"], told["speculation"]["place"]) == ("measured", "edge")
    records.write_text("\n".join([first.replace(told["completion"], "Other."), *others]) + "\n", encoding="utf-8")


def test_every_strategy_is_on_one_leaderboard(checkout: Path, shell: Shell) -> None:
    shrink(checkout)
    done = shell("ianvs -f examples/speculative_decoding/job.yaml --limit 2 --quiet", checkout)
    assert done.returncode == 0, done.stderr
    rows = leaderboard(checkout, "speculative-decoding")
    assert len(rows) == 1 + 1 + 1 + 1 + 1 + 1 + 4 + 1 + 2 + 1 + 3 + 1
    of = {row["algorithm"]: row for row in rows}
    for row in rows:
        assert float(row["End-to-End Latency"]) > 0
        assert float(row["Energy"]) > 0
        if row["algorithm"] != "edge-only":
            assert float(row["Time to First Token"]) > 0.1  # a round trip
            assert float(row["Cloud Cost"]) > 0
        if not row["edgemodel-temperature"] and row["algorithm"] != "edge-only":
            assert row["Accuracy"] == of["cloud-only"]["Accuracy"]
    sampled = [row for row in rows if row["algorithm"] == "sampling"]
    payload = {row["edgemodel-protocol"]: float(row["Payload Up per Token"]) for row in sampled}
    assert max(payload["dssd"], payload["quantised-q"]) < payload["full-q"] / 100
    assert float(of["coupled-sampling"]["Payload Up per Token"]) < min(payload.values())
    assert of["colocated"]["Uplink Bytes"] == of["cloud-only"]["Uplink Bytes"]
    assert float(of["speculative"]["Uplink Bytes"]) < float(of["cloud-only"]["Uplink Bytes"])
    summary = shell("python examples/speculative_decoding/summary.py", checkout)
    assert summary.returncode == 0, summary.stdout + summary.stderr
    table = summary.stdout.splitlines()[2:]
    assert len(table) == len(rows)
    assert sum(line.endswith("| 2 of 2 |") for line in table) >= len(rows) - 5
    tamper(checkout / of["measured"]["url"] / "records.jsonl")
    summary = shell("python examples/speculative_decoding/summary.py", checkout)
    assert summary.returncode == 1
    (line,) = [line for line in summary.stdout.splitlines() if line.startswith("| measured, model")]
    assert line.endswith("| 1 of 2 |")
    assert "1 rows differ from the cloud alone" in summary.stderr


def test_an_own_drafter_runs_anywhere(repository: Path, tmp_path: Path, shell: Shell) -> None:
    folder = tmp_path / "anywhere"
    shutil.copytree(repository / "examples" / "own_drafter", folder)
    assert len((folder / "my_drafter.py").read_text(encoding="utf-8").splitlines()) <= 50
    done = shell("python -m ianvs_collab.zoo.export --folder data && ianvs -f job.yaml --limit 6 --quiet", folder)
    assert done.returncode == 0, done.stderr
    rows = leaderboard(folder, "own-drafter")
    assert len(rows) == 5
    (alone,) = [row for row in rows if row["algorithm"] == "cloud-only"]
    drafted = [row for row in rows if row["edgemodel-drafter"] == "echo"]
    assert {row["edgemodel-pipelining"] for row in drafted} == {"synchronous", "asynchronous"}
    for row in drafted:
        assert row["Accuracy"] == alone["Accuracy"]
        assert 0 < float(row["Acceptance Rate"]) < 100


def page(repository: Path) -> str:
    return (repository / "docs" / "how-to" / "compare-speculative-decoding.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [SelfDesigned, SpeculativeModel])
def test_every_hyperparameter_is_described(repository: Path, kind: Any) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page(repository), re.MULTILINE))
    for given in signature(kind).parameters.values():
        if given.kind is Parameter.KEYWORD_ONLY:
            default = json.dumps(given.default).strip('"').replace("null", "none")
            assert rows[given.name].strip("` ") == default, given.name


@pytest.mark.parametrize("name", drafter_names())
def test_every_drafter_is_described_with_its_options(repository: Path, name: str) -> None:
    (row,) = [line for line in page(repository).splitlines() if line.startswith(f"| `{name}`")]
    _, *options = signature(registry._FACTORIES[name]).parameters
    assert all(f"`{option}`" in row for option in options)


def test_the_page_is_followed(repository: Path, checkout: Path, follow: Callable[[Path, Path], list[str]]) -> None:
    outputs = follow(repository / "docs" / "how-to" / "compare-speculative-decoding.md", checkout)
    assert len(outputs) == 1
    rows = leaderboard(checkout, "my-comparison")
    assert {row["edgemodel"] for row in rows} == {"CloudAlone", "SpeculativeModel"}
    assert len({row["Accuracy"] for row in rows}) == 1
