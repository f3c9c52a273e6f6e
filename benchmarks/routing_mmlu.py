"""How well query routers do on recorded answers to MMLU, on subjects they know and on subjects they do not.

Prints, as Markdown, the average performance gap recovered (APGR) of each router in 5-fold cross-validation (seeds 0 to
4) and with whole subjects left out (10 random partitions of the subjects into 5 groups); both once more without
high_school_mathematics (hsm), whose recorded cloud answers are broken; what the label `delta` gains over `gain`; and
what each group of question features adds to `question-features`. Every figure is a mean over folds; nothing is pooled.

`mean-ensemble` is the mean of what its members, judged in the same folds, score; it is not trained a second time.

Run it from the repository's root, with the trace and the folder that holds MMLU's `test/`, or with the folder that
holds both (`traces/mmlu_mixtral_gpt4.csv`, `mmlu/`) in the environment variable IANVS_COLLAB_DATA:
`python benchmarks/routing_mmlu.py [--trace CSV --mmlu FOLDER] [--quick] [--parts PART ...] [--keep FOLDER]`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np

from ianvs_collab.routing.evaluation import Plan, Result, cross_validate, make_plan, t_interval, without_subjects
from ianvs_collab.routing.features import GROUPS
from ianvs_collab.routing.scorer import Scorer, make_scorer
from ianvs_collab.routing.scorers.ensemble import MeanEnsemble
from ianvs_collab.routing.traces import Trace
from ianvs_collab.routing.traces.correctness import read_correctness

IID, UNSEEN = "iid", "leave-subjects-out"
BROKEN = ("high_school_mathematics",)
MATHEMATICS = (*BROKEN, "abstract_algebra", "college_mathematics", "elementary_mathematics", "high_school_statistics")
FOLDS = 5
TEST_TO_TRAIN = 1 / (FOLDS - 1)
WITH_MINILM = "question-features + MiniLM"
SETTINGS: Mapping[str, Mapping[str, object]] = {
    WITH_MINILM: {"scorer": "question-features", "embedding": "minilm"},
    "rank-ensemble": {"scorer": "rank-ensemble", "folds": 2},
}
"""Routers that are not the scorer of their name with its default settings."""
MEMBERS: tuple[str, ...] = tuple(MeanEnsemble().members)
ROUTERS: Mapping[str, tuple[str, ...]] = {
    IID: (
        "subject-prior",
        "embedding-knn",
        "question-features",
        "tfidf-subject",
        "mean-ensemble",
        "embedding-gb",
        "embedding-subject-lr",
        "embedding-lr",
        WITH_MINILM,
        "length",
        "tfidf",
    ),
    UNSEEN: (
        "length",
        "question-features",
        WITH_MINILM,
        "embedding-lr",
        "embedding-knn",
        "tfidf",
        "tfidf-subject",
        "mean-ensemble",
    ),
}
"""The subject prior has nothing to say of subjects it has not seen: its APGR there is 0.5."""
FEWER: Mapping[tuple[str, str], int] = {
    ("tfidf", IID): 1,
    ("rank-ensemble", IID): 1,
    ("tfidf", UNSEEN): 2,
    ("tfidf-subject", UNSEEN): 2,
    ("mean-ensemble", UNSEEN): 2,
}
"""Repetitions of the routers that take longest to train."""
WITHOUT_BROKEN = ("subject-prior", "embedding-knn", "question-features", WITH_MINILM)
TAUGHT_TWICE = ("tfidf", "embedding-lr", "embedding-subject-lr", "embedding-knn", "question-features")


class Bench:
    """A trace with and without the broken subject, and the folds of each.

    Args:
        trace: What both models answered.
        repeats: Repetitions of each split.
        seed: Of the first one of either.
        keep: Folder for what is done, so that an interrupted run is taken up where it ended; None for none.
    """

    def __init__(self, trace: Trace, repeats: Mapping[str, int], seed: int, keep: Path | None = None) -> None:
        self.traces = {"all": trace, "without": without_subjects(trace, BROKEN)}
        self.no_mathematics = without_subjects(trace, MATHEMATICS)
        self.repeats, self.seed, self.keep = repeats, seed, keep
        self._results: dict[tuple[str, str, str, str], Result] = {}

    def plan(self, trace: Trace, split: str, repeats: int | None = None) -> Plan:
        """The folds of a split."""
        return make_plan(trace, split, folds=FOLDS, repeats=repeats or self.repeats[split], seed=self.seed)

    def result(self, name: str, split: str, which: str = "all", label: str = "delta") -> Result:
        """A router's cross-validation, run once."""
        key = name, split, which, label
        if key not in self._results:
            self._results[key] = self._mean(key) if name == "mean-ensemble" else self._named(*key)
        return self._results[key]

    def judged(
        self, trace: Trace, scorer: Scorer, split: str, label: str = "delta", repeats: int | None = None
    ) -> Result:
        """Cross-validation, repetition by repetition, each kept on disk where a folder is given."""
        plan = self.plan(trace, split, repeats)
        turns = [Plan(split, (folds,), plan.seed + turn) for turn, folds in enumerate(plan.repeats)]
        made = [self._turn(trace, scorer, label, turn) for turn in turns]
        return replace(made[0], plan=plan, folds=[fold for one in made for fold in one.folds])

    def _turn(self, trace: Trace, scorer: Scorer, label: str, plan: Plan) -> Result:
        if self.keep is None:
            return cross_validate(trace, scorer, label, plan)
        about = scorer.name, scorer.settings(), label, plan.name, plan.seed, trace.name, len(trace)
        file = self.keep / f"{hashlib.sha256(repr(about).encode()).hexdigest()[:24]}.joblib"
        if not file.exists():
            draft = file.with_suffix(".draft")
            joblib.dump(cross_validate(trace, scorer, label, plan), draft)
            draft.replace(file)
        kept: Result = joblib.load(file)
        return kept

    def _named(self, name: str, split: str, which: str, label: str) -> Result:
        given = {"scorer": name, **SETTINGS.get(name, {})}
        scorer = make_scorer(str(given.pop("scorer")), **given)
        repeats = min(self.repeats[split], FEWER.get((name, split), self.repeats[split]))
        return replace(self.judged(self.traces[which], scorer, split, label, repeats), name=name)

    def _mean(self, key: tuple[str, str, str, str]) -> Result:
        members = [self.result(member, *key[1:]) for member in MEMBERS]
        first = min(members, key=lambda member: len(member.folds))
        folds = [
            replace(
                same[0],
                scores=np.mean([fold.scores for fold in same], axis=0),
                fit_seconds=sum(fold.fit_seconds for fold in same),
                score_seconds=sum(fold.score_seconds for fold in same),
            )
            for same in zip(*(member.folds for member in members), strict=False)
        ]
        return replace(first, name=key[0], folds=folds, settings={"members": list(MEMBERS)})

    def known_subjects(self) -> None:
        """Each router on new questions of the subjects it was trained on."""
        self._routers(IID)

    def unseen_subjects(self) -> None:
        """Each router on subjects it was not trained on."""
        self._routers(UNSEEN)

    def _routers(self, split: str) -> None:
        print(f"\n## {self.plan(self.traces['all'], split)}\n")
        _head("router", "repetitions", "APGR", "95 %", "sd of repetitions", "aggregate APGR", "fit [s]", "score [ms]")
        for name in ROUTERS[split]:
            result = self.result(name, split)
            _print(name, str(len(result.plan.repeats)), *_figures(result), *_times(result))
        print("\nWithout hsm, in training as well:\n")
        _head("router", "repetitions", "APGR", "95 %", "sd of repetitions", "aggregate APGR")
        for name in [name for name in WITHOUT_BROKEN if name in ROUTERS[split]]:
            result = self.result(name, split, "without")
            _print(name, str(len(result.plan.repeats)), *_figures(result))

    def ranks(self) -> None:
        """The mean of ranks beside the mean of expected worth, in the first repetition."""
        print("\n## ensembles of the same members, first repetition\n")
        _head("router", "APGR", "95 %", "sd", "aggregate APGR", "fit [s]", "score [ms]")
        ranks = self.result("rank-ensemble", IID)
        mean = self.result("mean-ensemble", IID)
        mean = replace(mean, plan=ranks.plan, folds=mean.folds[: len(ranks.folds)])
        for result in (ranks, mean):
            _print(result.name, *_figures(result), *_times(result))

    def labels(self) -> None:
        """What the label `delta` gains over `gain`."""
        print("\n## delta - gain, APGR\n")
        _head("router", "split", "folds", "delta", "gain", "difference", "95 % over folds", "paired bootstrap", "p")
        for split, names in ((IID, TAUGHT_TWICE), (UNSEEN, ("question-features",))):
            for name in names:
                delta, gain = (self.result(name, split, "all", label) for label in ("delta", "gain"))
                _print(name, split, str(len(delta.folds)), *_compared(delta, gain))

    def groups(self) -> None:
        """What each group of question features adds, subjects left out."""
        for title, trace in (("all subjects", self.traces["all"]), ("without hsm", self.traces["without"])):
            print(f"\n## question-features, {UNSEEN}, {title}\n")
            self._ablation(trace)
        print(f"\n## question-features, {UNSEEN}, without all five mathematics subjects\n")
        result = self.judged(self.no_mathematics, make_scorer("question-features"), UNSEEN)
        print("APGR {}, 95 % {}, sd of partitions {}, aggregate {}".format(*_figures(result)))

    def _ablation(self, trace: Trace) -> None:
        names = list(GROUPS)

        def judged(**settings: object) -> np.ndarray:
            return self.judged(trace, make_scorer("question-features", **settings), UNSEEN).per_repeat("apgr")

        whole = judged()
        print(f"all groups: {whole.mean():.3f} ({_over_partitions(whole, '')})\n")
        _head("group", "alone", "95 %", "all without it", "what it adds to the others", "95 %")
        for name in names:
            alone, rest = judged(groups=[name]), judged(groups=[other for other in names if other != name])
            adds = whole - rest
            cells = f"{alone.mean():.3f}", _over_partitions(alone, ""), f"{rest.mean():.3f}", f"{adds.mean():+.3f}"
            _print(name, *cells, _over_partitions(adds))


PARTS: Mapping[str, Callable[[Bench], None]] = {
    "known-subjects": Bench.known_subjects,
    "groups": Bench.groups,
    "unseen-subjects": Bench.unseen_subjects,
    "labels": Bench.labels,
    "ranks": Bench.ranks,
}


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    started = time.perf_counter(), time.process_time()
    trace = read_correctness(arguments.trace, arguments.mmlu)
    if arguments.quick:
        trace = trace.subset(range(0, len(trace), 8))
    repeats = {IID: 1, UNSEEN: 2} if arguments.quick else {IID: 5, UNSEEN: 10}
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    bench = Bench(trace, repeats, arguments.seed, arguments.keep)
    print(f"# {trace.name}: {len(trace)} queries; first seed {arguments.seed}; hsm is {BROKEN[0]}")
    for part in arguments.parts:
        PARTS[part](bench)
    wall, processor = time.perf_counter() - started[0], time.process_time() - started[1]
    print(f"\n{wall:.0f} s, {processor:.0f} s of processor time")


def _arguments() -> argparse.Namespace:
    data = os.environ.get("IANVS_COLLAB_DATA")
    folder = Path(data) if data else None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path, default=folder and folder / "traces" / "mmlu_mixtral_gpt4.csv")
    parser.add_argument("--mmlu", type=Path, default=folder and folder / "mmlu", help="folder that holds MMLU's test/")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="tables (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the first repetition (default: 0)")
    parser.add_argument("--keep", type=Path, help="folder to keep each repetition in and to take it up from")
    parser.add_argument("--quick", action="store_true", help="few repetitions over every eighth query, to see it run")
    arguments = parser.parse_args()
    if arguments.trace is None or arguments.mmlu is None:
        parser.error("name the data with --trace and --mmlu, or set IANVS_COLLAB_DATA")
    return arguments


def _figures(result: Result) -> list[str]:
    """Mean of the folds' APGR, its interval, its spread over repetitions, and the APGR of averaged areas and gaps."""
    repeats = result.per_repeat("apgr")
    spread = f"{np.std(repeats, ddof=1):.3f}" if len(repeats) > 1 else "-"
    interval = _over_folds(result.per_fold("apgr"), "")
    return [f"{result.mean('apgr'):.4f}", interval, spread, f"{result.aggregate_apgr:.3f}"]


def _times(result: Result) -> tuple[str, str]:
    """Seconds to train in a fold, and milliseconds to score a query of a batch."""
    return f"{result.fit_seconds:.2f}", f"{1000 * result.score_seconds:.2f}"


def _compared(first: Result, second: Result) -> list[str]:
    """Both means, their difference, and how sure it is over folds and over queries."""
    folds = first.per_fold("apgr") - second.per_fold("apgr")
    drawn = first.compare(second, "apgr", resamples=500)
    means = [f"{result.mean('apgr'):.3f}" for result in (first, second)]
    found = drawn.difference
    bootstrap = f"{found.low:+.4f} to {found.high:+.4f}", f"{drawn.p_value:.3f}"
    return [*means, f"{found.estimate:+.4f}", _over_folds(folds), *bootstrap]


def _over_folds(folds: np.ndarray, sign: str = "+") -> str:
    """Interval of the mean over folds; they share training queries, which Nadeau and Bengio's variance allows for."""
    found = t_interval(folds[np.isfinite(folds)], test_to_train=TEST_TO_TRAIN)
    return f"{found.low:{sign}.3f} to {found.high:{sign}.3f}"


def _over_partitions(partitions: np.ndarray, sign: str = "+") -> str:
    """Interval of the mean over partitions; tells what the luck of the partitions leaves open, of these subjects."""
    found = t_interval(partitions)
    return f"{found.low:{sign}.3f} to {found.high:{sign}.3f}"


def _head(*names: str) -> None:
    _print(*names)
    _print(*["---"] * len(names))


def _print(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
