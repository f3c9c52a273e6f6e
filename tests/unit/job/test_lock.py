"""The lock of a workspace: who gets it, who does not, and what becomes of it when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ianvs_collab.job import lock
from ianvs_collab.job.lock import WorkspaceError, locked

HOLD = """
import sys
from ianvs_collab.job.lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of the folder `ws/n` until its standard input is closed."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "ws" / "n")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_and_told_of_the_first(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    message = rf"the run of process {holder.pid} is going on in .*ws/n; wait until it has ended, or .* --workspace"
    with pytest.raises(WorkspaceError, match=message), locked(str(tmp_path / "ws" / "n")):
        pass
    with locked(str(tmp_path / "ws" / "other")):  # another job's results
        pass


@pytest.mark.parametrize("end", ["close", "kill"])
def test_the_lock_goes_with_its_holder(tmp_path: Path, holder: subprocess.Popen[str], end: str) -> None:
    assert holder.stdin is not None
    if end == "kill":
        holder.send_signal(signal.SIGKILL)
    else:
        holder.stdin.close()
    holder.wait()
    with locked(str(tmp_path / "ws" / "n")):
        assert (tmp_path / "ws" / "n" / ".lock").read_text() == f"{os.getpid()}\n"


def test_nothing_is_left_where_nothing_was_made(tmp_path: Path) -> None:
    with locked(str(tmp_path / "ws" / "n")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_made_and_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    with locked(str(tmp_path / "ws" / "n")):
        (tmp_path / "ws" / "n" / "run.json").touch()
    assert os.listdir(tmp_path / "ws" / "n") == ["run.json"]
    with locked(str(tmp_path / "ws" / "other")):
        pass
    assert os.listdir(tmp_path / "ws") == ["n"]


def test_a_change_of_the_working_directory_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with locked("ws/n"):
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert not (tmp_path / "ws").exists()


def test_a_lock_that_was_removed_while_it_was_opened_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the run before ends between our opening of its file and our locking of it."""
    real, calls = fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        if not calls:
            (tmp_path / ".lock").unlink()
        calls.append(descriptor)
        real(descriptor, operation)

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with locked(str(tmp_path)):
        assert len(calls) == 2
        with pytest.raises(WorkspaceError), locked(str(tmp_path)):
            pass


def test_a_drive_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with locked(str(tmp_path)):
        pass
    assert "cannot be locked (No locks available); do not start a second run there" in capsys.readouterr().err


def test_a_full_disk_costs_the_message_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pwrite(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(lock.os, "pwrite", pwrite)
    with (
        locked(str(tmp_path)),
        pytest.raises(WorkspaceError, match="^another run is going on in"),
        locked(str(tmp_path)),
    ):
        pass


def test_a_workspace_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = r"file/\.lock: cannot be written \(File exists\); make room, or choose another folder with --workspace"
    with pytest.raises(WorkspaceError, match=message), locked(str(tmp_path / "file")):
        pass
