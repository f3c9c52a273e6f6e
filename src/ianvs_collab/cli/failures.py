"""What a user reads when a job fails: what is wrong, the traceback of the plug-in at fault, and Ianvs's last line."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import ianvs_collab
from ianvs_collab.configuration.problems import ConfigurationError
from ianvs_collab.job.benchmarkingjob import JobFailedError
from ianvs_collab.job.lock import WorkspaceError
from ianvs_collab.job.runfile import ResumeError, RunFileError
from ianvs_collab.records import RecordError
from ianvs_collab.story import StoryError

# Errors whose message tells all there is to know.
PLAIN = (ConfigurationError, WorkspaceError, ResumeError, RunFileError, RecordError, StoryError, OSError)
PACKAGE = Path(ianvs_collab.__file__).parent
LAYERS = ("cli", "compat", "configuration", "job", "story", "testcase", "testenv")
ENGINE = tuple(str(PACKAGE / layer) for layer in LAYERS)
ADVICE = "The others are kept. If no file of the job has to be changed, go on with --resume; else run the job again."
FRAME = re.compile(r'  File "(?P<file>.+)", line \d+')
HEADING = "Traceback (most recent call last):"


def wrap(cause: str) -> str:
    """Returns the last line of a failed job."""
    return f"RuntimeError: benchmarkingjob runs failed, error: {cause}."


def report_failure(error: Exception, verbose: bool) -> None:
    """Prints what went wrong on stderr.

    Args:
        error: What ended the job.
        verbose: Print whole tracebacks rather than the frames outside the engine.
    """
    for part in _parts(error, verbose):
        print(part, file=sys.stderr)
    print(wrap(_cause(error)), file=sys.stderr)


def _parts(error: Exception, verbose: bool) -> Iterator[str]:
    """Yields what is to be read before the last line."""
    if isinstance(error, JobFailedError):
        for failure in error.failures:
            text = failure.traceback if verbose else trim(failure.traceback)
            yield f"{failure.spec.algorithm.name} ({failure.spec.output_dir}):\n{text.rstrip()}"
        yield f"{error.summary} {ADVICE}"
    elif isinstance(error, ConfigurationError):
        yield from (f"warning: {warning}" for warning in error.warnings)
        yield from map(str, error.problems if len(error.problems) > 1 else ())
    if verbose or not isinstance(error, (JobFailedError, *PLAIN)):
        yield "".join(traceback.format_exception(error)).rstrip()


def _cause(error: Exception) -> str:
    if isinstance(error, JobFailedError):
        return str(error)  # a plug-in's own text is passed on to the letter
    return (str(error) or type(error).__name__).removesuffix(".")


def trim(text: str) -> str:
    """Returns a traceback without the engine's frames, and without the parts of a chain that then have none.

    Args:
        text: A traceback as Python prints it, perhaps of several exceptions that caused one another.
    """
    parts = [part for part in text.split(HEADING) if part.strip()]
    kept = [HEADING + "".join(_outside(part.splitlines(keepends=True))) for part in parts if _has_outside(part)]
    if kept:
        return "\n".join(_without_link(part) for part in kept)
    return text.rstrip().rpartition("\n")[2]


def _has_outside(part: str) -> bool:
    return any(not match["file"].startswith(ENGINE) for match in map(FRAME.match, part.splitlines()) if match)


def _outside(lines: list[str]) -> Iterator[str]:
    """Yields the lines but those of the engine's frames: a frame's own, and the deeper indented ones below it."""
    keep = True
    for line in lines:
        match = FRAME.match(line)
        if match:
            keep = not match["file"].startswith(ENGINE)
        elif not line.startswith("    "):
            keep = True
        if keep:
            yield line


def _without_link(part: str) -> str:
    """Takes off the sentence by which Python leads over to the next exception of a chain."""
    for link in ("The above exception was the direct cause", "During handling of the above exception"):
        part = part.partition(f"\n{link}")[0]
    return part.rstrip()
