"""The command line of `ianvs model bench`: its options, and the plan that they make."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from ianvs_collab.modelserver.bench.arrivals import read_arrivals
from ianvs_collab.modelserver.bench.formulas import SLOS
from ianvs_collab.modelserver.bench.loads import Kind, Load
from ianvs_collab.modelserver.bench.session import Plan
from ianvs_collab.modelserver.types import ModelServerError, SamplingParams

_DEFAULT_REQUESTS = 100


def read_arguments(argv: Sequence[str]) -> tuple[Plan, Path | None]:
    """The plan that a command line makes, and the file for the result.

    Args:
        argv: What stands behind `ianvs model bench`.

    Raises:
        SystemExit: If the command line is wrong (status 2) or asks for help (0).
    """
    parser = _parser()
    arguments = parser.parse_args(list(argv))
    try:
        return _plan(arguments), arguments.output
    except ModelServerError as error:
        parser.error(str(error))


def _plan(arguments: argparse.Namespace) -> Plan:
    arrivals = read_arrivals(arguments.arrivals) if arguments.arrivals else None
    if arguments.batch_size and arguments.load != "offline":
        raise ModelServerError(f"--batch-size means nothing to the load {arguments.load!r}; leave it out")
    load = Load(arguments.load, arguments.concurrency, arguments.rate, arguments.burstiness, arrivals)
    options = dict(arguments.option)
    if arguments.base_url:
        options["base_url"] = arguments.base_url
    return Plan(
        backend=arguments.backend,
        model=arguments.model,
        load=load,
        options=options,
        prompts=arguments.prompts,
        requests=arguments.requests or (len(arrivals) if arrivals else _DEFAULT_REQUESTS),
        repeats=arguments.repeats,
        warm_up=arguments.warm_up,
        params=SamplingParams(
            arguments.max_tokens, arguments.temperature, seed=arguments.seed if arguments.temperature else None
        ),
        slos=arguments.slo,
        timeout=arguments.timeout,
        batch=arguments.batch_size,
        tokenizer=arguments.tokenizer,
        max_lateness=arguments.max_lateness / 1000,
        seed=arguments.seed,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ianvs model bench", description="Measure a model under a load.")
    model = parser.add_argument_group("what to measure")
    model.add_argument("--backend", required=True, metavar="NAME", help="transformers, llamacpp, openai, ...")
    model.add_argument(
        "--model", required=True, metavar="MODEL", help="zoo:edge, a folder, a name the server knows, ..."
    )
    model.add_argument("--base-url", metavar="URL", help="address of an API, e.g. http://localhost:8000/v1")
    model.add_argument(
        "--option",
        type=_option,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="option of the back-end, VALUE as in YAML; may be given several times",
    )
    _add_load(parser.add_argument_group("the load"))
    _add_requests(parser.add_argument_group("the requests"))
    told = parser.add_argument_group("the result")
    told.add_argument(
        "--slo", type=_objectives, default={}, metavar="NAME=S,...", help="for the goodput, e.g. ttft=0.5,tpot=0.05"
    )
    told.add_argument(
        "--max-lateness", type=_positive, default=20.0, metavar="MS", help="p99 that a schedule allows (default: 20)"
    )
    told.add_argument("--output", type=Path, metavar="FILE", help="write everything to FILE, as JSON")
    return parser


def _add_load(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--load", choices=get_args(Kind), default="single", help="(default: single)")
    group.add_argument("--concurrency", type=_whole, metavar="N", help="requests at once, for `concurrency`")
    group.add_argument("--rate", type=_positive, metavar="R", help="arrivals a second, for poisson, constant, bursty")
    group.add_argument(
        "--burstiness", type=_positive, metavar="B", help="shape of the gamma gaps, for bursty; below 1: in bunches"
    )
    group.add_argument("--arrivals", type=Path, metavar="FILE", help="arrival times in seconds, a line each, for trace")
    group.add_argument("--batch-size", type=_whole, metavar="N", help="most requests of a batch, for offline")
    group.add_argument("--seed", type=_seed, default=0, metavar="N", help="of arrivals and random prompts (default: 0)")


def _add_requests(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--requests", type=_whole, metavar="N", help="requests to measure (default: 100)")
    group.add_argument("--repeats", type=_whole, default=1, metavar="N", help="runs of so many requests (default: 1)")
    group.add_argument("--warm-up", type=_count, default=3, metavar="N", help="requests not measured (default: 3)")
    group.add_argument(
        "--prompts", default="zoo", metavar="P", help="zoo, random:INPUT:OUTPUT (tokens), or a file (default: zoo)"
    )
    group.add_argument("--tokenizer", metavar="NAME", help="counts random prompts (default: the model's)")
    group.add_argument("--max-tokens", type=_whole, default=64, metavar="N", help="longest answer (default: 64)")
    group.add_argument("--temperature", type=_temperature, default=0.0, metavar="T", help="(default: 0, greedy)")
    group.add_argument("--timeout", type=_positive, default=300.0, metavar="S", help="for a request (default: 300)")


def _option(text: str) -> tuple[str, Any]:
    import yaml  # noqa: PLC0415 - `-h` answers at once

    key, sign, value = text.partition("=")
    try:
        if sign and key:
            return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not YAML ({error})") from error
    raise argparse.ArgumentTypeError(f"write key=value, e.g. dtype=float32, not {text!r}")


def _objectives(text: str) -> dict[str, float]:
    found = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in SLOS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SLOS)}; write e.g. ttft=0.5,tpot=0.05")
        found[name] = _positive(value)
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _positive(text: str) -> float:
    if not (0 < (number := _number(text)) < math.inf):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return number


def _temperature(text: str) -> float:
    if not (0 <= (number := _number(text)) < math.inf):
        raise argparse.ArgumentTypeError(f"must be 0 (greedy) or more, not {text!r}")
    return number


def _whole(text: str, least: int = 1) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least {least}, not {text!r}")
    return int(text)


def _count(text: str) -> int:
    return _whole(text, 0)


_seed = _count
