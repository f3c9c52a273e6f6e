"""Checks a part of a configuration file against its pydantic model, in words that a user of Ianvs understands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from ianvs_collab.configuration.problems import Place

Model = TypeVar("Model", bound=BaseModel)

# What YAML calls the types that pydantic asks for.
WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "list_type": "a list (lines that start with `- `)",
    "dict_type": "a mapping (lines of `key: value`)",
    "model_type": "a mapping (lines of `key: value`)",
}
TYPES: dict[type, str] = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    bool: "a truth value",
    int: "a whole number",
    float: "a number",
}
SHOWN = 60  # characters of a value that a message shows


class Section(BaseModel):
    """Base of all models.

    Types are not converted (`name: 1` is not a text); keys that no field has are left to `check_keys`.
    """

    # Ianvs calls a field `model_eval`; pydantic would like to keep `model_` for itself.
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())


def check(model: type[Model], value: Any, place: Place) -> Model | None:
    """Makes a model of a value, or notes every reason why that cannot be done and returns None.

    Args:
        model: What the value should be.
        value: What stands at the place.
        place: Where errors are noted.
    """
    try:
        return model.model_validate(value)
    except ValidationError as failure:
        for error in failure.errors(include_url=False):
            place.at(*error["loc"]).error(_explain(error))
        return None


def check_keys(known: Iterable[str], value: Any, place: Place, note: str = "it has no effect") -> None:
    """Notes the keys of a mapping that nobody reads; anything but a mapping is left to `check`."""
    names = list(known)
    for key in value if isinstance(value, dict) else ():
        if key not in names:
            place.at(str(key)).unknown_key(names, note)


def section(name: str, place: Place) -> dict[str, Any] | None:
    """Returns the mapping under the top key that a file must have, or notes that it has none and returns None."""
    top = place.document.value
    if not isinstance(top, dict) or not isinstance(top.get(name), dict):
        place.error(f"has no section `{name}:`; write it in the first column and its keys, indented, below")
        return None
    check_keys([name], top, place)
    body: dict[str, Any] = top[name]
    return body


def describe(value: Any) -> str:
    """Returns a value and YAML's word for its type, shortened to one line."""
    if value is None:
        return "empty"
    text = repr(value)
    shown = text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
    return f"{shown} ({TYPES.get(type(value), type(value).__name__)})"


def _explain(error: ErrorDetails) -> str:
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return f"is missing; add `{error['loc'][-1]}: ...`"
    if kind in WANTED:
        return f"must be {WANTED[kind]}, not {describe(value)}{_quote_hint(kind, value)}"
    if kind in {"too_short", "string_too_short"}:
        return "must not be empty"
    if kind == "greater_than_equal":
        return f"must be at least {error['ctx']['ge']}, not {describe(value)}"
    if kind == "literal_error":
        return f"must be {error['ctx']['expected']}, not {describe(value)}"
    return f"{error['msg']}, not {describe(value)}"


def _quote_hint(kind: str, value: Any) -> str:
    scalar = isinstance(value, (bool, int, float)) and kind == "string_type"
    return f'; write it in quotes: "{value}"' if scalar else ""
