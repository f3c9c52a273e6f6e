"""When memory goes back to the system."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from ianvs_collab.cloud.server import memory
from ianvs_collab.cloud.server.memory import Trimmer, give_back


@pytest.fixture
def trims(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    given: list[float] = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(1.0) or True)
    return given


def test_memory_goes_back_when_the_last_of_many_ends(trims: list[float]) -> None:
    trimmer = Trimmer()
    assert [trimmer.note(sessions) for sessions in (9, 8, 1, 0, 0, 7, 0, 8, 0)] == [
        False, False, False, True, False, False, False, False, True
    ]  # fmt: skip
    assert len(trims) == 2


def test_memory_goes_back_once_a_minute_otherwise(trims: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(memory.time, "monotonic", lambda: now[0])
    trimmer = Trimmer()
    found = []
    for seconds, sessions in ((1, 0), (60, 1), (0, 0), (1, 0), (60, 0)):
        now[0] += seconds
        found.append(trimmer.note(sessions))
    assert found == [False, False, True, False, True]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems give memory back in other ways")
def test_a_library_without_a_way_to_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(give_back(), bool)
    none: Any = object()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: none)
    assert not give_back()
