"""What a detector finds: a piece of a text and what kind of personal data it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class PrivacyError(ValueError):
    """A detector was set up in a way that cannot work; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Personal data in a text.

    Attributes:
        kind: What it is, in capitals, e.g. `EMAIL`.
        start: Index of its first character.
        end: Index after its last character.
        text: The piece itself.
    """

    kind: str
    start: int
    end: int
    text: str


class Detector(Protocol):
    """Finds personal data."""

    def find(self, text: str) -> list[Finding]:
        """Findings in order of the text; no two overlap."""
        ...


def without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Of overlapping findings the longest; of equally long ones the first given. In order of the text."""
    kept: list[Finding] = []
    for one in sorted(findings, key=lambda finding: finding.start - finding.end):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda finding: finding.start)
