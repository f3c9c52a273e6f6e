"""Imports every plug-in of a job and checks that it registers what the job names, before anything runs."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ianvs_collab import compat
from ianvs_collab.configuration.problems import Place, did_you_mean
from ianvs_collab.job.algorithmfile import AlgorithmFile
from ianvs_collab.job.schema import Module
from ianvs_collab.testcase.metrics import SYSTEM_METRICS
from ianvs_collab.testcase.plugins import GROUPS, PluginError, load_class, load_package, load_plugin
from ianvs_collab.testenv.testenvmanager import TestEnvManager


def check_plugins(algorithms: Sequence[AlgorithmFile], testenv: TestEnvManager | None) -> None:
    """Imports packages, modules and metrics in Ianvs's order and notes all that cannot be used.

    `os.environ` and `sys.path` are left as they were: what a plug-in sets when imported is applied again for each test
    case that uses it.

    Args:
        algorithms: The job's algorithms.
        testenv: Its test environment, if that could be read.
    """
    with _preserved():
        failed: set[str] = set()
        for algorithm in algorithms:
            _check_packages(algorithm, failed)
        for algorithm in algorithms:
            # Of two modules of one type Ianvs only looks at the last.
            last = {module.type: index for index, module in enumerate(algorithm.algorithm.modules)}
            for index in sorted(last.values()):
                _check_module(algorithm, index, failed)
        if testenv is not None:
            _check_metrics(testenv, failed)


@contextmanager
def _preserved() -> Iterator[None]:
    environment, search_paths = dict(os.environ), list(sys.path)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = search_paths


def _check_packages(algorithm: AlgorithmFile, failed: set[str]) -> None:
    for index, package in enumerate(algorithm.algorithm.third_party_packages or ()):
        place = algorithm.place.at("third_party_packages", index, "url")
        _attempt(package.url, place, failed, partial(load_package, package.url))


def _attempt(url: str, place: Place, failed: set[str], load: Callable[[], Any]) -> Any:
    """Returns what `load` returns, or None with an error noted; a file that failed is not tried, nor named, again."""
    if url in failed:
        return None
    try:
        return load()
    except PluginError as error:
        if error.broken:
            failed.add(url)
        place.error(f"{error}{place.where_else(url)}")
        return None


def _check_module(algorithm: AlgorithmFile, index: int, failed: set[str]) -> None:
    module, place = algorithm.algorithm.modules[index], algorithm.place.at("modules", index)
    group = GROUPS.get(module.type)
    if group is None:  # has been noted when the file was read
        return
    miner = module.type == "hard_example_mining"
    if miner and algorithm.algorithm.paradigm_type != "jointinference":
        if module.url:  # nobody makes the miner, but its file is imported
            _attempt(module.url, place.at("url"), failed, partial(load_plugin, module.url))
    elif module.url:
        load = partial(load_class, module.url, group, module.name)
        found = _attempt(module.url, place.at("url"), failed, load)
        if found is not None:
            _check_call(found, module, algorithm.choices[index], place)
    elif miner:
        _check_named_miner(module.name, group, place)
    elif module.type == "dataset_processor":
        place.warn("has no `url`, so nothing is processed; add the file that registers it")


def _check_named_miner(name: str, group: str, place: Place) -> None:
    factory, _ = compat.registry()
    if not factory.is_exists(group, name):
        known = sorted(getattr(factory, "__registry__", {}).get(group, {}))
        place.at("name").error(
            f"no miner {name!r} is registered{did_you_mean(name, known)}, or add its `url: <file>.py`"
        )


def _check_call(found: Any, module: Module, choices: Sequence[Mapping[str, Any]], place: Place) -> None:
    """Notes hyperparameters that the class cannot be called with."""
    if not callable(found):
        place.error(f"{module.name!r} is registered, but is {type(found).__name__} rather than a class or a function")
        return
    try:
        signature = inspect.signature(found)
    except ValueError:  # some classes made in C do not tell
        return
    oracle = module.type == "hard_example_mining" and module.name == "OracleRouter"
    given = dict.fromkeys(("edgemodel", "cloudmodel")) if oracle else {}
    for hyperparameters in choices:
        try:
            signature.bind(**{**hyperparameters, **given})
        except TypeError as error:
            # The same combination of names fails in the same way: one message for all values.
            place.at("hyperparameters").error(f"{module.name}{signature} cannot be called with these: {error}")


def _check_metrics(testenv: TestEnvManager, failed: set[str]) -> None:
    for index, metric in enumerate(testenv.testenv.metrics):
        place = testenv.place.at("metrics", index)
        if metric.name in SYSTEM_METRICS and not metric.url:
            place.at("name").error(f"{metric.name} needs a paradigm that this engine does not run; remove the metric")
        elif not metric.url:
            place.error(f"metric {metric.name!r} has no `url`; add the file that registers it: `url: <file>.py`")
        else:
            found = _attempt(
                metric.url,
                place.at("url"),
                failed,
                partial(load_class, metric.url, "general", metric.name),
            )
            if found is not None and not callable(found):
                place.warn(f"{metric.name!r} is no function but {type(found).__name__}, so it is left out")
