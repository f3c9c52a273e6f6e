"""A portfolio as a table, for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ianvs_collab.precision.portfolio import Pair, Portfolio

_HEAD = (
    "pair",
    "accuracy",
    "service time: mean, p95 (ms)",
    "TTFT p50, p99 (ms)",
    "TPOT p50, p99 (ms)",
    "memory (MB)",
    "peak RSS (MB)",
    "load (s)",
    "energy (J)",
)


def portfolio_table(portfolio: Portfolio) -> str:
    """A Markdown table of all pairs, and below it what was left out and why."""
    lines = [_row(_HEAD), _row(["---"] * len(_HEAD)), *(_row(_cells(pair)) for pair in portfolio.pairs)]
    left_out = portfolio.provenance.get("left_out")
    if isinstance(left_out, dict):
        lines += [f"\nLeft out: {name}: {reason}" for name, reason in left_out.items()]
    return "\n".join(lines)


def _cells(pair: Pair) -> list[str]:
    low, high = pair.accuracy_interval()
    return [
        str(pair),
        f"{pair.accuracy:.3f} [{low:.3f}, {high:.3f}]",
        f"{1e3 * pair.mean_seconds:.1f}, {1e3 * np.quantile(pair.service_seconds, 0.95):.1f}",
        _quantiles(pair.ttft_seconds),
        _quantiles(pair.tpot_seconds),
        f"{pair.memory_bytes / 1e6:.2f}",
        "-" if pair.peak_rss_bytes is None else f"{pair.peak_rss_bytes / 1e6:.0f}",
        "-" if pair.load_seconds is None else f"{pair.load_seconds:.2f}",
        "unavailable" if pair.energy_joules is None else f"{pair.energy_joules:.4g} ({pair.energy_source})",
    ]


def _quantiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    middle, high = 1e3 * np.quantile(seconds, [0.5, 0.99])
    return f"{middle:.2f}, {high:.2f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
