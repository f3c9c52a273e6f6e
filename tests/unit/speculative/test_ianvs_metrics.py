"""Metrics of drafts and verdicts: sums over queries, and empty where nothing is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.metrics.speculation import METRICS
from ianvs_collab.testcase.plugins import load_class


def result(trips: int | None = 2, **told: Any) -> list[Any]:
    answer: dict[str, Any] = {"completion": "x", "link": {"round_trips": trips}, "outcome": "ok"}
    if told:
        answer["speculation"] = told
    return [True, answer, None, answer]


FULL = [
    result(
        trips=3, offered=8, stood=6, drafted=10, accepted=6, committed=8, rounds=2, streamed=2, smallest_margin=0.5,
        payload_bytes={"uplink": 20, "downlink": 10},
    ),
    result(
        trips=2, offered=2, stood=2, drafted=5, accepted=2, committed=4, rounds=1, streamed=1, smallest_margin=None,
        payload_bytes={"uplink": 10, "downlink": 5},
    ),
]  # fmt: skip
EXPECTED = {
    "Acceptance Rate": 80.0,
    "Used Drafts": 53.333,
    "Tokens per Round": 4.0,
    "Streamed Tokens": 20.0,
    "Payload Up per Token": 2.0,
    "Payload Down per Token": 1.0,
    "Round Trips": 2.5,
    "Smallest Margin": 0.5,
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_of_sums_over_queries(name: str) -> None:
    assert METRICS[name]([], FULL) == EXPECTED[name]
    failed = [True, {"completion": "", "outcome": "error", "link": {"round_trips": 0}}, None, None]
    assert METRICS[name]([], [*FULL, failed]) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(METRICS.keys() - {"Round Trips"}))
def test_where_nothing_is_told_the_metric_is_empty(name: str) -> None:
    assert METRICS[name]([], [result(), result(trips=None)]) is None
    assert METRICS[name]([], [result(drafter="model")]) is None
    assert METRICS[name]([], []) is None


def test_round_trips_are_told_by_every_answer() -> None:
    assert METRICS["Round Trips"]([], [result(), result(trips=None)]) == 2
    assert METRICS["Round Trips"]([], [result(trips=None)]) is None


def test_what_tells_a_part_counts_for_that_part() -> None:
    partly = result(rounds=1, committed=10)
    assert METRICS["Tokens per Round"]([], [*FULL, partly]) == 5.5
    assert METRICS["Acceptance Rate"]([], [*FULL, partly]) == EXPECTED["Acceptance Rate"]


def test_the_plug_in_file_registers_them_all(repository: Path) -> None:
    path = str(repository / "testenv" / "metrics" / "speculation.py")
    assert all(load_class(path, "general", name) is METRICS[name] for name in METRICS)


def test_the_reference_page_has_them_all(repository: Path) -> None:
    page = (repository / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    section = page.split("`testenv/metrics/speculation.py`")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([A-Z][\w ]+) \|", section, re.MULTILINE)
    assert rows == list(METRICS)
