"""Detectors by name, as an algorithm file names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ianvs_collab.privacy import people
from ianvs_collab.privacy.finding import Detector, Finding, PrivacyError, without_overlaps
from ianvs_collab.privacy.people import CommonNames, NameList
from ianvs_collab.privacy.presidio import PresidioDetector
from ianvs_collab.privacy.rules import KINDS, RuleDetector

ALL_KINDS = (*KINDS, people.KIND)
"""Kinds that the detector `rules` finds."""


class AllDetectors:
    """Finds what any of several detectors finds; of overlapping findings the longest.

    Args:
        detectors: Of equally long findings the first detector's counts.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.detectors = tuple(detectors)

    def find(self, text: str) -> list[Finding]:
        """Findings in order of the text."""
        return without_overlaps(one for detector in self.detectors for one in detector.find(text))


def make_detector(
    name: str = "rules",
    *,
    kinds: Sequence[str] | None = None,
    names: str | Path | None = None,
    language: str = "en",
) -> Detector:
    """Make a detector.

    Args:
        name: `rules`, or `presidio` for the rules and Presidio together.
        kinds: Kinds that the rules look for; None for all.
        names: File of names to look for besides the built-in ones, one a line.
        language: Presidio's.

    Raises:
        PrivacyError: If there is no such detector or kind, the names cannot be read, or Presidio is missing.
    """
    if name not in ("rules", "presidio"):
        raise PrivacyError(f"there is no detector {name!r}; there are rules, presidio")
    chosen = list(ALL_KINDS if kinds is None else [kinds] if isinstance(kinds, str) else kinds)
    parts: list[Detector] = [RuleDetector(kind for kind in chosen if kind != people.KIND)]
    if people.KIND in chosen:
        parts += [CommonNames()] if names is None else [NameList.read(names), CommonNames()]
    elif names is not None:
        raise PrivacyError(f"a names file is given, but kinds leaves out {people.KIND!r}: {', '.join(chosen)}")
    if name == "presidio":
        parts.append(PresidioDetector(language))
    return AllDetectors(parts)
