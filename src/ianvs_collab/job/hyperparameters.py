"""Expands hyperparameter lists into concrete combinations, as Ianvs does.

A list of one-key maps `{name: {values: [...]}}` stands for the product of all values, in the order of the file, the
last name varying fastest. `{other_hyperparameters: {values: [file.yaml, ...]}}` gives a base map over which listed
values win.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ianvs_collab.configuration.checking import describe
from ianvs_collab.configuration.problems import Place, read_file
from ianvs_collab.configuration.yamlfile import Document

BASE = "other_hyperparameters"

# What people mean as a number. YAML 1.1 reads it as text unless it has a point and the exponent a sign: 1e-7, 5.0e3.
SCIENTIFIC = re.compile(r"(?P<whole>[-+]?\d+)(\.(?P<part>\d*))?[eE](?P<sign>[-+]?)(?P<exponent>\d+)")


def expand(items: Sequence[Any], place: Place, files: dict[str, Document]) -> list[dict[str, Any]]:
    """Returns every combination of a module's hyperparameters; at least one, which may be empty.

    Args:
        items: The module's list `hyperparameters`.
        place: Where it stands.
        files: Takes the files that `other_hyperparameters` names, by path.
    """
    base: dict[str, Any] = {}
    names: list[str] = []
    values: list[Sequence[Any]] = []
    for index, item in enumerate(items):
        name, given = _read(item, place.at(index))
        if name == BASE:
            base |= _read_files(given, place.at(index, BASE, "values"), files)
        elif name is not None:
            if name in names:
                place.at(index, name).warn(f"{name!r} is given twice: the combinations multiply and this value wins")
            names.append(name)
            values.append(given)
    # Of two equal names the last one wins, in the column of the first: this is what a dict does.
    return [{**base, **dict(zip(names, combination, strict=True))} for combination in itertools.product(*values)]


def _read(item: Any, place: Place) -> tuple[str | None, list[Any]]:
    """Returns one hyperparameter's name and values, or None with an error noted."""
    if not isinstance(item, dict) or not item:
        place.error(f"must be `name: {{values: [...]}}`, not {describe(item)}")
        return None, []
    name = list(item)[-1]
    if len(item) > 1:
        place.warn(f"only the last of {', '.join(map(repr, item))} counts; start each hyperparameter with `- `")
    if not isinstance(name, str):
        place.error(f"YAML reads this name as {describe(name)}; write it in quotes")
        return None, []
    body = item[name]
    if not isinstance(body, dict) or "values" not in body:
        place.at(name).error(f"has no `values`; write `{name}: {{values: [...]}}`")
        return None, []
    return name, _values(body["values"], place.at(name, "values"), empty_allowed=name == BASE)


def _values(given: Any, place: Place, empty_allowed: bool) -> list[Any]:
    if not isinstance(given, (list, str, dict)):
        place.error(f"must be a list, not {describe(given)}; write `values: [{'' if given is None else given}]`")
        return []
    if not given and not empty_allowed:
        place.error("must not be empty; list at least one value, or remove the hyperparameter")
    if isinstance(given, str) and given:
        place.warn(f"the text {given!r} is taken letter by letter; write `values: [{given!r}]` for one value")
    elif isinstance(given, dict):
        place.warn("of a mapping only the keys are taken; start each value with `- ` if the mapping itself is meant")
    for index, value in enumerate(given if isinstance(given, list) else ()):
        number = SCIENTIFIC.fullmatch(value) if isinstance(value, str) else None
        if number:
            mended = f"{number['whole']}.{number['part'] or 0}e{number['sign'] or '+'}{number['exponent']}"
            place.at(index).warn(f"YAML 1.1 reads {value} as text; write {mended} if a number is meant")
    return list(given)


def _read_files(paths: Iterable[Any], place: Place, files: dict[str, Document]) -> dict[str, Any]:
    base: dict[str, Any] = {}
    for index, path in enumerate(paths):
        document = read_file(path, place.at(index)) if isinstance(path, str) else None
        if isinstance(path, str) and document is None:
            continue
        if document is None or not isinstance(document.value, dict):
            place.at(index).error(f"must name a YAML file that holds a mapping, not {describe(path)}")
            continue
        _check_names(document, place)
        files[document.path] = document
        base |= document.value
    return base


def _check_names(document: Document, place: Place) -> None:
    for name in document.value:
        if not isinstance(name, str):
            Place(document, place.problems, (str(name),)).error(f"YAML reads this name as {describe(name)}; quote it")
