from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ianvs_collab.inference import Query
from ianvs_collab.routing.online import Context
from ianvs_collab.routing.traces import Side, Trace, TraceRow, write_trace


def make_trace(count: int = 200, seed: int = 0, subjects: int = 4) -> Trace:
    """Subjects differ: in even ones the cloud is much better, in odd ones the edge is."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        subject = index % subjects
        better, worse = float(rng.random() < 0.9), float(rng.random() < 0.3)
        edge, cloud = (worse, better) if subject % 2 == 0 else (better, worse)
        text = f"question {rng.integers(50)} about topic{subject} number {index}\nA. yes\nB. no"
        rows.append(TraceRow(f"q{index}", text, Side(edge), Side(cloud), f"subject{subject}", "en", "A"))
    return Trace(rows, "toy")


@pytest.fixture
def trace() -> Trace:
    return make_trace()


@pytest.fixture
def trace_folder(tmp_path: Path, trace: Trace) -> str:
    write_trace(trace, tmp_path / "trace")
    return str(tmp_path / "trace")


def contexts_of(features: np.ndarray) -> list[Context]:
    """Contexts of bare vectors."""
    return [Context(vector, Query(query=f"q{number}")) for number, vector in enumerate(features)]


def qualities(trace: Trace) -> np.ndarray:
    """Qualities of both sides, shape (n, 2)."""
    return np.column_stack([trace.quality("edge"), trace.quality("cloud")])
