"""Taking personal data out of texts, and putting it back into what was written about them.

Each value becomes a placeholder that says what it was (`[EMAIL_1]`), the same value always the same one, so that a
model can still tell two people apart and speak of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ianvs_collab.privacy.finding import Detector, Finding


@dataclass(frozen=True)
class Redaction:
    """Texts without personal data.

    Attributes:
        texts: The redacted texts.
        values: What each placeholder stands for.
    """

    texts: tuple[str, ...]
    values: Mapping[str, str]

    def restore(self, text: str) -> str:
        """Put the values back in place of the placeholders, in a redacted text or an answer to one."""
        if not self.values:
            return text
        placeholder = re.compile("|".join(map(re.escape, self.values)))
        return placeholder.sub(lambda match: self.values[match[0]], text)


def redact(texts: Sequence[str], detector: Detector) -> Redaction:
    """Replace personal data in texts that belong together, e.g. the messages of a chat.

    A replacement can lay bare what overlapped it; so each text is searched until nothing more is found.

    Args:
        texts: The texts.
        detector: What finds the personal data.
    """
    placeholders = _Placeholders("\n".join(texts))
    cleaned = tuple(_clean(text, detector, placeholders) for text in texts)
    return Redaction(cleaned, {made: value for (_, value), made in placeholders.made.items()})


class _Placeholders:
    """Gives each value a placeholder that does not stand in the texts already."""

    def __init__(self, taken: str) -> None:
        self._taken = taken
        self._used: Counter[str] = Counter()
        self.made: dict[tuple[str, str], str] = {}

    def of(self, one: Finding) -> str:
        key = one.kind, one.text
        while key not in self.made:
            self._used[one.kind] += 1
            candidate = f"[{one.kind}_{self._used[one.kind]}]"
            if candidate not in self._taken:
                self.made[key] = candidate
        return self.made[key]

    def untouched(self, text: str, findings: Sequence[Finding]) -> list[Finding]:
        """The findings that lie outside every placeholder; a learned detector may take one for a name."""
        if not self.made:
            return list(findings)
        spans = [match.span() for match in re.finditer("|".join(map(re.escape, self.made.values())), text)]
        return [one for one in findings if all(one.end <= start or end <= one.start for start, end in spans)]


def _clean(text: str, detector: Detector, placeholders: _Placeholders) -> str:
    while found := placeholders.untouched(text, detector.find(text)):
        pieces, at = [], 0
        for one in found:
            pieces += [text[at : one.start], placeholders.of(one)]
            at = one.end
        text = "".join([*pieces, text[at:]])
    return text
