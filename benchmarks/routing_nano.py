"""How well routers do on the nano models, by the question alone or by how sure the edge's answer was.

Both models answer held-out questions here, through the model server and with token log-probabilities. Routers are
judged twice: trained on the trace of training questions in the repository, which the models have seen when they were
trained themselves; and in 5-fold cross-validation over the held-out questions, as with a trace of questions that are as
new to the models as those to come.

Prints, as Markdown, the average performance gap recovered (APGR) of each router, how much of the way from random order
to the oracle that is, the quality at cloud shares of 10 to 90 %, and how each learned cascade differs at each share
from the routers that see the question alone. Intervals are from a bootstrap over questions, paired for differences.

Run it from the repository's root:
`python benchmarks/routing_nano.py [--questions 1224] [--train FOLDER] [--keep FOLDER] [--routers NAME ...]`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ianvs_collab.routing import ConfidenceRouter, RobertaRouter
from ianvs_collab.routing.evaluation import Plan, Scored, cross_validate, make_plan, measure
from ianvs_collab.routing.evaluation.resampling import mean_over_folds, resampled, values_of
from ianvs_collab.routing.labels import target_of
from ianvs_collab.routing.scorer import Scorer, make_scorer
from ianvs_collab.routing.traces import Trace, read_trace, write_trace
from ianvs_collab.routing.traces.trace import Floats
from ianvs_collab.zoo.export import test_questions
from ianvs_collab.zoo.tracing import TRAIN_FOLDER, record

SHARES = range(10, 100, 10)
MEASURES = [measure(name) for name in ("apgr", "normalised", *(f"quality{share}" for share in SHARES))]
FOLDS = 5


class Fixed(NamedTuple):
    """A router that learns nothing from the traces here.

    Attributes:
        reads_answer: Whether it looks at the edge's answer.
        scores: Scores of a trace.
    """

    reads_answer: bool
    scores: Callable[[Trace], Floats]


Approach = Scorer | Fixed
Parts = list[Scored]


def certainty(statistic: str) -> Fixed:
    """The edge's log-probabilities as they are."""
    router = ConfidenceRouter(statistic=statistic)  # type: ignore[arg-type]
    return Fixed(True, lambda trace: router.scores(trace.edge_answers()))


def nano_encoder() -> Fixed:
    """The shipped encoder, which was trained on other questions from the same generator."""
    return Fixed(False, lambda trace: RobertaRouter().scores(trace.queries()))


APPROACHES: dict[str, Callable[[], Approach]] = {
    "subject-prior": lambda: make_scorer("subject-prior"),
    "length": lambda: make_scorer("length"),
    "tfidf": lambda: make_scorer("tfidf"),
    "tfidf-subject": lambda: make_scorer("tfidf-subject"),
    "question-features": lambda: make_scorer("question-features"),
    "rank-ensemble": lambda: make_scorer("rank-ensemble"),
    "encoder zoo:router": nano_encoder,
    "confidence, mean": lambda: certainty("mean"),
    "confidence, min": lambda: certainty("min"),
    "confidence, quantile 0.1": lambda: certainty("quantile"),
    "learned-cascade": lambda: make_scorer("learned-cascade"),
    "learned-cascade + subject-prior": lambda: make_scorer("learned-cascade", query_scorer="subject-prior"),
}


def main() -> None:
    """Record, train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=1224, help="held-out questions (default: all 1224)")
    parser.add_argument("--train", type=Path, default=TRAIN_FOLDER, help="trace to learn from")
    parser.add_argument("--keep", type=Path, help="folder of the held-out trace: read if it is there, else written")
    parser.add_argument("--routers", nargs="+", choices=APPROACHES, default=list(APPROACHES), help="(default: all)")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (default: 1000)")
    parser.add_argument("--repeats", type=int, default=2, help="of the cross-validation (default: 2)")
    arguments = parser.parse_args()
    started = time.perf_counter()
    train, test = read_trace(arguments.train), held_out(arguments.questions, arguments.keep)
    describe(train, test)
    approaches = {name: APPROACHES[name]() for name in arguments.routers}
    plan = make_plan(test, folds=FOLDS, repeats=arguments.repeats)
    for title, judge in (
        ("Trained on the repository's training trace", lambda one: transferred(one, train, test)),
        (f"Cross-validated on the held-out questions: {plan}", lambda one: crossed(one, test, plan)),
    ):
        print(f"\n## {title}\n")
        figures = measured({name: judge(approach) for name, approach in approaches.items()}, arguments.resamples)
        print_routers(figures)
        print_differences(figures, approaches)
    print(f"\n{time.perf_counter() - started:.0f} s")


def transferred(approach: Approach, train: Trace, test: Trace) -> Parts:
    """Train on one trace and score the other."""
    if isinstance(approach, Fixed):
        scores = approach.scores(test)
    else:
        learned = approach.fresh().fit(train.inputs(approach.reads_answer), target_of(train, "delta"))
        scores = learned.scores(test.inputs(approach.reads_answer))
    return [Scored(scores, test.quality("edge"), test.quality("cloud"))]


def crossed(approach: Approach, test: Trace, plan: Plan) -> Parts:
    """Train on some folds and score the others; figures are then means over folds."""
    if isinstance(approach, Scorer):
        return cross_validate(test, approach, split=plan).parts
    scores, edge, cloud = approach.scores(test), test.quality("edge"), test.quality("cloud")
    folds = [fold.test for repeat in plan.repeats for fold in repeat]
    return [Scored(scores[rows], edge[rows], cloud[rows], rows=rows) for rows in folds]


def held_out(count: int, keep: Path | None) -> Trace:
    """What both models answer to held-out questions."""
    questions = test_questions()[:count]
    if keep is not None and (keep / "trace.json").exists():
        return read_trace(keep).subset(range(len(questions)))
    trace = record(questions)
    if keep is not None:
        write_trace(trace, keep)
    return trace


def describe(train: Trace, test: Trace) -> None:
    """Say what is compared, and see that both traces are of the same models.

    Raises:
        SystemExit: If they are not, or have a question in common.
    """
    for end in ("edge", "cloud"):
        revisions = {trace.provenance[end]["revision"] for trace in (train, test)}
        if len(revisions) > 1:
            raise SystemExit(f"the traces are of different {end} models; type: python -m ianvs_collab.zoo.tracing")
    shared = {row.text for row in train} & {row.text for row in test}
    if shared:
        raise SystemExit(f"{len(shared)} of the held-out questions are in the training trace, e.g. {min(shared)!r}")
    print(f"{len(train)} training questions, {len(test)} held-out questions, none of them in both\n")
    edge, cloud = test.quality("edge"), test.quality("cloud")
    oracle = np.maximum(edge, cloud).mean()
    print(f"edge {edge.mean():.1%}, cloud {cloud.mean():.1%}, either {oracle:.1%} right", end="; ")
    print(f"the cloud helps in {(cloud > edge).mean():.1%} and harms in {(cloud < edge).mean():.1%}")
    unread = np.mean([row.edge.outcome == "unparsed" for row in test])
    times = [np.median([getattr(row, end).total_seconds for row in test]) for end in ("edge", "cloud")]
    print(f"no option can be read from {unread:.1%} of the edge's answers")
    print(f"an answer takes the edge {1e3 * times[0]:.1f} ms and the cloud {1e3 * times[1]:.1f} ms (median)")


class Figures(NamedTuple):
    """The measures of one router, or of a difference between two.

    Attributes:
        estimates: Shape (measures,).
        drawn: In each resample, which are the same for all routers; shape (measures, resamples).
    """

    estimates: Floats
    drawn: Floats

    def minus(self, other: Figures) -> Figures:
        """The paired difference."""
        return Figures(self.estimates - other.estimates, self.drawn - other.drawn)

    @property
    def ends(self) -> Floats:
        """Ends of the 95 % percentile intervals, shape (2, measures)."""
        ends: Floats = np.quantile(self.drawn, [0.025, 0.975], axis=1)
        return ends


def measured(judged: dict[str, Parts], resamples: int) -> dict[str, Figures]:
    """Figures of all routers from the same resamples, and the oracle's last."""
    sides = {**judged, "oracle": [part.oracle for part in next(iter(judged.values()))]}
    drawn = resampled(list(sides.values()), MEASURES, resamples, 0, None)
    values = [mean_over_folds(np.array([values_of(part, MEASURES) for part in parts])) for parts in sides.values()]
    return {name: Figures(*each) for name, *each in zip(sides, values, drawn, strict=True)}


def print_routers(figures: dict[str, Figures]) -> None:
    """A row a router."""
    _print_head("router", "APGR", "normalised", "95 %", *(f"quality at {share} %" for share in SHARES))
    for name, one in figures.items():
        apgr, normalised, *qualities = one.estimates
        interval = f"{one.ends[0][1]:.3f} to {one.ends[1][1]:.3f}"
        print(_row([name, f"{apgr:.3f}", f"{normalised:.3f}", interval, *(f"{100 * at:.1f}" for at in qualities)]))


def print_differences(figures: dict[str, Figures], approaches: dict[str, Approach]) -> None:
    """How far each learned cascade is ahead of each router that sees the question alone, in points of accuracy."""
    cascades = [name for name, one in approaches.items() if one.reads_answer and isinstance(one, Scorer)]
    others = [name for name, one in approaches.items() if not one.reads_answer]
    for cascade in cascades:
        print(f"\n### {cascade} minus the router, percentage points\n")
        _print_head("router", "normalised APGR", *(f"at {share} %" for share in SHARES), "ahead", "surely ahead")
        for other in others:
            found = figures[cascade].minus(figures[other])
            (_, normalised, *points), (_, low, *lows), (_, high, *highs) = found.estimates, *found.ends
            cells = [
                f"{100 * a:+.1f} ({100 * b:+.1f} to {100 * c:+.1f})"
                for a, b, c in zip(points, lows, highs, strict=True)
            ]
            ahead = sum(point > 0 for point in points), sum(end > 0 for end in lows)
            whole = f"{normalised:+.3f} ({low:+.3f} to {high:+.3f})"
            print(_row([other, whole, *cells, *(f"{count} of {len(SHARES)}" for count in ahead)]))


def _print_head(*cells: str) -> None:
    print(_row(cells), _row(["---"] * len(cells)), sep="\n")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
