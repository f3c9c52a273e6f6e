"""The benchmark that judges sampling, on fewer draws: sound verifiers pass, broken ones are found out."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

DRAWS = 2000


@pytest.fixture(scope="module")
def benchmark(repository: Path) -> dict[str, Any]:
    return runpy.run_path(str(repository / "benchmarks" / "speculative_sampling.py"))


def test_sampled_sequences_follow_the_targets_distribution(benchmark: dict[str, Any]) -> None:
    values = {name: benchmark["p_value"](name, DRAWS) for name in benchmark["SOUND"]}
    assert len(values) == 5
    assert min(benchmark["holm"](values).values()) > 0.01


@pytest.mark.parametrize("name", ["broken: no residual", "broken: truncated q"])
def test_broken_verifiers_are_found_out(benchmark: dict[str, Any], name: str) -> None:
    assert benchmark["p_value"](name, DRAWS) < 1e-6


def test_holm_multiplies_from_the_smallest_up(benchmark: dict[str, Any]) -> None:
    adjusted = benchmark["holm"]({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
