"""What is known about the personal data of one query: how much there is, and how it comes back into the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from ianvs_collab.privacy.finding import Detector
from ianvs_collab.privacy.redaction import Redaction


class Report(TypedDict):
    """How many different pieces of personal data a query holds, and how many of them were sent to the cloud."""

    found: int
    sent: int


@dataclass(frozen=True)
class Guard:
    """Watches over one query.

    Attributes:
        values: The different pieces of personal data found in it.
        redaction: What was replaced before it was sent, or None.
    """

    values: frozenset[str]
    redaction: Redaction | None = None

    @classmethod
    def of(cls, texts: Iterable[str], auditor: Detector, redaction: Redaction | None = None) -> Guard:
        """Search the original texts of a query.

        Args:
            texts: What would be sent.
            auditor: What finds personal data.
            redaction: What is to be sent instead, or None.
        """
        return cls(frozenset(one.text for text in texts for one in auditor.find(text)), redaction)

    def restore(self, text: str) -> str:
        """An answer with the values in place of the placeholders."""
        return text if self.redaction is None else self.redaction.restore(text)

    def report(self, sent: Sequence[str]) -> Report:
        """Count what reached the cloud.

        Args:
            sent: The texts that crossed the link; a value counts as sent if it stands in one, word for word.
        """
        return {"found": len(self.values), "sent": sum(any(value in text for text in sent) for value in self.values)}
