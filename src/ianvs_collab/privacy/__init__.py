"""Personal data in texts: found by rules, lists of names or Presidio, and replaced by placeholders, and back."""

from ianvs_collab.privacy.detectors import AllDetectors, make_detector
from ianvs_collab.privacy.finding import Detector, Finding, PrivacyError, without_overlaps
from ianvs_collab.privacy.guard import Guard, Report
from ianvs_collab.privacy.people import CommonNames, NameList
from ianvs_collab.privacy.presidio import PresidioDetector
from ianvs_collab.privacy.redaction import Redaction, redact
from ianvs_collab.privacy.rules import KINDS, RULES, Rule, RuleDetector

__all__ = [
    "KINDS",
    "RULES",
    "AllDetectors",
    "CommonNames",
    "Detector",
    "Finding",
    "Guard",
    "NameList",
    "PresidioDetector",
    "PrivacyError",
    "Redaction",
    "Report",
    "Rule",
    "RuleDetector",
    "make_detector",
    "redact",
    "without_overlaps",
]
