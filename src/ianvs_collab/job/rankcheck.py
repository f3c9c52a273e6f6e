"""Checks how a job wants its leaderboard, before anything has run for hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ianvs_collab.configuration.checking import check_keys
from ianvs_collab.configuration.problems import Place, did_you_mean
from ianvs_collab.job import schema
from ianvs_collab.job.algorithmfile import AlgorithmFile
from ianvs_collab.story import FIXED_COLUMNS
from ianvs_collab.story.visualization import METHODS
from ianvs_collab.testenv.testenvmanager import TestEnvManager

ORDERS = ("ascend", "descend")
MODES = ("selected_only",)
PICTURE = "selected_and_all_and_picture"


def check_rank(rank: schema.Rank, metrics: Sequence[str], algorithms: Iterable[AlgorithmFile], place: Place) -> None:
    """Notes names in `rank` that mean nothing.

    Args:
        rank: The job's section `rank`.
        metrics: Names of the testenv's metrics; none if the testenv could not be read.
        algorithms: The job's algorithms.
        place: Where the section stands.
    """
    body = place.document.value[place.location[0]]["rank"]
    check_keys(schema.Rank.model_fields, body, place)
    for key, model in (("visualization", schema.Visualization), ("selected_dataitem", schema.SelectedDataItem)):
        check_keys(model.model_fields, body.get(key), place.at(key))
    _check_sorting(rank, metrics, place.at("sort_by"))
    _check_selection(rank.selected_dataitem, metrics, list(algorithms), place.at("selected_dataitem"))
    _check_visualization(rank, metrics, place)


def check_columns(testenv: TestEnvManager, algorithms: Iterable[AlgorithmFile]) -> None:
    """Notes metrics whose columns would be called like others of the leaderboard.

    Args:
        testenv: The test environment.
        algorithms: The job's algorithms.
    """
    taken = {"rank", *FIXED_COLUMNS, *(module.type for file in algorithms for module in file.algorithm.modules)}
    names: set[str] = set()
    for index, metric in enumerate(testenv.testenv.metrics):
        place = testenv.place.at("metrics", index, "name")
        if metric.name in taken:
            place.error(f"{metric.name!r} is the name of another column of the leaderboard; call the metric otherwise")
        if metric.name in names:
            place.warn(f"metric {metric.name!r} is given twice; the last one counts")
        names.add(metric.name)


def _check_sorting(rank: schema.Rank, metrics: Sequence[str], place: Place) -> None:
    for index, item in enumerate(rank.sort_by):
        here = place.at(index)
        if not item:
            here.error("must hold a metric and its order; write `- accuracy: descend`")
        if len(item) > 1:
            here.warn("only the first metric counts; start each one with `- `")
        for name, order in list(item.items())[:1]:
            if metrics and name not in metrics:
                here.warn(f"there is no metric {name!r} to sort by{did_you_mean(str(name), metrics)}")
            if order not in ORDERS:
                here.warn(f"order {order!r} is taken for 'descend'; known are {', '.join(ORDERS)}")


def _check_selection(
    selected: schema.SelectedDataItem, metrics: Sequence[str], algorithms: list[AlgorithmFile], place: Place
) -> None:
    modules = [
        (module, hps) for file in algorithms for module, hps in zip(file.algorithm.modules, file.choices, strict=True)
    ]
    columns = {f"{module.type}-{name}": None for module, choices in modules for hps in choices for name in hps}
    known = {
        "paradigms": [file.algorithm.paradigm_type for file in algorithms],
        "modules": [module.type for module, _ in modules],
        "hyperparameters": list(columns),
        "metrics": list(metrics),
    }
    for key, names in selected:
        for index, name in enumerate(names):
            if known[key] and name != "all" and name not in known[key]:
                text = f"{name!r} is none of this job's {key}{did_you_mean(name, dict.fromkeys(known[key]))}"
                place.at(key, index).warn(text)


def _check_visualization(rank: schema.Rank, metrics: Sequence[str], place: Place) -> None:
    """Warns of what ends the job with exit status 1 after its results have been saved, as it does in Ianvs."""
    shown = rank.visualization
    if shown.mode not in MODES:
        place.at("visualization").warn(f"no table is printed in mode {shown.mode!r}; known is selected_only")
    elif shown.method not in METHODS:
        text = f"unknown method {shown.method!r}: results are saved, then the job fails; known are {', '.join(METHODS)}"
        place.at("visualization", "method").warn(text)
    if rank.save_mode == PICTURE and metrics and "Matrix" not in metrics:
        text = f"{PICTURE} needs a metric named Matrix: results are saved, then the job fails"
        place.at("save_mode").warn(text)
