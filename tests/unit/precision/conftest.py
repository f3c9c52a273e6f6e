from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ianvs_collab.precision.live import process
from ianvs_collab.precision.variant import Variant

MakeVariant = Callable[..., Variant]


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> MakeVariant:
    """Worker processes get made-up models; the function makes a variant of what such a model is to do."""
    monkeypatch.setattr(process, "_SCRIPT", Path(__file__).with_name("fake_worker.py"))

    def make(name: str = "v", backend: str = "fake", **plan: object) -> Variant:
        return Variant(name, backend, json.dumps(plan))

    return make
