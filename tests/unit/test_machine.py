"""Machine and versions are read, not made up."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import pytest

import ianvs_collab
from ianvs_collab import machine


def test_versions_are_those_that_are_imported() -> None:
    import numpy
    import yaml

    found = machine.versions()
    assert found["numpy"] == numpy.__version__
    assert found["PyYAML"] == yaml.__version__
    assert found["python"] == platform.python_version()
    assert found["ianvs-collab"] == ianvs_collab.__version__


def test_a_library_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LIBRARIES", ("no-such-library", "numpy"))
    assert set(machine.versions()) == {"ianvs-collab", "python", "numpy"}


def test_the_machine_is_this_one() -> None:
    found = machine.machine()
    assert found["memory_bytes"] > 2**28
    assert found["usable_cpus"] >= 1
    assert found["cpu"]
    assert platform.system() in found["os"] or found["os"] == platform.platform()


def test_the_processor_has_a_name_without_cpuinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert machine.machine()["cpu"] in {platform.processor(), platform.machine()}


def test_processors_may_be_counted_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert machine.machine()["usable_cpus"] == os.cpu_count()
