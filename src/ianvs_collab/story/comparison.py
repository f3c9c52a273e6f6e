"""Who won, by how much, and whether chance alone could have done it.

Cases are ordered by the job's sort keys. Every other case is compared with the winner on the queries that both
answered, so that what makes a query hard for everybody does not count as a difference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ianvs_collab.statistics import wilson
from ianvs_collab.story.cells import metric_cell, number
from ianvs_collab.story.evidence import Evidence
from ianvs_collab.story.stats import Interval, holm, mcnemar, paired_bootstrap
from ianvs_collab.story.table import RankRow, sort_rows

SIGNIFICANCE = 0.05
ORACLE = "oracle (knows the right answers)"
REFERENCES = {
    "edgeonly": "edge only",
    "cloudonly": "cloud only",
    "random": "random",
    "oracle": ORACLE,
}


@dataclass(frozen=True)
class Key:
    """The metric that decides.

    Attributes:
        metric: Its name.
        ascending: Whether less is better.
    """

    metric: str
    ascending: bool

    @property
    def is_accuracy(self) -> bool:
        """Whether the metric counts right answers, so that a test on right and wrong applies."""
        return "accuracy" in self.metric.lower() or self.metric.lower() == "acc"


@dataclass(frozen=True)
class Comparison:
    """One case beside the winner.

    Attributes:
        evidence: The other case.
        queries: Number of queries that both answered.
        difference: The winner's mean minus the other's on those queries, in the metric's unit.
        only_winner: Queries that only the winner answered rightly; None unless the metric is an accuracy.
        only_other: Queries that only the other one answered rightly; None likewise.
        test: Name of the test, or why there is none.
        p_value: Holm-corrected, None where there is no test.
    """

    evidence: Evidence
    queries: int
    difference: float | None
    only_winner: int | None
    only_other: int | None
    test: str
    p_value: float | None

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below 0.05."""
        return self.p_value is not None and self.p_value < SIGNIFICANCE

    @property
    def same_answers(self) -> bool:
        """Whether the two were right on exactly the same queries."""
        return self.only_winner == 0 and self.only_other == 0


@dataclass(frozen=True)
class Contest:
    """Cases that ran under one deployment, ordered, with the winner compared with each other one.

    Attributes:
        deployment: Name of the deployment, "" where cases name none.
        ordered: All cases, best first.
        winner: The best one that does not know the right answers beforehand.
        comparisons: The others in the order of `ordered`.
    """

    deployment: str
    ordered: tuple[Evidence, ...]
    winner: Evidence
    comparisons: tuple[Comparison, ...]

    @property
    def runner_up(self) -> Comparison | None:
        """The next best that does not know the right answers beforehand."""
        return next((c for c in self.comparisons if not is_oracle(c.evidence.case.row)), None)


def choose_key(rows: Sequence[RankRow], sort_by: Sequence[tuple[str, str]]) -> Key | None:
    """Returns the first sort key that some row has a number for, else accuracy, else None."""
    for metric, direction in sort_by:
        if any(_score(row, metric) is not None for row in rows):
            return Key(metric, direction == "ascend")
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    keys = [Key(name, ascending=False) for name in names if name.lower() in {"accuracy", "acc"}]
    return next((key for key in keys if any(_score(row, key.metric) is not None for row in rows)), None)


def reference(row: RankRow) -> str | None:
    """Returns which of `REFERENCES` the case is, told from its miner's or algorithm's name; None if it is none."""
    for name in (row.modules.get("hard_example_mining", ""), row.algorithm):
        plain = re.sub(r"[^a-z]", "", str(name).lower())
        for mark, meaning in REFERENCES.items():
            if plain.startswith(mark):
                return meaning
    return None


def is_oracle(row: RankRow) -> bool:
    """Whether the case knows the right answers beforehand, so that it shows a bound and cannot win."""
    return reference(row) == ORACLE


def deployment(row: RankRow) -> str:
    """Returns the name of the deployment that a hyperparameter called `deployment` gives, "" if there is none."""
    for name, value in row.hyperparameters.items():
        if name.rpartition("-")[2] == "deployment":
            return PurePath(str(value)).stem
    return ""


def contests(cases: Sequence[Evidence], key: Key, sort_by: Sequence[tuple[str, str]]) -> list[Contest]:
    """Returns one contest for each deployment, in order of first appearance; cases without a score take no part."""
    groups: dict[str, list[Evidence]] = {}
    for case in cases:
        if _score(case.case.row, key.metric) is not None:
            groups.setdefault(deployment(case.case.row), []).append(case)
    return [_contest(name, group, key, sort_by) for name, group in groups.items()]


def _contest(name: str, group: list[Evidence], key: Key, sort_by: Sequence[tuple[str, str]]) -> Contest:
    ordered = order(group, key, sort_by)
    eligible = [case for case in ordered if not is_oracle(case.case.row)] or ordered
    winner = eligible[0]
    others = [case for case in ordered if case is not winner]
    return Contest(name, tuple(ordered), winner, tuple(compare(winner, others, key)))


def order(group: Sequence[Evidence], key: Key, sort_by: Sequence[tuple[str, str]]) -> list[Evidence]:
    """Returns the cases as the rank file has them, the deciding metric first."""
    keys = [(key.metric, "ascend" if key.ascending else "descend"), *sort_by]
    rows = [{**case.case.row.cells(), "place": str(place)} for place, case in enumerate(group)]
    return [group[int(row["place"])] for row in sort_rows(rows, keys)]


def compare(winner: Evidence, others: Sequence[Evidence], key: Key) -> list[Comparison]:
    """Returns the comparison of each other case with the winner, p-values corrected for their number (Holm)."""
    raw = [_compare_one(winner, other, key) for other in others]
    tested = [place for place, comparison in enumerate(raw) if comparison.p_value is not None]
    corrected = dict(zip(tested, holm([raw[place].p_value or 0.0 for place in tested]), strict=True))
    return [
        Comparison(c.evidence, c.queries, c.difference, c.only_winner, c.only_other, c.test, corrected.get(place))
        for place, c in enumerate(raw)
    ]


def _compare_one(winner: Evidence, other: Evidence, key: Key) -> Comparison:
    if key.is_accuracy:
        return _compare_correctness(winner, other, key)
    mine, theirs = winner.deciding.values, other.deciding.values
    paired = sorted(mine.keys() & theirs.keys())
    if not paired:
        return Comparison(other, 0, None, None, None, "no value for each query", None)
    differences = [mine[index] - theirs[index] for index in paired]
    result = paired_bootstrap(differences)
    return Comparison(other, len(paired), result.interval.estimate, None, None, "paired bootstrap", result.p_value)


def _compare_correctness(winner: Evidence, other: Evidence, key: Key) -> Comparison:
    paired = winner.correct.keys() & other.correct.keys()
    if not paired:
        return Comparison(other, 0, None, None, None, "records do not tell right from wrong", None)
    scale = unit(winner, key)
    only_winner = sum(winner.correct[index] and not other.correct[index] for index in paired)
    only_other = sum(other.correct[index] and not winner.correct[index] for index in paired)
    difference = scale * (only_winner - only_other) / len(paired)
    p_value = mcnemar(only_winner, only_other)
    return Comparison(other, len(paired), difference, only_winner, only_other, "exact McNemar", p_value)


def interval(case: Evidence, key: Key) -> Interval | None:
    """Returns the 95 % interval of the deciding metric: Wilson's for accuracy, else the bootstrap's of the mean."""
    if key.is_accuracy:
        if not case.correct:
            return None
        right, total = sum(case.correct.values()), len(case.correct)
        return _scaled(Interval(right / total, *wilson(right, total)), unit(case, key))
    values = list(case.deciding.values.values())
    if not values:
        return None
    return _scaled(paired_bootstrap(values).interval, len(values) if case.deciding.summed else 1)


def unit(case: Evidence, key: Key) -> float:
    """Returns what the leaderboard calls 1: 100 where it gives accuracy in per cent."""
    reported = _score(case.case.row, key.metric)
    if reported is None or not case.correct:
        return 1.0
    share = sum(case.correct.values()) / len(case.correct)
    return 100.0 if abs(reported - 100 * share) < abs(reported - share) else 1.0


def _scaled(interval: Interval, factor: float) -> Interval:
    return Interval(*(factor * value for value in interval))


def trade_off(cases: Sequence[Evidence]) -> Mapping[str, list[tuple[str, float, float]]]:
    """Returns (label, mean end-to-end latency in s, accuracy) of each case that has both, by deployment."""
    points: dict[str, list[tuple[str, float, float]]] = {}
    for case in cases:
        latency = case.latencies.mean
        if latency and case.correct:
            point = (case.case.label, latency, sum(case.correct.values()) / len(case.correct))
            points.setdefault(deployment(case.case.row) or "as is", []).append(point)
    return points


def undominated(points: Sequence[tuple[str, float, float]]) -> list[str]:
    """Returns the labels of the points that no other beats in accuracy without being slower, fastest first."""
    best = sorted(points, key=lambda point: (point[1], -point[2]))
    return [label for place, (label, _, accuracy) in enumerate(best) if all(accuracy > p[2] for p in best[:place])]


def _score(row: RankRow, metric: str) -> float | None:
    return number(metric_cell(row.metrics.get(metric)))
