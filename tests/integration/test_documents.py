"""Every document that tells a user what to type is followed to the letter."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from decimal import Decimal
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import pytest
import yaml

from ianvs_collab import routing
from ianvs_collab.routing.evaluation import MEASURES
from ianvs_collab.routing.scorer import SHIPPED, make_scorer
from ianvs_collab.routing.store import load_router
from ianvs_collab.routing.traces import Side, TraceRow, read_trace

Follow = Callable[[Path, Path], list[str]]


def leaderboard(folder: Path, job: str) -> list[dict[str, str]]:
    with (folder / "workspace" / job / "rank" / "all_rank.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_the_tutorial_ends_with_an_own_router_on_the_leaderboard(
    repository: Path, checkout: Path, follow: Follow
) -> None:
    outputs = follow(repository / "docs" / "tutorials" / "own-router.md", checkout)
    assert "WordsRouter" in outputs[-1]
    rows = leaderboard(checkout, "my-first-job")
    assert {row["algorithm"] for row in rows} == {"edge-only", "cloud-only", "coin", "words-router"}
    of = {(row["algorithm"], row.get("hard_example_mining-threshold", "")): row for row in rows}
    coin, words = of["coin", ""], of["words-router", "1"]
    assert abs(float(coin["Edge Ratio"]) - float(words["Edge Ratio"])) < 6
    assert float(words["Accuracy"]) > float(coin["Accuracy"]) + 5


def test_every_recipe_for_contributors_works(repository: Path, checkout: Path, follow: Follow) -> None:
    outputs = follow(repository / "CONTRIBUTING.md", checkout)
    assert len(outputs) >= 4
    rows = leaderboard(checkout, "recipes")
    assert {row["hard_example_mining"] for row in rows} == {"VowelRouter", "LearnedVowelRouter"}
    assert all(float(row["Longest Completion"]) > 0 for row in rows)


def test_a_router_is_trained_calibrated_and_judged(
    repository: Path, checkout: Path, follow: Follow, shell: Callable[..., Any]
) -> None:
    document = repository / "docs" / "how-to" / "train-a-router.md"
    outputs = follow(document, checkout)
    apgr = {line.split()[0]: float(line.split("APGR ")[1][:5]) for line in outputs[0].splitlines() if "APGR" in line}
    assert max(apgr, key=lambda name: apgr[name]) == "learned-cascade"
    assert all(0.5 < value < 0.9 for value in apgr.values())
    router = load_router(checkout / "my-router")
    assert router.calibration["budget"] == "p95 time to first token at most 300 ms"
    for folder in ("comparison", "judged"):
        assert {path.name for path in (checkout / folder).iterdir()} == {
            "report.md", "cost-quality.svg", "cost-quality.png"
        }  # fmt: skip
    miners = [
        yaml.safe_load(block)[0] for block in re.findall(r"^```yaml\n(.*?)^```$", document.read_text(), re.M | re.S)
    ]
    assert [miner["name"] for miner in miners] == ["SavedRouter", "TfidfRouter"]
    names = [use(checkout, miner) for miner in miners]
    job = f"ianvs -f {names[0]} --limit 4 --quiet && ianvs -f {names[1]} --dry-run --strict"
    done = shell(job, checkout)
    assert done.returncode == 0, done.stderr
    assert {row["hard_example_mining"] for row in leaderboard(checkout, "SavedRouter")} == {"SavedRouter"}


def use(checkout: Path, miner: dict[str, Any]) -> str:
    """Write a job with the cascade's models and this miner; returns its file."""
    algorithm = yaml.safe_load((checkout / "testalgorithms/query_routing/cascade.yaml").read_text(encoding="utf-8"))
    if miner["name"] == "TfidfRouter":
        del algorithm["algorithm"]["hard_example_mining_mode"]
    modules = algorithm["algorithm"]["modules"]
    modules[-1] = miner
    for setting in modules[1]["hyperparameters"]:
        if "deployment" in setting:
            setting["deployment"]["values"] = ["testenv/deployments/4g.yaml"]
    (checkout / f"{miner['name']}.yaml").write_text(yaml.safe_dump(algorithm), encoding="utf-8")
    job = yaml.safe_load((checkout / "benchmarkingjob.yaml").read_text(encoding="utf-8"))
    job["benchmarkingjob"]["name"] = miner["name"]
    job["benchmarkingjob"]["test_object"]["algorithms"] = [{"name": "used", "url": f"./{miner['name']}.yaml"}]
    job["benchmarkingjob"]["rank"]["selected_dataitem"]["hyperparameters"] = ["all"]
    (checkout / f"job-{miner['name']}.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
    return f"job-{miner['name']}.yaml"


def test_a_trace_is_recorded_checked_and_resumed(repository: Path, checkout: Path, follow: Follow) -> None:
    outputs = follow(repository / "docs" / "how-to" / "record-a-trace.md", checkout)
    assert "40 queries" in outputs[0]
    assert "two_hop_facts" in outputs[1]
    told = [[line for line in output.splitlines() if "quality edge" in line] for output in outputs]
    assert len(told[0]) == 1
    assert told[0] == told[1] == told[2]
    assert len(read_trace(checkout / "traces" / "nano")) == 40
    assert {len(row.edge.samples) for row in read_trace(checkout / "traces" / "sampled")} == {3}


def table_rows(repository: Path, name: str) -> list[list[str]]:
    page = (repository / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]


def as_written(value: Any) -> str:
    """A default as an algorithm file would have it."""
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else json.dumps(value)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_scorer_is_described_with_its_settings(repository: Path, name: str) -> None:
    described = " ".join(row[-1] for row in table_rows(repository, "routers") if f"`{name}`" in row[0])
    for setting, default in make_scorer(name).settings().items():
        assert f"`{setting}` {as_written(default)}" in described


@pytest.mark.parametrize("name", routing.ROUTERS)
def test_every_router_is_described_with_its_hyperparameters(repository: Path, name: str) -> None:
    rows = table_rows(repository, "routers")
    (own,) = [row for row in rows if row[0] == f"`{name}`"]
    kind = getattr(routing, name)
    common = kind.__name__ in ("EdgeOnly", "CloudOnly", "OracleRouter") or issubclass(kind, routing.TrainedRouter)
    for given in signature(kind).parameters.values():
        if not common and given.kind is not Parameter.VAR_KEYWORD:
            assert f"`{given.name}`" in own[-1]
    if issubclass(kind, routing.TrainedRouter) and kind.scorer_name:
        assert own[1] == f"`{kind.scorer_name}`"


def test_every_hyperparameter_that_trained_routers_share_is_described(repository: Path) -> None:
    rows = {row[0]: row[1] for row in table_rows(repository, "routers") if len(row) == 3}
    for given in signature(routing.TrainedRouter).parameters.values():
        if given.kind is not Parameter.VAR_KEYWORD and given.name != "scorer":
            default = "required" if given.default is Parameter.empty else as_written(given.default)
            assert rows[f"`{given.name}`"] == default


@pytest.mark.parametrize("field", [*fields(TraceRow), *fields(Side)], ids=lambda field: field.name)
def test_every_field_of_a_trace_is_described(repository: Path, field: Field[Any]) -> None:
    rows = [
        row for row in table_rows(repository, "traces") if len(row) == 3 and f"`{field.name}`" in row[0].split(", ")
    ]
    row = rows[0]  # a later one of the same name is of `trace.json`
    assert ("required" in row[1]) == (field.default is MISSING)


@pytest.mark.parametrize("name", [*MEASURES, "cpt50", "cpt80", "quality40", "drop20"])
def test_every_measure_is_described(repository: Path, name: str) -> None:
    assert any(f"`{name}`" in row[0] for row in table_rows(repository, "routing-metrics"))
