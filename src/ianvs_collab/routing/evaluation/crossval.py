"""Trains scorers and judges them on queries they have not learned from, fold by fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product

import numpy as np
from joblib import Parallel, delayed

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation.result import Fold, Result
from ianvs_collab.routing.evaluation.splits import LEFT_OUT, Plan, Split, delta_class, k_fold, leave_subjects_out
from ianvs_collab.routing.labels import target_of
from ianvs_collab.routing.scorer import Scorer
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Trace

Label = str | Callable[[Trace], Target]
"""Name of a label (`delta`, `gain`, `det`, `prob`, `trans`), or a function that labels the queries of a trace."""

SPLITS = ("iid", "leave-subjects-out")


def make_plan(trace: Trace, split: str = "iid", *, folds: int = 5, repeats: int | None = None, seed: int = 0) -> Plan:
    """The folds of a trace.

    Args:
        trace: To be split.
        split: `iid` for k folds stratified by which model is better, or `leave-subjects-out`.
        folds: Number of folds in each repetition.
        repeats: Number of repetitions; 1 for `iid` and 10 partitions for `leave-subjects-out` if left out.
        seed: Of the first repetition; the others have the following numbers.

    Raises:
        RouterError: If there is no such split, or the trace is too small for it.
    """
    if split == "iid":
        classes = delta_class(trace.quality("edge"), trace.quality("cloud"))
        return k_fold(classes, folds, 1 if repeats is None else repeats, seed)
    if split == "leave-subjects-out":
        return leave_subjects_out(trace.subjects, folds, 10 if repeats is None else repeats, seed)
    raise RouterError(f"there is no split {split!r}; splits are {' and '.join(SPLITS)}")


def cross_validate(
    trace: Trace,
    scorer: Scorer,
    label: Label = "delta",
    split: str | Plan = "iid",
    *,
    folds: int = 5,
    repeats: int | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Result:
    """Train a fresh twin of a scorer in each fold and score the queries it has not seen.

    Args:
        trace: What both models answered.
        scorer: Its settings count, not what it has learned; it stays as it is.
        label: What it is taught; made of the training queries of each fold alone.
        split: `iid` or `leave-subjects-out`, or folds made beforehand, so that several scorers share them.
        folds: Number of folds, unless they are made beforehand.
        repeats: Number of repetitions, likewise.
        seed: Of the folds, likewise.
        name: What tables call it; the scorer's registered name if left out.

    Raises:
        RouterError: If the trace is too small, or a fold shows nothing to learn; the message names the fold.
    """
    plan = split if isinstance(split, Plan) else make_plan(trace, split, folds=folds, repeats=repeats, seed=seed)
    inputs = trace.inputs(scorer.reads_answer)
    made = []
    for turn, splits in enumerate(plan.repeats):
        for number, fold in enumerate(splits):
            try:
                made.append(_run_fold(trace, inputs, scorer, label, fold))
            except RouterError as error:
                where = f"{plan.name}, seed {plan.seed + turn}, fold {number + 1} of {plan.folds}"
                raise RouterError(f"{name or scorer.name} ({where}): {error}") from error
    return Result(
        name=name or scorer.name,
        label=label if isinstance(label, str) else label(trace).name,
        plan=plan,
        folds=made,
        edge=trace.quality("edge"),
        cloud=trace.quality("cloud"),
        trace=trace.name,
        settings=scorer.settings(),
        subjects=trace.subjects.tolist(),
        left_out=trace.provenance.get(LEFT_OUT, ()),
    )


def compare(
    trace: Trace,
    scorers: Mapping[str, Scorer],
    labels: Sequence[Label] = ("delta",),
    split: str | Plan = "iid",
    *,
    folds: int = 5,
    repeats: int | None = None,
    seed: int = 0,
    jobs: int = 1,
) -> list[Result]:
    """Cross-validate several scorers under several labels on the same folds.

    Args:
        trace: What both models answered.
        scorers: By the name that tables give them.
        labels: What each is taught.
        split: As in `cross_validate`.
        folds: As in `cross_validate`.
        repeats: As in `cross_validate`.
        seed: As in `cross_validate`.
        jobs: Number of processes; times of fitting and scoring are comparable only with 1.

    Returns:
        One result for each scorer and label, scorer by scorer.

    Raises:
        RouterError: As `cross_validate`; or if there is no scorer or no label.
    """
    plan = split if isinstance(split, Plan) else make_plan(trace, split, folds=folds, repeats=repeats, seed=seed)
    if not scorers or not labels:
        raise RouterError("a comparison needs at least one scorer and one label")
    run = partial(cross_validate, trace, split=plan)
    calls = [delayed(run)(scorer, label, name=name) for (name, scorer), label in product(scorers.items(), labels)]
    return list(Parallel(n_jobs=jobs)(calls))


def _run_fold(trace: Trace, inputs: Sequence[object], scorer: Scorer, label: Label, fold: Split) -> Fold:
    lesson = trace.subset(fold.train)
    target = target_of(lesson, label) if isinstance(label, str) else label(lesson)
    started = time.perf_counter()
    twin = scorer.fresh().fit([inputs[i] for i in fold.train], target)
    fitted = time.perf_counter()
    scores = np.asarray(twin.scores([inputs[i] for i in fold.test]), dtype=float)
    scored = time.perf_counter()
    if scores.shape != fold.test.shape or np.isnan(scores).any():
        raise RouterError(
            f"it must give each of {len(fold.test)} queries a number, not an array of shape {scores.shape} with "
            f"{int(np.isnan(scores).sum())} values that are none"
        )
    return Fold(fold, scores, fitted - started, scored - fitted)
