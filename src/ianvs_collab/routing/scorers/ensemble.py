"""Several scorers as one: the mean of their ranks, or of the worth they expect.

A query that comes alone has no rank among others, so its rank with a member is its quantile among the scores that
member gave to training queries it had not seen. One query and a batch are therefore scored by the same function, and no
query's score depends on the others it is tested with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from ianvs_collab.modelserver.embedding import embedding_once
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.crossfit import out_of_fold
from ianvs_collab.routing.scorer import Input, Scorer, make_scorer, scorer
from ianvs_collab.routing.scorers.heads import check_lesson
from ianvs_collab.routing.scorers.storage import fitted, read_learned, reading, write_learned
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats

Member = str | Mapping[str, Any]


def _default_members() -> list[Member]:
    return ["tfidf-subject", "embedding-knn", "question-features"]


@dataclass
class Ensemble(Scorer):
    """What both ensembles share: members, each trained on all queries.

    Attributes:
        members: Names of scorers, or mappings with `scorer` and its settings, e.g. `{scorer: embedding-knn,
            neighbours: 50}`.
    """

    members: list[Any] = field(default_factory=_default_members)

    def __post_init__(self) -> None:
        """Check the settings."""
        self.members_: list[Scorer] | None = None
        if not isinstance(self.members, Sequence) or isinstance(self.members, str) or not self.members:
            raise RouterError(f"{self.name}: members must be a list of scorers, not {self.members!r}")
        for member in self._fresh_members():
            if member.reads_answer:
                raise RouterError(
                    f"{self.name}: {member.name!r} looks at the edge's answer, and members look at queries"
                )

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Train every member."""
        check_lesson(self.name, len(inputs), target)
        self.members_ = [member.fit(inputs, target) for member in self._fresh_members()]
        return self

    def member_scores(self, inputs: Sequence[Input]) -> Floats:
        """Scores of each member, shape (members, n)."""
        members = fitted(self.members_, self.name)
        with embedding_once():
            return np.stack([member.scores(inputs) for member in members])

    def save(self, folder: Path) -> None:
        """Write each member into a folder of its own."""
        for number, member in enumerate(fitted(self.members_, self.name)):
            (folder / f"member-{number}").mkdir(exist_ok=True)
            member.save(folder / f"member-{number}")

    def restore(self, folder: Path) -> None:
        """Read the members back."""
        members = self._fresh_members()
        for number, member in enumerate(members):
            member.restore(folder / f"member-{number}")
        self.members_ = members

    def _fresh_members(self) -> list[Scorer]:
        return [self._fresh_member(given) for given in self.members]

    def _fresh_member(self, given: Member) -> Scorer:
        if isinstance(given, str):
            return make_scorer(given)
        if not isinstance(given, Mapping) or not isinstance(given.get("scorer"), str):
            raise RouterError(
                f"{self.name}: a member is the name of a scorer or a mapping with `scorer` and its settings, not "
                f"{given!r}"
            )
        return make_scorer(given["scorer"], **{key: value for key, value in given.items() if key != "scorer"})


@scorer("mean-ensemble")
@dataclass
class MeanEnsemble(Ensemble):
    """Mean of the worth that the members expect; they must be of the same unit, as trained members are."""

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Mean expected worth."""
        return np.asarray(self.member_scores(inputs).mean(axis=0))


@scorer("rank-ensemble")
@dataclass
class RankEnsemble(Ensemble):
    """Mean of the members' ranks, 0 to 1.

    Attributes:
        folds: For the out-of-fold scores that ranks are taken among.
        seed: Of the folds.
    """

    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        self.ranks_: list[tuple[Floats, Floats]] | None = None

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Train every member, and collect the scores it gives to queries it has not seen."""
        super().fit(inputs, target)
        held_out = [out_of_fold(m, inputs, target, self.folds, self.seed) for m in self._fresh_members()]
        self.ranks_ = [quantile_curve(scores) for scores in held_out]
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """Mean rank."""
        curves = fitted(self.ranks_, self.name)
        scores = self.member_scores(inputs)
        ranks = [np.interp(own, *curve) for own, curve in zip(scores, curves, strict=True)]
        return np.asarray(np.mean(ranks, axis=0))

    def save(self, folder: Path) -> None:
        """Write the members and their score distributions."""
        super().save(folder)
        curves = fitted(self.ranks_, self.name)
        arrays = {f"{side}-{n}": curve[i] for n, curve in enumerate(curves) for i, side in enumerate(_SIDES)}
        write_learned(folder, arrays, {})

    def restore(self, folder: Path) -> None:
        """Read back members and distributions."""
        super().restore(folder)
        names = [[f"{side}-{number}" for side in _SIDES] for number in range(len(self.members))]
        with reading(folder):
            arrays, _ = read_learned(folder, {name: 1 for pair in names for name in pair})
            curves = [(arrays[scores], arrays[ranks]) for scores, ranks in names]
            if any(len(scores) != len(ranks) or len(scores) == 0 for scores, ranks in curves):
                raise ValueError("scores and ranks differ in number")
            self.ranks_ = curves


_SIDES = ("scores", "ranks")


def quantile_curve(scores: Floats) -> tuple[Floats, Floats]:
    """Where a score stands in a distribution, as points to interpolate between.

    Args:
        scores: Shape (n,).

    Returns:
        Distinct scores, ascending, and for each the share of scores below it plus half the share of those equal to it.
    """
    distinct, counts = np.unique(scores, return_counts=True)
    return distinct, (np.cumsum(counts) - counts / 2) / len(scores)
