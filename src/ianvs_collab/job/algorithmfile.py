"""Reads an algorithm file: a paradigm, its modules and all combinations of their hyperparameters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ianvs_collab.configuration.checking import check, check_keys, section
from ianvs_collab.configuration.problems import Place, did_you_mean, read_file
from ianvs_collab.configuration.yamlfile import Document
from ianvs_collab.job import schema
from ianvs_collab.job.hyperparameters import expand
from ianvs_collab.job.paradigms import MODE, check_mining_mode, check_paradigm
from ianvs_collab.testcase.plugins import GROUPS
from ianvs_collab.testcase.spec import AlgorithmSpec, ModuleSpec


@dataclass(frozen=True)
class AlgorithmFile:
    """An algorithm of the job whose file has been read.

    Attributes:
        name: Name from the job file.
        place: The file's section `algorithm`.
        algorithm: Its checked content.
        choices: For each module in file order, its hyperparameter combinations.
        files: The files that `other_hyperparameters` names, by path.
    """

    name: str
    place: Place
    algorithm: schema.Algorithm
    choices: list[list[dict[str, Any]]]
    files: dict[str, Document] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, url: str, named_at: Place) -> AlgorithmFile | None:
        """Checks a file's structure; returns None, with errors noted, where it does not hold an algorithm.

        Args:
            name: Name of the algorithm in the job file.
            url: Path of the file.
            named_at: Where the job names the file.
        """
        document = read_file(url, named_at)
        file = Place(document, named_at.problems) if document else None
        body = section("algorithm", file) if file else None
        if file is None or body is None:
            return None
        place = file.at("algorithm")
        _check_keys(body, place)
        algorithm = check(schema.Algorithm, body, place)
        if algorithm is None:
            return None
        check_paradigm(algorithm, place)
        _check_modules(algorithm, place)
        read: dict[str, Document] = {}
        choices = [
            expand(module.hyperparameters or (), place.at("modules", index, "hyperparameters"), read)
            for index, module in enumerate(algorithm.modules)
        ]
        return cls(name, place, algorithm, choices, read)

    def specs(self, settings: Mapping[str, Any]) -> Iterator[AlgorithmSpec]:
        """Yields the algorithm once for each combination of its modules' hyperparameters, the last one varying fastest.

        Args:
            settings: Settings that stand elsewhere than in this file; the file's own win over them.
        """
        own = self._settings()
        for combination in itertools.product(*self.choices):
            modules: dict[
                str, ModuleSpec
            ] = {}  # of two modules of one type the last one wins, in the first one's place
            for module, hyperparameters in zip(self.algorithm.modules, combination, strict=True):
                modules[module.type] = ModuleSpec(module.type, module.name, module.url or None, hyperparameters)
            yield AlgorithmSpec(self.name, self.algorithm.paradigm_type, tuple(modules.values()), {**settings, **own})

    def _settings(self) -> dict[str, Any]:
        settings = self.algorithm.model_dump(exclude={"paradigm_type", "modules"})
        settings["third_party_packages"] = settings["third_party_packages"] or []
        if settings[MODE] is None:
            del settings[MODE]
        return settings


def _check_keys(body: Mapping[str, Any], place: Place) -> None:
    check_keys(schema.Algorithm.model_fields, body, place)
    for key, model in (("modules", schema.Module), ("third_party_packages", schema.Package)):
        items = body.get(key)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            check_keys(model.model_fields, item, place.at(key, index))


def _check_modules(algorithm: schema.Algorithm, place: Place) -> None:
    types: list[str] = []
    for index, module in enumerate(algorithm.modules):
        here = place.at("modules", index)
        if module.type not in GROUPS:
            here.at("type").error(f"unknown module type {module.type!r}{did_you_mean(module.type, GROUPS)}")
        if module.type in types:
            here.warn(f"a second {module.type}: the combinations multiply and this one wins; remove one of the two")
        types.append(module.type)
    if algorithm.hard_example_mining_mode is not None:
        check_mining_mode(algorithm.hard_example_mining_mode, place.at(MODE))
