"""Every example is checked by `--dry-run`, and those that need nothing from outside are run."""

from __future__ import annotations

import csv
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
SELF_SUFFICIENT = (
    "long_form",
    "cascade",
    "link_tiers",
    "multi_precision",
    "openai_cloud",
    "router_grid",
    "speculative_decoding",
)
NEED_DATA = {"mmlu_huggingface": "mmlu", "cmmlu": "cmmlu"}


def leaderboard(folder: Path, job: str) -> list[dict[str, str]]:
    with (folder / "workspace" / job / "rank" / "all_rank.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_there_is_a_test_for_every_example(repository: Path) -> None:
    folders = {path.name for path in (repository / "examples").iterdir() if path.is_dir()}
    assert folders == {*SELF_SUFFICIENT, *NEED_DATA, "own_router", "own_drafter", "lifelong_routing"}
    assert all((repository / "examples" / name / "README.md").is_file() for name in folders)


@pytest.mark.parametrize("name", SELF_SUFFICIENT)
def test_an_example_passes_its_checks(checkout: Path, shell: Shell, name: str) -> None:
    done = shell(f"ianvs -f examples/{name}/job.yaml --dry-run --strict", checkout)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "data"), NEED_DATA.items())
def test_an_example_on_real_data_passes_its_checks(
    checkout: Path, shell: Shell, data_root: Path, name: str, data: str
) -> None:
    done = shell(f"ianvs data import {data} --from {data_root / data} --to data/{data}", checkout)
    assert done.returncode == 0, done.stderr
    done = shell(f"ianvs -f examples/{name}/job.yaml --dry-run --strict", checkout)
    assert done.returncode == 0, done.stderr


def test_an_own_router_runs_anywhere(repository: Path, tmp_path: Path, shell: Shell) -> None:
    folder = tmp_path / "anywhere"
    shutil.copytree(repository / "examples" / "own_router", folder)
    code = (folder / "my_router.py").read_text(encoding="utf-8").split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    done = shell("python -m ianvs_collab.zoo.export --folder data && ianvs -f job.yaml --limit 36 --quiet", folder)
    assert done.returncode == 0, done.stderr
    rows = leaderboard(folder, "own-router")
    share = {float(row["hard_example_mining-threshold"]): float(row["Edge Ratio"]) for row in rows}
    assert (share[0], share[100000]) == (0, 100)
    assert [share[key] for key in sorted(share)] == sorted(share.values())


def test_a_larger_share_of_the_cloud_leaves_less_to_the_edge(checkout: Path, shell: Shell) -> None:
    algorithm = checkout / "examples" / "router_grid" / "before.yaml"
    text = algorithm.read_text(encoding="utf-8")
    few = text.replace(
        '["subject-prior", "length", "tfidf", "question-features"]', '["subject-prior", "question-features"]'
    )
    assert few != text
    algorithm.write_text(few, encoding="utf-8")
    done = shell("ianvs -f examples/router_grid/job.yaml --limit 60 --quiet", checkout)
    assert done.returncode == 0, done.stderr
    kept: dict[str, dict[float, float]] = {}
    for row in leaderboard(checkout, "router-grid"):
        if row["hard_example_mining"] == "TrainedRouter":
            share, edge = float(row["hard_example_mining-cloud_share"]), float(row["Edge Ratio"])
            kept.setdefault(row["hard_example_mining-scorer"], {})[share] = edge
    assert set(kept) == {"subject-prior", "question-features", "learned-cascade"}
    for ratios in kept.values():
        assert ratios[0.2] > ratios[0.4] > ratios[0.6]


def test_a_surer_edge_is_asked_for_less_of_it_stays_there(checkout: Path, shell: Shell) -> None:
    done = shell("ianvs -f examples/cascade/job.yaml --limit 36 --quiet", checkout)
    assert done.returncode == 0, done.stderr
    rows = [row for row in leaderboard(checkout, "cascade") if row["hard_example_mining-statistic"] == "min"]
    kept = [float(row["Edge Ratio"]) for row in sorted(rows, key=lambda row: row["hard_example_mining-confidence"])]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > kept[-1]


def test_a_link_may_be_really_there(checkout: Path, shell: Shell) -> None:
    done = shell("ianvs -f examples/link_tiers/job.yaml --limit 8 --quiet", checkout)
    if "the relay is off" in done.stderr:
        pytest.skip("this machine is too busy for the relay, which says so")
    assert done.returncode == 0, done.stderr
    rows = {Path(row["edgemodel-deployment"]).stem: row for row in leaderboard(checkout, "link-tiers")}
    assert rows["virtual"]["Accuracy"] == rows["relay"]["Accuracy"]
    for row in rows.values():
        assert float(row["Time to First Token"]) > 0.04  # a round trip, and computing
    assert float(rows["relay"]["Downlink Bytes"]) != float(rows["virtual"]["Downlink Bytes"]) > 0
    report = (checkout / "workspace" / "link-tiers" / "report.md").read_text(encoding="utf-8")
    assert "tier: relay, virtual" in report


@pytest.fixture
def endpoint() -> Iterator[str]:
    """An OpenAI-compatible endpoint on loopback that answers every question with its first option."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> StreamingResponse:
        body = await request.json()
        assert request.headers["authorization"] == "Bearer not-a-real-key"

        def events() -> Iterator[str]:
            for choices, usage in (
                ([{"index": 0, "delta": {"content": "A"}, "finish_reason": "stop"}], None),
                ([], {"prompt_tokens": 30, "completion_tokens": 1, "total_tokens": 31}),
            ):
                chunk = {"id": "1", "object": "chat.completion.chunk", "model": body["model"], "choices": choices}
                yield f"data: {json.dumps(chunk | ({'usage': usage} if usage else {}))}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/v1"
    server.should_exit = True
    thread.join(10)


def test_an_api_can_be_the_cloud(checkout: Path, shell: Shell, endpoint: str) -> None:
    algorithm = checkout / "examples" / "openai_cloud" / "random-router.yaml"
    text = algorithm.read_text(encoding="utf-8")
    algorithm.write_text(text.replace("https://api.openai.com/v1", endpoint), encoding="utf-8")
    done = shell(
        "ianvs -f examples/openai_cloud/job.yaml --limit 12 --quiet", checkout, OPENAI_API_KEY="not-a-real-key"
    )
    assert done.returncode == 0, done.stderr
    rows = {float(row["hard_example_mining-cloud_share"]): row for row in leaderboard(checkout, "openai-cloud")}
    assert float(rows[1.0]["Cloud Completion Tokens"]) == 12
    assert float(rows[1.0]["End-to-End Latency"]) > 0
    everything = "".join(path.read_text() for path in (checkout / "workspace").rglob("*.json*"))
    assert "not-a-real-key" not in everything
