"""Microsoft Presidio as a detector: named-entity recognition finds what no rule describes.

An optional extra: `pip install "ianvs-collab[presidio]"`, and a spaCy model of the language, e.g.
`python -m spacy download en_core_web_lg`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ianvs_collab.privacy.finding import Finding, PrivacyError, without_overlaps


class PresidioDetector:
    """Finds what Presidio's analyser finds; kinds are its entity types (`PERSON`, `LOCATION`, ...).

    Args:
        language: Two-letter code of a language that the analyser is set up for.
        score: Least confidence of a finding, 0 to 1.
        analyzer: A `presidio_analyzer.AnalyzerEngine` of one's own; None makes Presidio's default one.

    Raises:
        PrivacyError: If Presidio is not installed, or the score is no probability.
    """

    def __init__(self, language: str = "en", score: float = 0.5, analyzer: Any = None) -> None:
        if not 0 <= score <= 1:
            raise PrivacyError(f"score must lie between 0 and 1, not {score!r}")
        self.language = language
        self.score = score
        self._analyzer = _default_analyzer() if analyzer is None else analyzer

    def find(self, text: str) -> list[Finding]:
        """Findings in order of the text; of overlapping ones the longest, of equally long ones the surest."""
        results = self._analyzer.analyze(text=text, language=self.language, score_threshold=self.score)
        surest = sorted(results, key=lambda result: -result.score)
        return without_overlaps(
            Finding(one.entity_type, one.start, one.end, text[one.start : one.end]) for one in surest
        )


def _default_analyzer() -> Any:
    try:
        return import_module("presidio_analyzer").AnalyzerEngine()
    except ImportError as error:
        raise PrivacyError(
            'the detector `presidio` needs Microsoft Presidio: pip install "ianvs-collab[presidio]"; '
            "`rules` works without it"
        ) from error
