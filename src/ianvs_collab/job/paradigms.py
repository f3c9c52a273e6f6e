"""What the paradigms of Ianvs ask of an algorithm file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ianvs_collab.configuration.checking import describe
from ianvs_collab.configuration.problems import Place, did_you_mean
from ianvs_collab.job import schema
from ianvs_collab.testenv.dataset import Use


@dataclass(frozen=True)
class Paradigm:
    """A paradigm that can be run.

    Attributes:
        modules: Module types it cannot do without, each with the plug-in file that registers the module.
        named: Module types it cannot do without that may also be named without a file (built-in miners).
        reads_train: Whether it reads the training data.
    """

    modules: tuple[str, ...]
    named: tuple[str, ...] = ()
    reads_train: bool = True


PARADIGMS = {
    "jointinference": Paradigm(("edgemodel", "cloudmodel"), ("hard_example_mining",), reads_train=False),
    "singletasklearning": Paradigm(("basemodel",)),
    "federatedlearning": Paradigm(("basemodel", "aggregation")),
}
# Paradigms of Ianvs that this engine knows but does not run.
OTHERS = ("incrementallearning", "multiedgeinference", "lifelonglearning", "federatedclassincrementallearning")

MODE = "hard_example_mining_mode"
MINING_MODES = ("mining-then-inference", "inference-then-mining", "self-design")


def check_paradigm(algorithm: schema.Algorithm, place: Place) -> None:
    """Notes a paradigm that cannot be run, and what a paradigm misses."""
    name, here = algorithm.paradigm_type, place.at("paradigm_type")
    if name in OTHERS:
        here.error(f"paradigm {name} is not supported by this engine; supported are {', '.join(PARADIGMS)}")
    elif name not in PARADIGMS:
        here.error(f"unknown paradigm {name!r}{did_you_mean(name, (*PARADIGMS, *OTHERS))}")
    else:
        _check_required(algorithm, PARADIGMS[name], place)
        if name == "federatedlearning":
            _check_split(algorithm, place.at("fl_data_setting"))


def _check_required(algorithm: schema.Algorithm, paradigm: Paradigm, place: Place) -> None:
    given = {module.type: index for index, module in enumerate(algorithm.modules)}
    for kind in (*paradigm.modules, *paradigm.named):
        if kind not in given:
            text = f"{algorithm.paradigm_type} needs a module of type {kind}; add `- type: {kind}`, its name and url"
            place.at("modules").error(text)
        elif kind in paradigm.modules and not algorithm.modules[given[kind]].url:
            place.at("modules", given[kind]).error(
                f"a module of type {kind} needs a `url: <file>.py` that registers it"
            )


def _check_split(algorithm: schema.Algorithm, place: Place) -> None:
    setting = algorithm.fl_data_setting
    for key in ("train_ratio", "splitting_method", "data_partition"):
        if setting.get(key) is None:
            place.error(f"has no `{key}`; a setting that is given replaces all defaults, so add `{key}: ...`")


def check_mining_mode(mode: Any, place: Place) -> None:
    """Notes a mode of joint inference that does not exist."""
    if mode not in MINING_MODES:
        place.error(f"unknown mode {mode!r}{did_you_mean(str(mode), MINING_MODES)}")


def check_options(names: Iterable[str], options: Mapping[str, Any], place: Place) -> None:
    """Notes what is wrong with the paradigm options of a testenv file.

    Args:
        names: Paradigms of the job's algorithms.
        options: The options.
        place: The file's section `testenv`.
    """
    paradigms = set(names)
    if "jointinference" in paradigms and MODE in options:
        check_mining_mode(options[MODE], place.at(MODE))
    for key in ("round", "client_number") if "federatedlearning" in paradigms else ():
        value = options[key]
        if type(value) is not int or value < 1:
            place.at(key).error(f"must be a whole number of at least 1, not {describe(value)}")


def use_of_data(names: Iterable[str], options: Mapping[str, Any]) -> Use:
    """Returns what algorithms of these paradigms read of a test environment's data."""
    paradigms = set(names)
    fine_tuning = paradigms == {"federatedlearning"} and bool(options.get("if_mode_llm"))
    return Use(
        train=any(name in PARADIGMS and PARADIGMS[name].reads_train for name in paradigms),
        question_keys=not fine_tuning,
    )
