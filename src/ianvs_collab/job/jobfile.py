"""Reads a job file and all the files that it names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ianvs_collab.configuration.checking import check, check_keys, section
from ianvs_collab.configuration.problems import ConfigurationError, Place, Problem, Problems, read_file
from ianvs_collab.configuration.yamlfile import Document, YamlError, read_yaml
from ianvs_collab.job import schema
from ianvs_collab.job.algorithmfile import AlgorithmFile
from ianvs_collab.job.paradigms import MODE, check_mining_mode, check_options, use_of_data
from ianvs_collab.job.plugincheck import check_plugins
from ianvs_collab.job.rankcheck import check_columns, check_rank
from ianvs_collab.testcase.spec import AlgorithmSpec, MetricSpec, TestEnvSpec
from ianvs_collab.testenv.testenvmanager import TestEnvManager

JOB = "benchmarkingjob"


@dataclass(frozen=True)
class JobFile:
    """A job that has been read and checked, with nothing done yet.

    Attributes:
        document: The job file.
        job: Its checked content.
        testenv: The test environment.
        algorithms: The algorithms in the job's order.
        warnings: What the user should know.
    """

    document: Document
    job: schema.Job
    testenv: TestEnvManager
    algorithms: list[AlgorithmFile]
    warnings: list[Problem]

    @classmethod
    def read(cls, path: str, strict: bool = False) -> JobFile:
        """Reads a job: its file, the testenv, the data, the algorithms and their plug-ins, which are imported.

        Args:
            path: The job file.
            strict: Whether unknown keys are errors.

        Raises:
            ConfigurationError: With everything that is wrong, if anything is.
        """
        problems = Problems(strict)
        document = _read_first(path, problems)
        place = Place(document, problems)
        body = section(JOB, place) or {}
        job = check(schema.Job, body, place.at(JOB)) if body else None
        _check_keys(body, place.at(JOB))
        testenv = _read_testenv(body, place.at(JOB, "testenv"))
        algorithms = list(_read_algorithms(body, place.at(JOB, "test_object", "algorithms")))
        _check_together(job, testenv, algorithms, place.at(JOB))
        check_plugins(algorithms, testenv)
        problems.raise_if_any()
        assert job is not None and testenv is not None  # whatever made them None has been noted
        return cls(document, job, testenv, algorithms, problems.warnings)

    @property
    def rank(self) -> dict[str, Any]:
        """The job's section `rank` as it stands in the file."""
        rank: dict[str, Any] = self.document.value[JOB]["rank"]
        return rank

    def workspace(self, folder: str | None = None) -> str:
        """Returns `<workspace>/<name>`, where the job's results are kept.

        Args:
            folder: Used instead of the job's own `workspace` if given.
        """
        return os.path.join(folder or self.job.workspace, self.job.name).rstrip(os.sep)

    def testenv_spec(self) -> TestEnvSpec:
        """Returns the test environment as its runner takes it."""
        testenv = self.testenv.testenv
        metrics = tuple(MetricSpec(metric.name, metric.url or None) for metric in testenv.metrics)
        return TestEnvSpec(testenv.dataset, metrics, self.testenv.options)

    def algorithm_specs(self) -> Iterator[AlgorithmSpec]:
        """Yields every algorithm with every combination of hyperparameters, in Ianvs's order."""
        for algorithm in self.algorithms:
            yield from algorithm.specs(self._mining_mode())

    def documents(self) -> list[Document]:
        """Returns all configuration files, each once, the job file first."""
        others = [file for algorithm in self.algorithms for file in algorithm.files.values()]
        listed = [self.document, self.testenv.place.document, *(a.place.document for a in self.algorithms), *others]
        return list({document.path: document for document in listed}.values())

    def _mining_mode(self) -> dict[str, Any]:
        """Returns the job's mining mode, unless the testenv file has one; an algorithm's own wins over both."""
        given = self.job.hard_example_mining_mode
        return {MODE: given} if given and MODE not in self.testenv.options else {}


def _read_first(path: str, problems: Problems) -> Document:
    problems.begin_file(path)
    try:
        return read_yaml(path)
    except YamlError as error:
        raise ConfigurationError(Problem(path, line, "", text) for line, text in error.found) from error


def _check_keys(body: Mapping[str, Any], place: Place) -> None:
    check_keys(schema.Job.model_fields, body, place)
    if "simulation" in body:
        place.at("simulation").warn("no simulated cluster is built: everything runs as processes of this machine")
    test_object = body.get("test_object")
    if isinstance(test_object, dict):
        check_keys(schema.TestObject.model_fields, test_object, place.at("test_object"))
    for index, entry in enumerate(_entries(body)):
        check_keys(schema.AlgorithmEntry.model_fields, entry, place.at("test_object", "algorithms", index))


def _entries(body: Mapping[str, Any]) -> list[Any]:
    test_object = body.get("test_object")
    entries = test_object.get("algorithms") if isinstance(test_object, dict) else None
    return entries if isinstance(entries, list) else []


def _read_testenv(body: Mapping[str, Any], place: Place) -> TestEnvManager | None:
    path = body.get("testenv")
    document = read_file(path, place) if path and isinstance(path, str) else None
    return TestEnvManager.read(Place(document, place.problems)) if document else None


def _read_algorithms(body: Mapping[str, Any], place: Place) -> Iterator[AlgorithmFile]:
    for index, entry in enumerate(_entries(body)):
        name, url = (entry.get("name"), entry.get("url")) if isinstance(entry, dict) else (None, None)
        if url and isinstance(url, str):
            algorithm = AlgorithmFile.read(str(name), url, place.at(index, "url"))
            if algorithm is not None:
                yield algorithm


def _check_together(
    job: schema.Job | None, testenv: TestEnvManager | None, algorithms: list[AlgorithmFile], place: Place
) -> None:
    """Checks what takes more than one file to see."""
    paradigms = [algorithm.algorithm.paradigm_type for algorithm in algorithms]
    if testenv is not None:
        check_options(paradigms, testenv.options, testenv.place)
        testenv.check_data(use_of_data(paradigms, testenv.options))
        check_columns(testenv, algorithms)
    if job is not None:
        if job.hard_example_mining_mode is not None:
            check_mining_mode(job.hard_example_mining_mode, place.at(MODE))
        metrics = [metric.name for metric in testenv.testenv.metrics] if testenv else []
        check_rank(job.rank, metrics, algorithms, place.at("rank"))
        _compare_modes(job, testenv, algorithms, place)


def _compare_modes(
    job: schema.Job, testenv: TestEnvManager | None, algorithms: list[AlgorithmFile], place: Place
) -> None:
    """Warns where a mining mode loses against another one: the algorithm's wins, then the testenv's, then the job's."""
    outer: list[tuple[Place, Any]] = [(place.at(MODE), job.hard_example_mining_mode)]
    if testenv is not None:
        outer.append((testenv.place.at(MODE), testenv.options.get(MODE)))
    for algorithm in algorithms:
        own = (algorithm.place.at(MODE), algorithm.algorithm.hard_example_mining_mode)
        given = [(where, mode) for where, mode in (*outer, own) if mode]
        for where, mode in given[:-1]:
            winner, winning = given[-1]
            if mode != winning:
                text = f"{mode} is overruled by {winning} in {winner.document.path} for algorithm {algorithm.name!r}"
                where.warn(text)
