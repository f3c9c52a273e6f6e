from __future__ import annotations

from pathlib import Path

import pytest

from ianvs_collab.routing.traces import Side, Trace, TraceRow, write_trace


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A trace in which sums need the cloud and capitals do not."""
    sums = [(f"s{i}", f"What is {i} + {i * 7}?\nA. {i}\nB. {i * 8}", 0.0) for i in range(40)]
    capitals = [(f"c{i}", f"What is the capital of country {i}?\nA. x\nB. y", 1.0) for i in range(60)]
    rows = [TraceRow(name, text, Side(edge), Side(1.0), "s") for name, text, edge in sums + capitals]
    write_trace(Trace(rows, "sums-and-capitals"), tmp_path / "labelled")
    return tmp_path / "labelled"
