"""Names of people: from the user's own list, or a common given name beside a common surname.

Rules for names miss most and find some that are none; a list of the people in question (customers, patients, staff) is
what makes them dependable. The built-in lists hold frequent English and Chinese names, so that common ones are seen.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from ianvs_collab.privacy.finding import Finding, PrivacyError, without_overlaps

KIND = "NAME"
_PREFIX = 2


class NameList:
    """Finds the names of a list, as they are written there.

    Args:
        names: Each at least two characters long and without square brackets, which belong to placeholders.

    Raises:
        PrivacyError: If there is no name, or one cannot be looked for.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        for name in sorted(self._names):
            if len(name) < _PREFIX or set(name) & set("[]"):
                raise PrivacyError(
                    f"the name {name!r} cannot be looked for: at least two characters, none of them [ or ]"
                )
        if not self._names:
            raise PrivacyError("the list of names is empty; write one name a line")
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for name in self._names:
            lengths[name[:_PREFIX]].add(len(name))
        self._lengths = {prefix: sorted(found, reverse=True) for prefix, found in lengths.items()}

    @classmethod
    def read(cls, path: str | Path) -> NameList:
        """Names from a UTF-8 text file, one a line; empty lines and lines that begin with # are skipped.

        Raises:
            PrivacyError: If the file cannot be read or holds no usable name.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise PrivacyError(f"names file {str(path)!r}: {error}; it must be a UTF-8 text file") from error
        try:
            return cls(_lines(text))
        except PrivacyError as error:
            raise PrivacyError(f"names file {str(path)!r}: {error}") from error

    def find(self, text: str) -> list[Finding]:
        """Findings in order of the text; the longest name where several begin."""
        found = []
        for start in range(len(text) - _PREFIX + 1):
            for length in self._lengths.get(text[start : start + _PREFIX], ()):
                name = text[start : start + length]  # at the end of the text less than asked for
                if name in self._names and _whole(text, start, start + len(name)):
                    found.append(Finding(KIND, start, start + len(name), name))
                    break
        return without_overlaps(found)


class CommonNames:
    """Finds a frequent given name with a frequent surname, or a surname with a title, in English and Chinese."""

    def find(self, text: str) -> list[Finding]:
        """Findings in order of the text."""
        return without_overlaps(
            Finding(KIND, match.start(), match.end(), match[0])
            for pattern in _common_names()
            for match in pattern.finditer(text)
        )


def _whole(text: str, start: int, end: int) -> bool:
    """Whether a piece is no part of a longer word of an alphabet; Chinese has no such boundaries."""
    before, after = text[max(start - 1, 0) : start], text[end : end + 1]
    return not (_joins(before, text[start]) or _joins(text[end - 1], after))


def _joins(left: str, right: str) -> bool:
    return (
        bool(left)
        and bool(right)
        and all(c == "_" or (c.isalnum() and not "\u2e80" <= c <= "\u9fff") for c in left + right)
    )


@lru_cache(maxsize=1)
def _common_names() -> tuple[re.Pattern[str], ...]:
    given, surname, given_zh, surname_zh = (
        "|".join(map(re.escape, _lines((files(__package__) / "names" / f"{name}.txt").read_text(encoding="utf-8"))))
        for name in ("given-en", "surname-en", "given-zh", "surname-zh")
    )
    return (
        re.compile(rf"(?<!\w)(?:{given}) (?:[A-Z]\. )?(?:{surname})(?!\w)"),
        re.compile(rf"(?<!\w)(?:Mr|Mrs|Ms|Miss|Dr|Prof)\.? (?:{surname})(?!\w)"),
        re.compile(rf"(?:{surname_zh})(?:{given_zh})"),
        re.compile(rf"(?:{surname_zh})(?=(?:先生|女士|小姐|太太|老师|医生|教授|经理))"),
    )


def _lines(text: str) -> list[str]:
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]
