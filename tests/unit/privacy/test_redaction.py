"""Redaction: nothing is found afterwards, and everything comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.privacy import Finding, Guard, make_detector, redact, without_overlaps

DETECTOR = make_detector()
PIECES = st.one_of(
    st.sampled_from(
        [
            "a.b@c.org",
            "13800138000",
            "11010519491231002X",
            "4111 1111 1111 1111",
            "DE89370400440532013000",
            "192.168.1.7",
            "fe80::1",
            "123-45-6789",
            "John Smith",
            "王秀英",
            "[EMAIL_1]",
            "[PHONE_2]",
            "[",
            "_1]",
            ".",
            " ",
        ]
    ),
    st.text(max_size=6),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_nothing_is_left_to_be_found_and_all_comes_back(texts: list[str]) -> None:
    redaction = redact(texts, DETECTOR)
    assert [DETECTOR.find(text) for text in redaction.texts] == [[]] * len(texts)
    assert [redaction.restore(text) for text in redaction.texts] == texts


@given(st.text())
def test_findings_are_the_text_they_say_and_never_overlap(text: str) -> None:
    findings = DETECTOR.find(text + " a@b.org 13800138000")
    assert findings
    ends = [0]
    for one in findings:
        assert one.text == (text + " a@b.org 13800138000")[one.start : one.end]
        assert one.start >= ends[-1]
        ends.append(one.end)


def test_the_same_value_is_the_same_placeholder_in_all_texts() -> None:
    redaction = redact(["a@b.org or c@d.org?", "c@d.org, 13800138000"], DETECTOR)
    assert redaction.texts == ("[EMAIL_1] or [EMAIL_2]?", "[EMAIL_2], [PHONE_1]")
    assert redaction.values == {"[EMAIL_1]": "a@b.org", "[EMAIL_2]": "c@d.org", "[PHONE_1]": "13800138000"}
    assert redaction.restore("Write to [EMAIL_2], not [EMAIL_9].") == "Write to c@d.org, not [EMAIL_9]."


def test_placeholders_that_stand_in_a_text_are_not_used() -> None:
    redaction = redact(["[EMAIL_1] means a@b.org"], DETECTOR)
    assert redaction.texts == ("[EMAIL_1] means [EMAIL_2]",)


def test_a_text_without_personal_data_stays_as_it_is() -> None:
    redaction = redact(["nothing"], DETECTOR)
    assert (redaction.texts, redaction.values, redaction.restore("[EMAIL_1]")) == (("nothing",), {}, "[EMAIL_1]")


def test_a_detector_that_takes_placeholders_for_names_comes_to_an_end() -> None:
    class Eager:
        def find(self, text: str) -> list[Finding]:
            return [Finding("WORD", i, i + 4, text[i : i + 4]) for i in range(0, len(text) - 3, 4)]

    redaction = redact(["abcdefgh"], Eager())
    assert redaction.texts == ("[WORD_1][WORD_2]",)


def test_of_overlapping_findings_the_longest_counts() -> None:
    short, long, other = Finding("A", 0, 3, "abc"), Finding("B", 2, 8, "cdefgh"), Finding("C", 8, 9, "i")
    assert without_overlaps([short, other, long]) == [long, other]
    first, second = Finding("A", 0, 2, "ab"), Finding("B", 0, 2, "ab")
    assert without_overlaps([first, second]) == [first]


def test_a_guard_counts_what_was_sent_word_for_word() -> None:
    text = "a@b.org, a@b.org and 13800138000"
    guard = Guard.of([text], DETECTOR)
    assert guard.report([text]) == {"found": 2, "sent": 2}
    assert guard.report(["[EMAIL_1] and 13800138000"]) == {"found": 2, "sent": 1}
    assert guard.report([]) == {"found": 2, "sent": 0}
    assert guard.restore("[EMAIL_1]") == "[EMAIL_1]"
    assert Guard.of([text], DETECTOR, redact([text], DETECTOR)).restore("[EMAIL_1]") == "a@b.org"
