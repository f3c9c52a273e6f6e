"""`report.md`: how good routers are on a trace, how sure that is, and what has to be kept in mind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ianvs_collab.charts.cost_quality import draw
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.evaluation.intervals import Interval, bootstrap_all, t_interval
from ianvs_collab.routing.evaluation.plot import grouped, heading, label_of, panel
from ianvs_collab.routing.evaluation.resampling import mean_over_folds
from ianvs_collab.routing.evaluation.result import Result

PICTURE = "cost-quality"
SHOWN = ("apgr", "normalised", "cpt50", "cpt80", "auc", "aiq")
MEASURES = (*SHOWN, "area_gain")
NOTHING = "–"
ASKED = 0.4  # cloud share that thresholds are set for, to compare with what comes out

STANDING = (
    "APGR is the area under the performance gap recovered over the cloud share; random order has 0.5. Formulas: "
    "docs/reference/routing-metrics.md.",
    "Intervals in the table are 95 % percentile intervals of a bootstrap over the test queries with the trained "
    "routers held fixed. p is of the paired bootstrap of APGR against the best router on the same resamples, "
    "two-sided, not corrected for the number of comparisons.",
    f"Realised share: thresholds set for {ASKED:.0%} by the scores of the other folds, mean and range over folds.",
    "RouteLLM's published figures (Ong et al. 2024) come from routers that learned from human preferences and labels "
    "of MMLU's validation set. Routers that learn from other questions of the very test set, as in cross-validation, "
    "have more to go by: a higher figure here does not beat RouteLLM's, and the two are not comparable.",
)


def write_report(results: Sequence[Result], folder: str | Path, *, resamples: int = 1000, seed: int = 0) -> Path:
    """Write `report.md` and the picture, `cost-quality.svg` and `cost-quality.png`, into a folder, which is made.

    Args:
        results: At least one; those of other queries or folds get a table of their own.
        folder: Where to.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        The report's path.

    Raises:
        RouterError: If there is no result.
        OSError: If the folder cannot be written.
    """
    if not results:
        raise RouterError("there is no result to report")
    groups = grouped(results)
    panels = [panel(group, resamples=resamples, seed=seed) for group in groups]
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    for kind in ("svg", "png"):
        (path / f"{PICTURE}.{kind}").write_bytes(draw(panels, kind, quality="mean quality"))
    lines = ["# Routers", "", f"![Quality over cloud share]({PICTURE}.svg)"]
    for group in groups:
        lines += ["", *_section(group, resamples, seed)]
    lines += ["", "## Notes", "", *(f"- {note}" for note in STANDING)]
    (path / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path / "report.md"


def _section(group: Sequence[Result], resamples: int, seed: int) -> Iterator[str]:
    first = group[0]
    yield f"## {heading(first)}"
    yield ""
    yield from (f"- {fact}" for fact in _facts(group, resamples, seed))
    yield ""
    yield from _table(group, resamples, seed)
    if len(first.plan.repeats) > 1:
        yield ""
        yield from _repetitions(group)


def _facts(group: Sequence[Result], resamples: int, seed: int) -> Iterator[str]:
    first = group[0]
    yield f"queries: {len(first.edge)}" + (f", {len(set(first.subjects))} subjects" if any(first.subjects) else "")
    yield f"mean quality: edge {first.edge.mean():.4f}, cloud {first.cloud.mean():.4f}"
    yield f"labels: {', '.join(dict.fromkeys(one.label for one in group))}"
    yield f"folds: {first.plan}; seed {first.plan.seed}; figures are means over {len(first.folds)} folds, never pooled"
    yield f"bootstrap: {resamples} resamples, seed {seed}"
    if first.left_out:
        yield f"left out of the trace: {', '.join(first.left_out)}"
    yield from _reservations(group)


def _reservations(group: Sequence[Result]) -> Iterator[str]:
    first = group[0]
    undefined = first.undefined("apgr")
    if undefined:
        yield (
            f"**{undefined} of {len(first.folds)} folds have no APGR**, because the cloud is no better than the edge "
            "there; means of APGR and CPT are over the others, the rest of the figures over all"
        )
    gaps = first.per_fold("gap")
    if gaps.mean() > 0 and gaps.min() < gaps.mean() / 2:
        aggregates = ", ".join(f"{label_of(one, group)} {one.aggregate_apgr:.3f}" for one in group)
        yield (
            f"the gap differs from fold to fold ({gaps.min():.3f} to {gaps.max():.3f}), and folds with a small gap "
            f"weigh heavily in the mean APGR; with areas and gaps averaged first it is: {aggregates}"
        )


def _table(group: Sequence[Result], resamples: int, seed: int) -> Iterator[str]:
    header = ["router", "label", "APGR", "normalised", "CPT(50)", "CPT(80)", "AUC", "AIQ"]
    header += [f"realised at {ASKED:.0%}", "fit in s", "score in ms", "APGR minus best", "p"]
    yield _row(header)
    yield _row(["---"] * len(header))
    found = [bootstrap_all(one.parts, MEASURES, resamples=resamples, seed=seed) for one in group]
    order = sorted(range(len(group)), key=lambda i: found[i]["area_gain"].estimate, reverse=True)
    for index in order:
        one, figures = group[index], found[index]
        realised = one.realised(ASKED)
        cells = [_cell(one.name), _cell(one.label), *(_shown(figures[name]) for name in SHOWN)]
        spread = f"{realised.mean():.1%} ({realised.min():.1%} to {realised.max():.1%})"
        cells += [NOTHING if np.isnan(realised).any() else spread]
        cells += [f"{one.fit_seconds:.3g}" if one.fit_seconds else NOTHING, f"{1000 * one.score_seconds:.3g}"]
        yield _row([*cells, *_against(one, group[order[0]], resamples, seed)])
    oracle = [NOTHING, *_oracle(group[0])]
    yield _row(["oracle", *oracle, *[NOTHING] * (len(header) - len(oracle) - 1)])


def _against(one: Result, best: Result, resamples: int, seed: int) -> list[str]:
    """By how much the best router is missed, and whether that is chance."""
    if one is best:
        return ["best", NOTHING]
    comparison = one.compare(best, "apgr", resamples=resamples, seed=seed)
    known = comparison.difference.undefined < 1
    return [_shown(comparison.difference), f"{comparison.p_value:.4f}" if known else NOTHING]


def _oracle(one: Result) -> list[str]:
    """What the best order of the queries would have reached."""
    best = replace(one, folds=[replace(f, scores=p.oracle.scores) for f, p in zip(one.folds, one.parts, strict=True)])
    means = [mean_over_folds(best.per_fold(name).ravel()) for name in SHOWN]
    return [NOTHING if np.isnan(mean) else f"{mean:.3f}" for mean in means]


def _repetitions(group: Sequence[Result]) -> Iterator[str]:
    """How much figures vary from repetition to repetition, each the mean over its folds."""
    test_to_train = float(np.mean([len(f.split.test) / len(f.split.train) for f in group[0].folds]))
    header = ["router", "label", "mean APGR", "standard deviation", "t-interval", "t-interval, corrected"]
    yield "Over repetitions (each the mean over its folds; the corrected interval allows for their sharing data):"
    yield ""
    yield _row(header)
    yield _row(["---"] * len(header))
    for one in group:
        values = one.per_repeat("apgr")
        if not np.isfinite(values).all():
            continue
        plain, corrected = t_interval(values), t_interval(values, test_to_train=test_to_train)
        cells = [_cell(one.name), _cell(one.label), f"{plain.estimate:.3f}", f"{values.std(ddof=1):.3f}"]
        yield _row([*cells, *(f"{i.low:.3f} to {i.high:.3f}" for i in (plain, corrected))])


def _shown(interval: Interval) -> str:
    if np.isnan(interval.estimate):
        return NOTHING
    if np.isinf(interval.estimate):
        return "never"
    return f"{interval.estimate:.3f} ({_end(interval.low)} to {_end(interval.high)})"


def _end(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "unknown"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
