"""Problems found in configuration files, collected so that a user sees all of them at once, each with file and line."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from ianvs_collab.configuration.yamlfile import Document, Location, YamlError, dotted, read_yaml


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or looks wrong, at one place.

    Attributes:
        path: The file, as the user wrote it.
        line: Line in it, from 1; 0 for the file as a whole.
        key: Dotted path of the value, e.g. `testenv.metrics[2].name`; may be empty.
        text: What is wrong and what to type to mend it.
    """

    path: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:  # noqa: D105 - `file:line: key: text`, as compilers write it
        place = f"{self.path}:{self.line}" if self.line else self.path
        return ": ".join(part for part in (place, self.key, self.text) if part)


class ConfigurationError(Exception):
    """A job cannot run as it is written.

    Attributes:
        problems: What is wrong, in the order of files and lines.
        warnings: What looks wrong besides: a misspelt key often explains why another one is missing.
    """

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = list(problems)
        self.warnings = list(warnings)
        more = f" (the first of {len(self.problems)} problems)" if len(self.problems) > 1 else ""
        super().__init__(f"{self.problems[0]}{more}")


@dataclass
class Problems:
    """Collects errors and warnings; files stand in the order in which they were read.

    Attributes:
        strict: Whether unknown keys are errors rather than warnings.
    """

    strict: bool = False
    # A dict is a set that keeps the order: a file that two algorithms share is complained about once.
    _errors: dict[Problem, None] = field(default_factory=dict)
    _warnings: dict[Problem, None] = field(default_factory=dict)
    _files: dict[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> list[Problem]:
        """What keeps the job from running."""
        return self._in_order(self._errors)

    @property
    def warnings(self) -> list[Problem]:
        """What the user should know before the job runs."""
        return self._in_order(self._warnings)

    def begin_file(self, path: str) -> None:
        """Notes that a file is read now, which gives its problems their turn."""
        self._files.setdefault(path, len(self._files))

    def add_error(self, problem: Problem) -> None:
        """Notes something that keeps the job from running."""
        self._errors[problem] = None

    def add_warning(self, problem: Problem) -> None:
        """Notes something that the job can run with."""
        self._warnings[problem] = None

    def raise_if_any(self) -> None:
        """Ends the reading of a job that cannot run.

        Raises:
            ConfigurationError: If there are errors.
        """
        if self._errors:
            raise ConfigurationError(self.errors, self.warnings)

    def _in_order(self, found: Iterable[Problem]) -> list[Problem]:
        return sorted(found, key=lambda problem: (self._files.get(problem.path, len(self._files)), problem.line))


@dataclass(frozen=True)
class Place:
    """A place in a configuration file, at which problems can be noted.

    Attributes:
        document: The file.
        problems: Where they are noted.
        location: Keys and indices that lead to the place.
    """

    document: Document
    problems: Problems
    location: Location = ()

    def at(self, *steps: str | int) -> Place:
        """Returns a place further inside."""
        return Place(self.document, self.problems, (*self.location, *steps))

    def error(self, text: str) -> None:
        """Notes something that keeps the job from running."""
        self.problems.add_error(self._problem(text))

    def warn(self, text: str) -> None:
        """Notes something that the job can run with."""
        self.problems.add_warning(self._problem(text))

    def unknown_key(self, known: Iterable[str], note: str = "it has no effect") -> None:
        """Notes that nobody reads this key: a warning, or an error where unknown keys are refused."""
        key = str(self.location[-1])
        report = self.error if self.problems.strict else self.warn
        report(f"unknown key {key!r}, {note}{did_you_mean(key, known)}")

    def where_else(self, path: str) -> str:
        """Returns a hint if a missing file lies beside the file that names it, as people expect it to."""
        beside = os.path.normpath(os.path.join(os.path.dirname(self.document.path), path))
        if os.path.exists(path) or not os.path.exists(beside):
            return ""
        return f"; there is a file {beside}: write that, or run ianvs in {os.path.dirname(self.document.path)}"

    def _problem(self, text: str) -> Problem:
        return Problem(self.document.path, self.document.line(self.location), dotted(self.location), text)


def read_file(path: str, named_at: Place) -> Document | None:
    """Reads a configuration file that another one names; returns None, with errors noted, where that fails.

    Args:
        path: The file.
        named_at: Where its name stands: the place that is at fault if there is no such file.
    """
    named_at.problems.begin_file(path)
    try:
        return read_yaml(path)
    except YamlError as error:
        if error.misnamed:
            named_at.error(f"{error}{named_at.where_else(path)}")
        else:
            for line, text in error.found:
                named_at.problems.add_error(Problem(path, line, "", text))
        return None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns `; did you mean '...'?` with the nearest known word, or, where none is near, the known words."""
    words = list(known)
    near = nearest(word, words)
    if near is not None:
        return f"; did you mean {near!r}?"
    return f"; known are {', '.join(words)}" if words else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Returns the known word that `word` is probably a misspelling of, whatever its case, or None."""
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[near[0]] if near else None
