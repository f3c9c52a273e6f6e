"""One run at a time in a workspace: two would overwrite each other's leaderboard and records.

The lock is the kernel's (`flock`), so it goes when the process that holds it dies, however that happens; the file
`.lock` only says who holds it, and is removed at the end.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ianvs_collab.compat.logs import make_logger

LOGGER = make_logger("ianvs")
FILE = ".lock"


class WorkspaceError(RuntimeError):
    """A workspace cannot be used, or another run uses it; the message says what to do."""


@contextmanager
def locked(workspace: str) -> Iterator[None]:
    """Keeps other runs out of a folder, which is made if absent, while the block runs.

    Args:
        workspace: `<workspace>/<job name>`.

    Raises:
        WorkspaceError: If another run is going on there, or the folder cannot be written.
    """
    path = Path(os.path.abspath(workspace), FILE)
    new = [folder for folder in path.parents if not folder.exists()]
    descriptor = _acquire(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is let go: whoever has opened it meanwhile finds it gone
        os.close(descriptor)
        with suppress(OSError):  # a run that ended before it left anything leaves no folders either
            for folder in new:
                folder.rmdir()


def _acquire(path: Path) -> int:
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode().strip()
            os.close(descriptor)
            raise WorkspaceError(_busy(path.parent, holder)) from None
        except OSError as error:  # some network drives have no locks, which is no reason not to run
            LOGGER.warning("%s cannot be locked (%s); do not start a second run there", path.parent, error.strerror)
        if _is_file(path, descriptor):
            with suppress(OSError):  # on a full disk nobody is told the process, and that is all
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)  # the run that ends removed it between our opening and locking it


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WorkspaceError(
            f"{path}: cannot be written ({error.strerror}); make room, or choose another folder with --workspace"
        ) from error


def _is_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _busy(folder: Path, holder: str) -> str:
    who = f"the run of process {holder}" if holder else "another run"
    return f"{who} is going on in {folder}; wait until it has ended, or choose another folder with --workspace"
