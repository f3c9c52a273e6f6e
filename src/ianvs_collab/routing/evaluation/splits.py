"""Which queries a router learns from and which it is judged on: k-fold, whole subjects left out, learning curves.

Folds of the same kind of questions (IID) flatter a router that only knows how hard each subject is; leaving whole
subjects out shows what it makes of subjects it has never seen. Which subjects fall together matters a lot then, so
several random partitions are averaged, fold by fold: scores of differently trained routers do not share a scale.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedKFold

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation.scored import Indices
from ianvs_collab.routing.hints import did_you_mean
from ianvs_collab.routing.traces.trace import Trace

LEFT_OUT = "left_out"
"""Where a trace's provenance names the subjects that were taken out of it."""


HELD_OUT = "held-out"
"""Name of the plan that is a single split: a router that was trained before, and queries it has not seen."""


class Split(NamedTuple):
    """Indices of the queries to learn from and to be judged on."""

    train: Indices
    test: Indices


@dataclass(frozen=True)
class Plan:
    """Folds, repeated.

    Attributes:
        name: `iid`, `leave-subjects-out` or `held-out`.
        repeats: One tuple of folds for each repetition; the folds of one do not share test queries.
        seed: Of the first repetition; the following ones have the following numbers.
    """

    name: str
    repeats: tuple[tuple[Split, ...], ...]
    seed: int = 0

    @property
    def folds(self) -> int:
        """Number of folds in each repetition."""
        return len(self.repeats[0])

    def __str__(self) -> str:
        """The plan in words."""
        times = len(self.repeats)
        if self.name == HELD_OUT:
            return f"trained beforehand, {len(self.repeats[0][0].test)} held-out queries"
        if self.name == "leave-subjects-out":
            partitions = "partition" if times == 1 else "partitions"
            return f"leave-subjects-out, {times} random {partitions} of the subjects into {self.folds} groups"
        return f"{self.folds}-fold, stratified by which model is better" + (f", {times} times" if times > 1 else "")


def delta_class(edge: ArrayLike, cloud: ArrayLike) -> NDArray[np.int_]:
    """Which model is better, shape (n,): -1 the edge, 0 neither, 1 the cloud."""
    better: NDArray[np.int_] = np.sign(np.asarray(cloud, dtype=float) - np.asarray(edge, dtype=float)).astype(int)
    return better


def k_fold(classes: ArrayLike, folds: int = 5, repeats: int = 1, seed: int = 0) -> Plan:
    """Folds in which the classes are as frequent as in the whole.

    Args:
        classes: Class of each query, shape (n,), as `delta_class` gives it.
        folds: Number of folds.
        repeats: How often the queries are shuffled and dealt out anew.
        seed: Of the first shuffle.

    Raises:
        RouterError: If there are too few queries, or only one class.
    """
    given = np.asarray(classes)
    counts = np.unique(given, return_counts=True)[1]
    _check("folds", folds, 2)
    _check("repeats", repeats, 1)
    if len(counts) < 2:  # noqa: PLR2004
        raise RouterError(
            f"all {len(given)} queries are of one class: neither model is ever better, or one always is, and there is "
            "nothing to learn; take more queries or another pair of models"
        )
    if counts.max() < folds:
        raise RouterError(
            f"{len(given)} queries, at most {counts.max()} of a class, are too few for {folds} folds; "
            f"record more, or take {max(2, int(counts.max()))} folds"
        )
    return Plan("iid", tuple(_stratified(given, folds, seed + turn) for turn in range(repeats)), seed)


def leave_subjects_out(subjects: ArrayLike, folds: int = 5, partitions: int = 10, seed: int = 0) -> Plan:
    """Random partitions of the subjects into groups; each group is left out once.

    Args:
        subjects: Subject of each query, shape (n,).
        folds: Number of groups in each partition, of as many subjects each as can be.
        partitions: Number of partitions.
        seed: Of the first partition.

    Raises:
        RouterError: If there are fewer subjects than groups, or a query has no subject.
    """
    names, which = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    _check("folds", folds, 2)
    _check("partitions", partitions, 1)
    if len(names) < folds:
        raise RouterError(
            f"{len(names)} subjects cannot be left out in {folds} groups; take at most {len(names)} folds"
            if len(names) > 1
            else "all queries have the same subject or none, so no subject can be left out; use the split 'iid'"
        )
    if "" in names:
        raise RouterError(f"{int((which == 0).sum())} queries have no subject; leaving subjects out needs one for each")
    return Plan(
        "leave-subjects-out",
        tuple(_grouped(which, len(names), folds, seed + turn) for turn in range(partitions)),
        seed,
    )


def learning_curve(plan: Plan, sizes: Sequence[int], seed: int = 0) -> Mapping[int, Plan]:
    """The same plan with fewer queries to learn from, by their number; smaller sets are parts of larger ones.

    Args:
        plan: Whose test queries stay as they are.
        sizes: Numbers of training queries, drawn at random from each fold's.
        seed: Of the draw.

    Raises:
        RouterError: If a fold has fewer training queries than asked for.
    """
    smallest = min(len(fold.train) for folds in plan.repeats for fold in folds)
    for size in sizes:
        if not 1 <= size <= smallest:
            raise RouterError(f"a learning curve up to {smallest} training queries has no place for {size!r}")
    orders = [
        [np.random.default_rng((seed, turn, number)).permutation(fold.train) for number, fold in enumerate(folds)]
        for turn, folds in enumerate(plan.repeats)
    ]
    return {size: _shortened(plan, orders, size) for size in sizes}


def without_subjects(trace: Trace, left_out: Collection[str]) -> Trace:
    """The trace without some subjects, e.g. without `high_school_mathematics`, whose recording is broken in a source.

    Raises:
        RouterError: If the trace has no such subject, or nothing else.
    """
    known = sorted(set(trace.subjects.tolist()))
    for name in left_out:
        if name not in known:
            raise RouterError(f"trace {trace.name!r} has no subject {name!r}{did_you_mean(name, known)}")
    kept = np.flatnonzero(~np.isin(trace.subjects, list(left_out)))
    if not len(kept):
        raise RouterError(f"trace {trace.name!r} has no queries left without {', '.join(sorted(left_out))}")
    gone = sorted({*trace.provenance.get(LEFT_OUT, ()), *left_out})
    return replace(trace.subset(kept), provenance={**trace.provenance, LEFT_OUT: gone})


def _stratified(classes: NDArray[np.int_], folds: int, seed: int) -> tuple[Split, ...]:
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a class rarer than there are folds is missing from some, which is no harm
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return tuple(Split(*split) for split in splitter.split(classes, classes))


def _grouped(which: Indices, subjects: int, folds: int, seed: int) -> tuple[Split, ...]:
    order = np.random.default_rng(seed).permutation(subjects)
    held_out = [np.isin(which, group) for group in np.array_split(order, folds)]
    return tuple(Split(np.flatnonzero(~test), np.flatnonzero(test)) for test in held_out)


def _shortened(plan: Plan, orders: Sequence[Sequence[Indices]], size: int) -> Plan:
    repeats = tuple(
        tuple(Split(np.sort(order[:size]), fold.test) for order, fold in zip(turn, folds, strict=True))
        for turn, folds in zip(orders, plan.repeats, strict=True)
    )
    return Plan(plan.name, repeats, plan.seed)


def _check(name: str, value: int, least: int) -> None:
    if value < least:
        raise RouterError(f"{name} must be at least {least}, not {value!r}")
