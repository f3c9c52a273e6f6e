"""Traces small enough to be checked by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ianvs_collab.routing.traces import Side, Trace, TraceRow


def _row(name: str, edge: float = 1.0, cloud: float = 1.0, **fields: Any) -> TraceRow:
    text = fields.pop("text", f"Question {name}?\nA. yes\nB. no")
    return TraceRow(name, text, Side(edge), Side(cloud), **fields)


@pytest.fixture
def row() -> Callable[..., TraceRow]:
    """Makes a row: `row("q1", edge=0, cloud=1, subject="s")`."""
    return _row


@pytest.fixture
def trace() -> Trace:
    """Four queries: a gain, a loss, both right, both wrong."""
    pairs = [(0, 1), (1, 0), (1, 1), (0, 0)]
    rows = [_row(f"q{i}", edge, cloud, subject="ab"[i % 2]) for i, (edge, cloud) in enumerate(pairs)]
    return Trace(rows, "four", {"source": "test"})
