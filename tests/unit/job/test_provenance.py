"""Provenance is read from the machine, not made up."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.job import provenance


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_revision_is_git_s(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert provenance.git_revision(tmp_path) is None
    git("init", "-q")
    assert provenance.git_revision(tmp_path) is None
    (tmp_path / "x").write_text("1")
    git("add", "x")
    git("commit", "-q", "-m", "x")
    commit = git("rev-parse", "HEAD")
    assert provenance.git_revision(tmp_path) == {"commit": commit, "modified": False}
    (tmp_path / "x").write_text("2")
    assert provenance.git_revision(tmp_path) == {"commit": commit, "modified": True}


def test_there_may_be_no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert provenance.git_revision() is None


def test_a_git_that_hangs_or_cannot_be_run_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/git")
    for error in (subprocess.TimeoutExpired("git", 1), PermissionError()):

        def fail(*_: Any, error: Exception = error, **__: Any) -> Any:
            raise error

        monkeypatch.setattr(subprocess, "run", fail)
        assert provenance.git_revision() is None


def test_the_command_line_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/ianvs", "-f", "my job.yaml"])
    assert provenance.command_line() == "ianvs -f 'my job.yaml'"
