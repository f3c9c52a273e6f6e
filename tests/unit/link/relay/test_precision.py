from __future__ import annotations

import asyncio
import os
import selectors
from pathlib import Path

import pytest

from ianvs_collab.link.relay import precision


def test_the_loop_waits_with_select() -> None:
    loop = precision.precise_loop()
    try:
        assert isinstance(loop, asyncio.SelectorEventLoop)
        assert isinstance(loop._selector, selectors.SelectSelector)  # type: ignore[attr-defined]
    finally:
        loop.close()


def test_the_timer_slack_is_lowered_where_that_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "TIMER_SLACK", tmp_path / "slack")
    precision.lower_timer_slack()
    assert (tmp_path / "slack").read_text() == "1"
    monkeypatch.setattr(precision, "TIMER_SLACK", tmp_path / "no" / "slack")
    precision.lower_timer_slack()


def test_priority_is_asked_for_and_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda *arguments: asked.append(arguments), raising=False)
    assert precision.raise_priority()
    assert asked[0][:2] == (0, os.SCHED_RR)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert not precision.raise_priority()
    monkeypatch.delattr(os, "sched_setscheduler")
    assert not precision.raise_priority()
