"""Files of Ianvs's answer caches: a list with one element a model configuration, and the answers by prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.jsonfiles import json_objects


@dataclass(frozen=True)
class Cache:
    """Answers of one model.

    Attributes:
        where: Its place in a file.
        config: The model's settings, `model` (its name) among them.
        answers: Responses by prompt.
    """

    where: str
    config: Mapping[str, Any]
    answers: Mapping[str, Mapping[str, Any]]

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.config.get("model"))

    @property
    def local(self) -> bool:
        """Whether the model ran where it was timed; an API's times hold the network, which is not compute."""
        return self.config.get("backend") not in (None, "api")


def read_cache(path: Path) -> Iterator[Cache]:
    """Yield the models of a `cache.json`.

    Raises:
        RouterError: If the file cannot be read or is no cache of Ianvs.
    """
    for where, content in json_objects(path):
        config, results = content.get("config"), content.get("result")
        if not isinstance(config, dict) or not isinstance(results, list):
            raise RouterError(f"{where}: no cache of Ianvs, which has `config` (a mapping) and `result` (a list)")
        answers = {}
        for position, item in enumerate(results, start=1):
            response = item.get("response") if isinstance(item, dict) else None
            if not isinstance(response, dict) or not isinstance(item.get("query"), str):
                raise RouterError(f"{where}, result {position}: needs `query` (a text) and `response` (a mapping)")
            if not isinstance(response.get("completion"), str):
                raise RouterError(f"{where}, result {position}: the response has no `completion`")
            answers[item["query"]] = response
        yield Cache(where, config, answers)


def chosen(caches: Sequence[Cache], edge: str | None, cloud: str | None, files: int) -> dict[str, Cache]:
    """Find the edge's and the cloud's answers.

    Args:
        caches: All that were read.
        edge: Name of the edge model; with the cloud's it may be left out if each of two files holds one model.
        cloud: Name of the cloud model.
        files: From how many files they were read.

    Raises:
        RouterError: If it is not clear which model is which.
    """
    if edge is None and cloud is None and len(caches) == files == 2:  # noqa: PLR2004 - the edge's and the cloud's
        return {"edge": caches[0], "cloud": caches[1]}
    known = ", ".join(repr(cache.model) for cache in caches) or "none"
    found = {}
    for side, name in (("edge", edge), ("cloud", cloud)):
        named = [cache for cache in caches if cache.model == name]
        if name is None:
            raise RouterError(f"name the {side} model with --{side}; the cache holds {known}")
        if len(named) != 1:
            raise RouterError(
                f"the cache holds the {side} model {name!r} {len(named)} times, not once; it holds {known}"
            )
        found[side] = named[0]
    return found
