"""A variant of a model that can really be loaded: a name, and what the model server needs to load it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variant:
    """One way to serve a model.

    Attributes:
        name: What portfolios and tables call it, e.g. `int8`.
        backend: Back-end of the model server.
        model: What that back-end loads.
        options: Its options, JSON values.
    """

    name: str
    backend: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
