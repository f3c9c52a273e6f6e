"""The pages on `ianvs model bench` name every option, load and key, and every command that they show is one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

from ianvs_collab.modelserver.bench import Load, bench, vllm_figures
from ianvs_collab.modelserver.bench.arguments import _parser, read_arguments
from ianvs_collab.modelserver.bench.formulas import LATENCIES, SLOS
from ianvs_collab.modelserver.bench.loads import Kind
from ianvs_collab.modelserver.bench.report import document
from ianvs_collab.modelserver.bench.session import Plan
from ianvs_collab.modelserver.bench.summary import summarise


@pytest.fixture
def reference(repository: Path) -> str:
    return (repository / "docs" / "reference" / "model-bench.md").read_text(encoding="utf-8")


def cells(page: str) -> set[str]:
    """What stands in backticks in the first column of a table."""
    first = (line.split("|")[1] for line in page.splitlines() if line.startswith("| "))
    return {word for cell in first for word in re.findall(r"`([^`]+)`", cell)}


def test_every_option_and_load_is_described(reference: str) -> None:
    options = {name for action in _parser()._actions for name in action.option_strings if name.startswith("--")}
    assert [name for name in options - {"--help"} if f"`{name}" not in reference and f" {name} " not in reference] == []
    assert set(get_args(Kind)) <= cells(reference)
    assert all(f"`{name}`" in reference for name in SLOS)


def test_every_key_of_the_file_is_described(
    reference: str, fake: Any, make_generation: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    server = fake(lambda prompt: make_generation(0.001, 0.002))
    monkeypatch.setattr("ianvs_collab.modelserver.bench.session.load_model", lambda *named, **options: server)
    (tmp_path / "prompts").write_text("one\ntwo\nthree\nfour\nfive\n", encoding="utf-8")
    found = bench(Plan("fake", "m", Load("single"), prompts=str(tmp_path / "prompts"), requests=2))
    written = document(found, summarise(found.runs, {}, 0))
    assert set(written) <= cells(reference)
    assert set(written["runs"][0]) == {"figures", "vllm_bench_serve", "requests"}
    titles = {name.partition(".")[0] for name in written["figures"]} - {"request_throughput"}
    assert titles == {"throughput", "goodput", *LATENCIES}
    assert written["runs"][0]["vllm_bench_serve"] == vllm_figures(found.runs[0])


@pytest.mark.parametrize("page", ["reference/model-bench.md", "how-to/measure-a-server.md"])
def test_every_command_on_the_pages_is_one(repository: Path, page: str) -> None:
    text = (repository / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:console|sh)\n(.*?)^```$", text, re.M | re.S)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    commands = [shlex.split(line) for line in lines if re.match(r"(\$ )?ianvs ", line)]
    assert len(commands) >= 1
    for program, group, command, *arguments in commands:
        assert (program, group, command) == ("ianvs", "model", "bench")
        plan, _ = read_arguments(arguments)
        assert plan.requests >= 1
