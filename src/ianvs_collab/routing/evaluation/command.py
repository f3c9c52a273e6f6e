"""`ianvs router evaluate`: stored routers on queries they have not seen, and scorers by cross-validation."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation.crossval import SPLITS, compare, make_plan
from ianvs_collab.routing.evaluation.report import write_report
from ianvs_collab.routing.evaluation.result import Fold, Result
from ianvs_collab.routing.evaluation.splits import HELD_OUT, LEFT_OUT, Plan, Split, learning_curve, without_subjects
from ianvs_collab.routing.heldout import unseen_part
from ianvs_collab.routing.labels import LABELS
from ianvs_collab.routing.scorer import Scorer, make_scorer, scorer_names
from ianvs_collab.routing.store import load_router
from ianvs_collab.routing.traces import Trace, read_trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `ianvs router evaluate` takes."""
    parser.set_defaults(run=evaluate)
    parser.add_argument("routers", nargs="*", metavar="ROUTER", help="folders that `ianvs router train` wrote")
    parser.add_argument("--trace", required=True, metavar="FOLDER", help="trace to be judged on")
    parser.add_argument(
        "--scorers", nargs="+", default=[], metavar="NAME", help=f"trained fold by fold: {', '.join(scorer_names())}"
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="SCORER.NAME=VALUE", help="settings of the scorers")
    parser.add_argument("--labels", nargs="+", choices=tuple(LABELS), default=["delta"], help="what scorers learn")
    parser.add_argument("--split", choices=SPLITS, default="iid", help="how folds are made (default: iid)")
    parser.add_argument("--folds", type=int, default=5, metavar="N", help="number of folds (default: 5)")
    parser.add_argument("--repeats", type=int, metavar="N", help="of the folds (default: 1; 10 for leave-subjects-out)")
    parser.add_argument(
        "--train-sizes", nargs="+", type=int, default=[], metavar="N", help="learning curve: train on N queries a fold"
    )
    parser.add_argument("--without", nargs="+", default=[], metavar="SUBJECT", help="subjects to leave out")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes; times need 1 (default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of folds and bootstrap (default: 0)")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="where report.md and the picture go")


def evaluate(arguments: argparse.Namespace) -> list[str]:
    """Judge routers and write the report.

    Raises:
        RouterError: If there is nothing to judge, or a router, scorer, setting or the trace cannot be used.
    """
    if not arguments.routers and not arguments.scorers:
        raise RouterError("name routers to evaluate, or scorers with --scorers")
    trace = read_trace(arguments.trace)
    if arguments.without:
        trace = without_subjects(trace, arguments.without)
    settings = _settings_by_scorer(arguments.set, arguments.scorers)
    scorers = {name: make_scorer(name, **settings[name]) for name in arguments.scorers}
    results = [judge_stored(folder, trace) for folder in arguments.routers]
    if scorers:
        results += _cross_validated(trace, scorers, arguments)
    report = write_report(results, arguments.to, seed=arguments.seed)
    return [*(_told(one) for one in results), f"report: {report}"]


def judge_stored(folder: str, trace: Trace) -> Result:
    """Judge a stored router on the queries of a trace that it was not trained on.

    Its threshold plays no part: the curve holds every threshold.

    Raises:
        RouterError: If the folder or the trace cannot be used.
    """
    stored = load_router(folder)
    unseen = unseen_part(stored, trace)
    inputs = unseen.inputs(stored.scorer.reads_answer)
    started = time.perf_counter()
    scores = stored.scorer.scores(inputs)
    seconds = time.perf_counter() - started
    whole = Split(np.empty(0, dtype=np.intp), np.arange(len(unseen)))
    return Result(
        name=folder,
        label=stored.label,
        plan=Plan(HELD_OUT, ((whole,),)),
        folds=[Fold(whole, scores, 0.0, seconds)],
        edge=unseen.quality("edge"),
        cloud=unseen.quality("cloud"),
        trace=unseen.name,
        settings=stored.scorer.settings(),
        subjects=unseen.subjects.tolist(),
        left_out=trace.provenance.get(LEFT_OUT, ()),
    )


def read_settings(words: Sequence[str]) -> dict[str, Any]:
    """`name=value` as a mapping; values are read as YAML, as in an algorithm file.

    Raises:
        RouterError: If a word is not of that form.
    """
    settings = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise RouterError(f"--set takes name=value, not {word!r}")
        try:
            settings[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RouterError(f"--set {word!r}: the value is not YAML; quote it as in an algorithm file") from error
    return settings


def _settings_by_scorer(words: Sequence[str], scorers: Sequence[str]) -> Mapping[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {name: {} for name in scorers}
    for key, value in read_settings(words).items():
        name, _, setting = key.partition(".")
        if name not in found or not setting:
            raise RouterError(
                f"--set {key}=...: write SCORER.NAME=VALUE with one of the scorers evaluated "
                f"({', '.join(scorers) or 'none'}), e.g. tfidf.regularisation=1.0"
            )
        found[name][setting] = value
    return found


def _cross_validated(trace: Trace, scorers: Mapping[str, Scorer], arguments: argparse.Namespace) -> list[Result]:
    plan = make_plan(trace, arguments.split, folds=arguments.folds, repeats=arguments.repeats, seed=arguments.seed)
    if not arguments.train_sizes:
        return compare(trace, scorers, arguments.labels, plan, jobs=arguments.jobs)
    results = []
    for size, shorter in learning_curve(plan, arguments.train_sizes, arguments.seed).items():
        named = {f"{name}, {size} queries": scorer for name, scorer in scorers.items()}
        results += compare(trace, named, arguments.labels, shorter, jobs=arguments.jobs)
    return results


def _told(one: Result) -> str:
    count = sum(len(fold.scores) for fold in one.folds)
    return f"{one.name} ({one.label}): APGR {one.mean('apgr'):.3f} over {count} scored queries, {one.plan}"
