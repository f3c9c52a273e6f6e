"""Traces: what both models answered to each query, so that any router can be trained, replayed and judged offline."""

from __future__ import annotations

from ianvs_collab.routing.traces.file import read_trace, write_trace
from ianvs_collab.routing.traces.trace import Side, Trace, TraceRow

__all__ = ["Side", "Trace", "TraceRow", "read_trace", "write_trace"]
