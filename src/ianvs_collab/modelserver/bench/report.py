"""A bench as a table for people and as a JSON document that has everything to compute it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from ianvs_collab.machine import machine, versions
from ianvs_collab.modelserver.bench.formulas import LATENCIES, figures
from ianvs_collab.modelserver.bench.intervals import STATISTICS
from ianvs_collab.modelserver.bench.measurement import Measurement
from ianvs_collab.modelserver.bench.session import Result
from ianvs_collab.modelserver.bench.summary import RATES, Estimate, Summary
from ianvs_collab.modelserver.bench.vllm_names import vllm_figures

FORMAT = 1
_TITLES = {
    "throughput": "throughput, tokens/s",
    "request_throughput": "requests answered/s",
    "goodput": "goodput, requests/s",
    "ttft": "TTFT, ms",
    "tpot": "TPOT, ms",
    "itl": "ITL, ms",
    "e2e": "E2E, ms",
}
_FEW = 100  # below so many values the 99th percentile is little else than the largest


def document(result: Result, summary: Summary) -> dict[str, Any]:
    """Everything, as JSON has it; times in seconds, except under `vllm_bench_serve`."""
    plan = result.plan
    return {
        "format": FORMAT,
        "model": dataclasses.asdict(result.info),
        "load": {name: value for name, value in dataclasses.asdict(plan.load).items() if value is not None},
        "open_loop": None if result.lateness is None else dataclasses.asdict(result.lateness),
        "prompts": result.source,
        "max_tokens": result.params.max_tokens,
        "temperature": result.params.temperature,
        "requests": plan.requests,
        "repeats": plan.repeats,
        "warm_up": plan.warm_up,
        "timeout_s": plan.timeout,
        "slos_s": dict(plan.slos),
        "seed": plan.seed,
        "load_s": result.load_s,
        "peak_rss_bytes": result.peak_rss_bytes,
        "machine": machine(),
        "versions": versions(),
        "remarks": list(result.remarks),
        "figures": {name: _estimate(estimate) for name, estimate in summary.items()},
        "runs": [_run(result, measurements) for measurements in result.runs],
    }


def table(result: Result, summary: Summary) -> str:
    """The table for the terminal."""
    return "\n".join([*_head(result), "", *_rates(summary), "", *_latencies(summary), "", *_foot(result)])


def _run(result: Result, measurements: Sequence[Measurement]) -> dict[str, Any]:
    return {
        "figures": dataclasses.asdict(figures(measurements, result.plan.slos)),
        "vllm_bench_serve": vllm_figures(measurements, result.plan.slos),
        "requests": [dataclasses.asdict(one) for one in measurements],
    }


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    low, high = estimate.interval or (None, None)
    return {"value": estimate.value, "low": low, "high": high}


def _head(result: Result) -> Iterator[str]:
    info, plan = result.info, result.plan
    facts = [info.backend, info.dtype, info.device, info.revision and str(info.revision)[:20]]
    yield f"{info.model} ({', '.join(str(fact) for fact in facts if fact)})"
    kept = result.lateness is None or result.lateness.kept
    yield plan.load.describe() + ("" if kept else " - NOT an open loop: the schedule was not kept, see below")
    repeats = f", {plan.repeats} repeats" if plan.repeats > 1 else ""
    yield f"{plan.requests} requests{repeats} of at most {result.params.max_tokens} tokens: {result.source}"
    rows = [one for run in result.runs for one in run]
    failed = [sum(one.outcome == word for one in rows) for word in ("error", "timeout")]
    yield f"answered {sum(one.ok for one in rows)}, failed {failed[0]}, timed out {failed[1]}"


def _rates(summary: Summary) -> Iterator[str]:
    for name in RATES:
        estimate = summary[name]
        if estimate.value is not None:
            yield f"{_TITLES[name]:<22}{estimate.value:>10.2f}{_ends(estimate, 1)}"


def _latencies(summary: Summary) -> Iterator[str]:
    yield f"{'':<10}" + "".join(f"{statistic:>30}" for statistic in STATISTICS)
    for name in LATENCIES:
        cells = [summary[f"{name}.{statistic}"] for statistic in STATISTICS]
        yield f"{_TITLES[name]:<10}" + "".join(f"{_cell(cell):>30}" for cell in cells)


def _cell(estimate: Estimate) -> str:
    return "-" if estimate.value is None else f"{1000 * estimate.value:.2f}{_ends(estimate, 1000)}"


def _ends(estimate: Estimate, scale: float) -> str:
    if estimate.interval is None:
        return ""
    return f" [{scale * estimate.interval.low:.2f}, {scale * estimate.interval.high:.2f}]"


def _foot(result: Result) -> Iterator[str]:
    memory = "" if result.peak_rss_bytes is None else f", peak memory {result.peak_rss_bytes / 2**20:.0f} MiB"
    yield f"loaded in {result.load_s:.2f} s{memory}; in brackets 95 % intervals"
    if result.lateness is not None:
        late = result.lateness
        yield f"requests were sent late by {1000 * late.p99:.2f} ms (p99), {1000 * late.most:.2f} ms (most)"
    answered = sum(one.ok for one in result.runs[0])
    if answered < _FEW:
        yield f"p99 of {answered} answers is close to the largest; make {_FEW} or more for a tail"
    yield from result.remarks
    for words in dict.fromkeys(one.error for run in result.runs for one in run if one.error):
        yield f"failed: {words}"
