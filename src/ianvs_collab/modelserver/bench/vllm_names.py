"""The same measurements by the definitions and under the names of `vllm bench serve`.

That tool counts from when a request was sent, not from when it was due, and its duration begins with the load, not
with the first request. Apart from that the formulas are the same. Source: `vllm/benchmarks/serve.py`, functions
`calculate_metrics` and `benchmark`, read at vLLM's commit 009e6d4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ianvs_collab.modelserver.bench.formulas import figures, good, window
from ianvs_collab.modelserver.bench.measurement import Measurement

_NAMES = {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2e": "e2el"}


def vllm_figures(
    measurements: Sequence[Measurement], slos: Mapping[str, float] | None = None
) -> dict[str, float | int | None]:
    """Figures as the JSON file of `vllm bench serve` has them: times in milliseconds, rates a second.

    Args:
        measurements: Requests of one run, their clock beginning with the load.
        slos: Objectives in seconds.
    """
    from_sent = [replace(one, scheduled=one.sent) for one in measurements]
    found, duration = figures(from_sent), window(measurements)[1]
    rows: dict[str, float | int | None] = {
        "duration": duration,
        "completed": found.completed,
        "failed": found.errors + found.timeouts,
        "total_input_tokens": found.prompt_tokens,
        "total_output_tokens": found.output_tokens,
        "request_throughput": found.completed / duration,
        "output_throughput": found.output_tokens / duration,
        "total_token_throughput": (found.prompt_tokens + found.output_tokens) / duration,
        "request_goodput": sum(good(one, slos) for one in from_sent) / duration if slos else None,
    }
    for name, theirs in _NAMES.items():
        values = found.latencies[name]
        for statistic, word in (("mean", "mean"), ("p50", "median"), ("p90", "p90"), ("p99", "p99")):
            rows[f"{word}_{theirs}_ms"] = None if values is None else 1000 * getattr(values, statistic)
    return rows
