"""Reads a test environment file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ianvs_collab.configuration.checking import check, check_keys, section
from ianvs_collab.configuration.problems import Place, nearest
from ianvs_collab.testenv import schema
from ianvs_collab.testenv.dataset import Use, check_dataset


@dataclass(frozen=True)
class TestEnvManager:
    """A test environment file that has been read.

    Attributes:
        place: The file's section `testenv`.
        testenv: Its checked content.
        options: What the paradigm gets: all keys but `dataset` and `metrics`, defaults filled in.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    place: Place
    testenv: schema.TestEnv
    options: Mapping[str, Any]

    @classmethod
    def read(cls, file: Place) -> TestEnvManager | None:
        """Checks a file's structure; returns None, with errors noted, where it does not hold a test environment."""
        body = section("testenv", file)
        if body is None:
            return None
        place = file.at("testenv")
        _check_keys(body, place)
        testenv = check(schema.TestEnv, body, place)
        return cls(place, testenv, _options(testenv, body)) if testenv else None

    def check_data(self, use: Use) -> None:
        """Checks the files that the test environment names, and notes what is wrong.

        Args:
            use: What the algorithms read.
        """
        check_dataset(self.testenv.dataset, use, self.place.at("dataset"))


def _options(testenv: schema.TestEnv, body: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in testenv if name not in {"dataset", "metrics"}}
    extra = {key: value for key, value in body.items() if key not in schema.TestEnv.model_fields}
    return {**fields, **extra}


def _check_keys(body: Mapping[str, Any], place: Place) -> None:
    known = [*schema.TestEnv.model_fields, *schema.PARADIGM_OPTIONS]
    for key in map(str, body):
        if key == "workspace":
            place.at(key).error("cannot stand here; it belongs into the job file")
        elif key not in known and nearest(key, known):  # a key like no other may be an option of the user's own
            place.at(key).unknown_key(known, "it is only handed on to the paradigm")
    check_keys([*schema.DatasetSpec.model_fields, *schema.OLD_KEYS], body.get("dataset"), place.at("dataset"))
    metrics = body.get("metrics")
    for index, metric in enumerate(metrics if isinstance(metrics, list) else ()):
        check_keys(schema.Metric.model_fields, metric, place.at("metrics", index))
