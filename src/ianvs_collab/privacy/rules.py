"""Rules for personal data that has a form: addresses and numbers, told from other numbers by checks and ranges.

A word boundary is no help in Chinese, where text touches numbers without a space; so each rule says which characters
must not stand beside it. Full-width digits and letters, common in Chinese, count as their ordinary twins.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ianvs_collab.privacy import checksums
from ianvs_collab.privacy.finding import Finding, PrivacyError, without_overlaps

_ORDINARY = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
"""Full-width forms of ASCII (U+FF01 to U+FF5E), one character each, so that positions stay."""


@dataclass(frozen=True)
class Rule:
    """A kind of personal data, the form it has, and a check of what has that form.

    Attributes:
        kind: What it is, e.g. `EMAIL`.
        pattern: Its form.
        check: Given the match without spaces and hyphens, whether it is one.
    """

    kind: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each match that passes the check; one that fails hides none that begins inside it."""
        match = self.pattern.search(text)
        while match:
            valid = self.check(re.sub(r"[ \-]", "", match[0]))
            if valid:
                yield match.span()
            match = self.pattern.search(text, match.end() if valid else match.start() + 1)


class RuleDetector:
    """Finds what the rules describe.

    Args:
        kinds: Kinds to look for; None for all.

    Raises:
        PrivacyError: If there is no rule for a kind.
    """

    def __init__(self, kinds: Iterable[str] | None = None) -> None:
        wanted = list(KINDS if kinds is None else kinds)
        for kind in wanted:
            if kind not in KINDS:
                raise PrivacyError(f"no rule finds the kind {kind!r}; there are {', '.join(KINDS)}")
        self.rules = [rule for rule in RULES if rule.kind in wanted]

    def find(self, text: str) -> list[Finding]:
        """Findings in order of the text; of overlapping ones the longest."""
        ordinary = text.translate(_ORDINARY)
        return without_overlaps(
            Finding(rule.kind, start, end, text[start:end])
            for rule in self.rules
            for start, end in rule.spans(ordinary)
        )


def _address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def _ipv6(text: str) -> bool:
    """An address, and not a scope in source code such as `A::B`."""
    return any(character.isdigit() for character in text) and _address(text)


def _international(text: str) -> bool:
    """E.164: at most 15 digits; fewer than 8 reach nobody abroad."""
    return 8 <= sum(map(str.isdigit, text)) <= 15  # noqa: PLR2004 - E.164


def _alone(pattern: str) -> str:
    """A pattern that matches no part of a longer number, word, version or dotted name."""
    return rf"(?<![0-9A-Za-z_]) (?<![0-9][.\-+]) (?:{pattern}) (?![0-9A-Za-z_]|[.\-][0-9A-Za-z])"


def _rule(kind: str, pattern: str, check: Callable[[str], bool] = bool) -> Rule:
    return Rule(kind, re.compile(pattern, re.ASCII | re.VERBOSE), check)


_ATOM = r"[A-Za-z0-9!\#$%&'*+/=?^_`{|}~\-]"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?"
_IBAN = "|".join(rf"{code}\d{{2}}(?:\ ?[A-Z0-9]){{{length - 4}}}" for code, length in checksums.IBAN_LENGTHS.items())

RULES: Sequence[Rule] = (
    # RFC 5322, section 3.4.1, the dot-atom form
    _rule("EMAIL", rf"(?<!{_ATOM}) {_ATOM}+ (?:\.{_ATOM}+)* @ (?:{_LABEL}\.)+ [A-Za-z]{{2,}} (?![A-Za-z0-9])"),
    _rule("CN_ID", _alone(r"\d{17}[\dXx]"), checksums.resident_id),
    _rule("US_SSN", _alone(r"\d{3}([\ \-])\d{2}\1\d{4}"), checksums.social_security_number),
    _rule("IBAN", _alone(_IBAN), checksums.iban),
    # ISO/IEC 7812-1: 13 to 19 digits, banks and travel begin with 3 to 6; printed as 4-4-4-4(-3) or 4-6-5
    _rule("CARD", _alone(r"[3-6]\d{12,18}"), checksums.luhn),
    _rule("CARD", _alone(r"[3-6]\d{3}([\ \-])\d{4}\1\d{4}\1\d{4}"), checksums.luhn),
    _rule("CARD", _alone(r"[3-6]\d{3}([\ \-])\d{4}\1\d{4}\1\d{4}\1\d{3}"), checksums.luhn),
    _rule("CARD", _alone(r"3\d{3}([\ \-])\d{6}\1\d{5}"), checksums.luhn),
    _rule("IP", _alone(r"(?:\d{1,3}\.){3}\d{1,3}"), _address),
    _rule("IP", r"(?<![0-9A-Za-z_:.]) (?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4} (?![0-9A-Za-z_:])", _ipv6),
    # mobile and fixed line in China; any country with a plus sign; North America
    _rule("PHONE", _alone(r"(?:(?:\+|00)?86[\ \-]?)?1[3-9]\d([\ \-]?)\d{4}\1\d{4}")),
    _rule("PHONE", _alone(r"0\d{2,3}-\d{7,8} | \(0\d{2,3}\)\ ?\d{7,8}")),
    _rule("PHONE", _alone(r"\+[1-9]\d{0,2} (?:[\ \-.]?\(?\d{1,5}\)?){2,6}"), _international),
    _rule("PHONE", _alone(r"(?:1[\ \-.])?(?:\([2-9]\d{2}\)\ ?|[2-9]\d{2}[\ \-.])[2-9]\d{2}[\ \-.]\d{4}")),
)
KINDS = tuple(dict.fromkeys(rule.kind for rule in RULES))
"""Kinds of personal data that the rules find."""
