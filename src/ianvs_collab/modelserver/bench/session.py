"""A bench from beginning to end: load the model, warm it up, put the load on it as often as asked, keep everything."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ianvs_collab.modelserver.bench.arrivals import schedule
from ianvs_collab.modelserver.bench.loads import Load
from ianvs_collab.modelserver.bench.measurement import Measurement
from ianvs_collab.modelserver.bench.prompts import ZOO, Prompts, read_prompts
from ianvs_collab.modelserver.bench.runner import Traffic, run, warm_up
from ianvs_collab.modelserver.bench.serving import batch_size, in_process, remarks
from ianvs_collab.modelserver.memory import peak_rss_bytes
from ianvs_collab.modelserver.registry import load_model
from ianvs_collab.modelserver.types import ModelInfo, ModelServer, SamplingParams

_GRACE = 2.0  # seconds in which a back-end that keeps a time limit of its own may say so itself


@dataclass(frozen=True)
class Plan:
    """What to bench and how.

    Attributes:
        backend: Name of the back-end.
        model: What the back-end takes for a model.
        load: The load.
        options: The back-end's own options.
        prompts: See `read_prompts`.
        requests: Requests of a run.
        repeats: Runs, each with other arrivals and, as far as there are any, other prompts.
        warm_up: Requests beforehand that are not measured.
        params: How to decode.
        slos: Objectives in seconds by latency, for the goodput.
        timeout: Seconds after which a request is given up.
        batch: Most requests of a batch, where `offline` makes batches; None for all.
        tokenizer: For random prompts; None for the model's own.
        max_lateness: Seconds by which 99 % of the requests of an open loop may be sent late at most.
        seed: Of arrivals, random prompts and resampling.
    """

    backend: str
    model: str
    load: Load
    options: Mapping[str, Any] = field(default_factory=dict)
    prompts: str = ZOO
    requests: int = 100
    repeats: int = 1
    warm_up: int = 3
    params: SamplingParams = SamplingParams()
    slos: Mapping[str, float] = field(default_factory=dict)
    timeout: float = 300.0
    batch: int | None = None
    tokenizer: str | None = None
    max_lateness: float = 0.02
    seed: int = 0


@dataclass(frozen=True)
class Lateness:
    """How well an open loop kept its schedule, in seconds.

    Attributes:
        p99: 99 % of the requests were sent at most this late.
        most: The latest.
        kept: Whether `p99` is within what the plan allows, so that the loop may be called open.
    """

    p99: float
    most: float
    kept: bool


@dataclass(frozen=True)
class Result:
    """Everything that was measured.

    Attributes:
        plan: What was asked for.
        info: Provenance of the model.
        load_s: Seconds that loading it took.
        peak_rss_bytes: Largest memory of this process, if the model runs in it.
        source: Where the prompts come from.
        params: How answers were decoded.
        runs: The measurements of each repeat.
        lateness: Of an open loop.
        remarks: What a reader must know beside the figures.
    """

    plan: Plan
    info: ModelInfo
    load_s: float
    peak_rss_bytes: int | None
    source: str
    params: SamplingParams
    runs: Sequence[Sequence[Measurement]]
    lateness: Lateness | None
    remarks: Sequence[str]


def bench(plan: Plan) -> Result:
    """Carry out a plan.

    Raises:
        ModelServerError: If the prompts or arrivals cannot be had, the model cannot be loaded, or it does not answer
            the warm-up.
    """
    prompts = _prompts(plan)
    schedules = [schedule(plan.load, plan.requests, plan.seed + n) for n in range(plan.repeats * plan.load.open_loop)]
    start = time.perf_counter()
    server = load_model(plan.backend, plan.model, **_options(plan))
    load_s = time.perf_counter() - start
    try:
        return _measured(plan, server, load_s, prompts, schedules)
    finally:
        server.close()


def lateness(runs: Sequence[Sequence[Measurement]], bound: float) -> Lateness:
    """How late the requests of an open loop were sent.

    Args:
        runs: The measurements.
        bound: Seconds that 99 % may be late at most.
    """
    late = [one.late for run_ in runs for one in run_]
    p99 = float(np.percentile(late, 99))
    return Lateness(p99, max(late), p99 <= bound)


def _measured(
    plan: Plan, server: ModelServer, load_s: float, prompts: Prompts, schedules: Sequence[Sequence[float]]
) -> Result:
    params = replace(plan.params, max_tokens=prompts.max_tokens or plan.params.max_tokens)
    batch = batch_size(plan.backend, plan.load, plan.requests, plan.batch)
    warm_up(server, prompts.take(plan.requests * plan.repeats, plan.warm_up), params)
    runs = []
    for number in range(plan.repeats):
        chosen = prompts.take(number * plan.requests, plan.requests)
        times = schedules[number] if schedules else []
        runs.append(run(server, Traffic(chosen, params, plan.load, times, plan.timeout + _GRACE, batch)))
    return Result(
        plan=plan,
        info=server.info,
        load_s=load_s,
        peak_rss_bytes=peak_rss_bytes() if in_process(server.info) else None,
        source=prompts.source,
        params=params,
        runs=runs,
        lateness=lateness(runs, plan.max_lateness) if schedules else None,
        remarks=[*remarks(plan.backend, plan.load, batch), *_repetition(plan, prompts), *_bundles(runs)],
    )


def _options(plan: Plan) -> dict[str, Any]:
    """The user's options; a failed request fails at once, where the back-end would try again or give up sooner."""
    if plan.backend != "openai":
        return dict(plan.options)
    limits = dict.fromkeys(("first_token_timeout", "token_timeout", "total_timeout"), plan.timeout)
    return {"max_retries": 0, **limits, **plan.options}


def _prompts(plan: Plan) -> Prompts:
    name = plan.tokenizer or plan.options.get("tokenizer") or plan.model
    needed = plan.requests * plan.repeats + plan.warm_up
    return read_prompts(plan.prompts, needed=needed, seed=plan.seed, tokenizer=name)


def _repetition(plan: Plan, prompts: Prompts) -> list[str]:
    needed, there = plan.requests * plan.repeats + plan.warm_up, len(prompts.prompts)
    if needed <= there:
        return []
    return [f"{needed} requests share {there} prompts: a server that keeps prefixes answers the repeated ones sooner"]


def _bundles(runs: Sequence[Sequence[Measurement]]) -> list[str]:
    done = [one for run_ in runs for one in run_ if one.ok]
    bundled = sum(not one.exact for one in done)
    if not bundled:
        return []
    return [
        f"in {bundled} of {len(done)} answers pieces of text are fewer than tokens (bundles, or an end token without "
        "text): ITL is the gap between pieces, TPOT is per token"
    ]
