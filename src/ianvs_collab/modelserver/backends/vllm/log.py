"""What vLLM's processes print goes into a file, from which an error message is made when something fails.

vLLM's main process says only "see root cause above" when an engine does not start. The cause is what a worker printed,
between hundreds of other lines.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EXCEPTION = re.compile(r"^(?:\(.*?\) )?(?:ERROR [\d-]+ [\d:]+ \[[^]]*\] )?([\w.]*(?:Error|Exception)): (.*\S)")
_SECOND_HAND = ("initialization failed", "See stack trace", "EngineCore encountered an issue")


@contextmanager
def captured(log: Path) -> Iterator[None]:
    """Send what this process, and those started inside, print on the terminal to the end of a file.

    Processes started inside keep printing there afterwards.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)


def root_cause(log: Path) -> str | None:
    """The first exception that a process of vLLM printed and that does not refer to another; None if there is none."""
    text = log.read_text("utf-8", "replace") if log.is_file() else ""
    for line in text.splitlines():
        found = _EXCEPTION.match(line)
        if found and not any(words in found[2] for words in _SECOND_HAND):
            return f"{found[1].rpartition('.')[2]}: {found[2]}"
    return None
