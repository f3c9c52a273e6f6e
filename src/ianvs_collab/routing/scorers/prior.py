"""The subject prior: how much better the cloud was in the query's subject, drawn towards the mean of all subjects.

It reads nothing of the question and is hard to beat where subjects recur; so every other router is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import Input, Scorer, scorer
from ianvs_collab.routing.scorers.heads import check_lesson
from ianvs_collab.routing.scorers.reading import subjects_of
from ianvs_collab.routing.scorers.storage import fitted, read_learned, reading, write_learned
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats


@scorer("subject-prior")
@dataclass
class SubjectPrior(Scorer):
    """Mean worth of the cloud in a query's subject; an unknown subject gets the mean of all queries.

    Attributes:
        shrinkage: How many queries of average worth are added to each subject (the m-estimate, Cestnik, "Estimating
            probabilities", ECAI 1990). None lets the training data say: the variance within subjects over the
            variance between them (empirical Bayes, by the method of moments of DerSimonian and Laird 1986).
    """

    shrinkage: float | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        self.learned_: tuple[dict[str, float], float] | None = None
        if self.shrinkage is not None and not self.shrinkage >= 0:
            raise RouterError(f"subject-prior: shrinkage must be 0 or more, or null, not {self.shrinkage!r}")

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Take the mean of each subject."""
        check_lesson(self.name, len(inputs), target)
        worth = target.expected
        subjects, index = np.unique(subjects_of(inputs), return_inverse=True)
        counts = np.bincount(index).astype(float)
        means = np.bincount(index, weights=worth) / counts
        overall = float(worth.mean())
        added = empirical_shrinkage(worth, index) if self.shrinkage is None else self.shrinkage
        weight = np.zeros_like(counts) if np.isinf(added) else counts / (counts + added)
        shrunk = overall + weight * (means - overall)
        self.learned_ = dict(zip(map(str, subjects), map(float, shrunk), strict=True)), overall
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Shrunk mean of each query's subject."""
        subjects, overall = fitted(self.learned_, self.name)
        return np.array([subjects.get(subject, overall) for subject in subjects_of(inputs)], dtype=float)

    def save(self, folder: Path) -> None:
        """Write subjects and means."""
        subjects, overall = fitted(self.learned_, self.name)
        write_learned(folder, {"means": np.array([overall, *subjects.values()])}, {"subjects": list(subjects)})

    def restore(self, folder: Path) -> None:
        """Read back subjects and means."""
        with reading(folder):
            arrays, facts = read_learned(folder, {"means": 1})
            overall, *means = map(float, arrays["means"])
            self.learned_ = dict(zip(facts["subjects"], means, strict=True)), overall


def empirical_shrinkage(worth: Floats, subjects: np.ndarray) -> float:
    """Variance within subjects over variance between subjects: the shrinkage the data ask for.

    Args:
        worth: Worth of each query, shape (n,).
        subjects: Index of its subject, 0 to s - 1, shape (n,).

    Returns:
        Queries to add to each subject; infinite if the subjects differ by no more than chance.
    """
    counts = np.bincount(subjects).astype(float)
    total, groups = counts.sum(), len(counts)
    if groups < 2 or total <= groups:  # noqa: PLR2004 - one subject, or one query in each: nothing to compare
        return float("inf")
    means = np.bincount(subjects, weights=worth) / counts
    within = float(((worth - means[subjects]) ** 2).sum() / (total - groups))
    spread = float((counts * (means - worth.mean()) ** 2).sum())
    between = (spread - (groups - 1) * within) / (total - (counts**2).sum() / total)
    return within / between if between > 0 else float("inf")
