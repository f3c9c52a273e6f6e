"""Makes the modules of an algorithm, in file order, the way Ianvs does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from ianvs_collab.compat.logs import make_logger
from ianvs_collab.testcase.environment import restore_environment
from ianvs_collab.testcase.plugins import GROUPS, load_class, load_package
from ianvs_collab.testcase.spec import AlgorithmSpec, ModuleSpec

LOGGER = make_logger("ianvs")


def make_modules(algorithm: AlgorithmSpec) -> dict[str, Any]:
    """Makes all modules of an algorithm, after importing the third-party packages it names.

    A module with a url is an instance made with its hyperparameters as keywords. A hard-example miner is made later, by
    the joint-inference job, so only its class is looked up here and it stays a description, as does a module without
    url.

    Args:
        algorithm: The algorithm; its modules are in file order.

    Returns:
        Module type to instance; to `{"method": name, "param": hyperparameters}` where only described, with the miner's
        class as `"class"` if it has a url; to `(name, instance or None)` for an aggregation.

    Raises:
        PluginError: If a package cannot be imported.
        RuntimeError: If a module cannot be made; the message names it. Those made before it are cleaned up.
    """
    for package in algorithm.settings.get("third_party_packages") or ():
        load_package(package["url"])
    used: set[str] = set()
    modules: dict[str, Any] = {}
    try:
        for spec in algorithm.modules:
            modules[spec.type] = _make(spec, used)
    except BaseException:
        warn_of(clean_up(modules.values()))
        raise
    return modules


def clean_up(modules: Iterable[Any]) -> list[Exception]:
    """Calls `cleanup()` of every module that has one, in order; returns what went wrong.

    Args:
        modules: Instances of modules, or whatever else stands in their place.
    """
    problems: list[Exception] = []
    for module in modules:
        if hasattr(module, "cleanup"):
            try:
                module.cleanup()
            except Exception as error:
                problem = RuntimeError(f"cleanup() of {type(module).__name__} failed: {type(error).__name__}: {error}")
                problem.__cause__ = error
                problems.append(problem)
    return problems


def warn_of(problems: Iterable[Exception]) -> None:
    """Logs what went wrong in tidying up after something that matters more.

    Args:
        problems: What `clean_up` returned.
    """
    for problem in problems:
        LOGGER.warning("%s", problem)


def _make(spec: ModuleSpec, used: set[str]) -> Any:
    hyperparameters = deepcopy(dict(spec.hyperparameters))  # plug-ins may change what they get
    try:
        found = _look_up(spec, spec.url, used) if spec.url else None
        if spec.type == "aggregation":
            return spec.name, found(**hyperparameters) if found else None
        if found and spec.type != "hard_example_mining":
            return found(**hyperparameters)
    except Exception as error:
        text = str(error) or type(error).__name__
        raise RuntimeError(f"module(type={spec.type} loads class(name={spec.name}) failed, error: {text}.") from error
    description: dict[str, Any] = {"method": spec.name}
    if found:
        return {**description, "param": hyperparameters, "class": found}
    return {**description, "param": hyperparameters} if hyperparameters else description


def _look_up(spec: ModuleSpec, url: str, used: set[str]) -> Callable[..., Any]:
    """Returns what a module's file registered under its name.

    A file's settings (`os.environ`) take effect where it is first used. Later uses must not undo what a constructor has
    set since then.
    """
    environment = dict(os.environ)
    found = load_class(url, GROUPS[spec.type], spec.name)
    if url in used:
        restore_environment(environment)
    used.add(url)
    return found
