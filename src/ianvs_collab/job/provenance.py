"""What a run was made of: the command and the state of its sources. A result without it cannot be repeated."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess  # noqa: S404 - git is asked for its revision, with fixed arguments
import sys
from pathlib import Path
from typing import Any

GIT_SECONDS = 10  # a repository on a sleeping network drive must not hold up a run


def git_revision(folder: str | Path = ".") -> dict[str, Any] | None:
    """Returns the commit of the repository that holds a folder and whether it has changes; None outside of one."""
    git = shutil.which("git")
    commit = _git(git, folder, "rev-parse", "HEAD") if git else None
    if git is None or commit is None:
        return None
    changes = _git(git, folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "modified": bool(changes)}


def command_line() -> str:
    """Returns the command that started this process, as a shell takes it."""
    return shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])


def _git(git: str, folder: str | Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [git, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
