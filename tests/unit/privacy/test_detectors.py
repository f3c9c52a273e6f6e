"""Names, Presidio, and detectors by name."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.privacy import CommonNames, NameList, PresidioDetector, PrivacyError, make_detector


def texts(detector: Any, text: str) -> list[str]:
    return [one.text for one in detector.find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ask John Smith or Mary T. Jones.", ["John Smith", "Mary T. Jones"]),
        ("Mr. Smith, Dr Patel", ["Mr. Smith", "Dr Patel"]),
        ("王秀英和李建国是朋友", ["王秀英", "李建国"]),
        ("请联系张先生", ["张"]),
        ("Tom is taller than Ann. Green is a colour.", []),
        ("JohnSmith and John Smithson", []),
        ("长城在中国", []),
    ],
)
def test_common_names(text: str, expected: list[str]) -> None:
    assert texts(CommonNames(), text) == expected


def test_listed_names_are_whole_words_and_the_longest_wins() -> None:
    names = NameList(["Ada", "Ada Lovelace", "赵小川", "O'Neil"])
    assert texts(names, "Ada Lovelace, Ada; Adam, xAda, Ada_1, O'Neil") == ["Ada Lovelace", "Ada", "O'Neil"]
    assert texts(names, "我是赵小川吗") == ["赵小川"]
    assert texts(names, "") == []
    assert texts(NameList(["Li", "Liu"]), "Liu and Li") == ["Liu", "Li"]


@given(st.lists(st.text("abcXY ", min_size=2, max_size=5), min_size=1, max_size=5), st.text("abcXY ,", max_size=40))
def test_listed_names_against_a_plain_search(names: list[str], text: str) -> None:
    def whole(start: int, end: int) -> bool:
        before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
        after = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
        return not before and not after

    found = {(one.start, one.end) for one in NameList(names).find(text)}
    possible = {
        (start, start + len(name))
        for name in names
        for start in range(len(text))
        if text.startswith(name, start) and whole(start, start + len(name))
    }
    assert found <= possible
    assert bool(found) == bool(possible)


def test_a_file_of_names(tmp_path: Path) -> None:
    path = tmp_path / "staff.txt"
    path.write_text("\ufeff# staff\n\n Ada Lovelace \n王二小\n", encoding="utf-8")
    assert texts(make_detector(names=path), "Ada Lovelace met 王二小") == ["Ada Lovelace", "王二小"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# nobody\n", r"names file '.*staff.txt': the list of names is empty; write one name a line"),
        (b"A\n", r"the name 'A' cannot be looked for: at least two characters"),
        (b"[EMAIL_1]\n", r"the name '\[EMAIL_1\]' cannot be looked for"),
        (b"\xff\xfe\x00", r"staff.txt': .*it must be a UTF-8 text file"),
    ],
)
def test_a_wrong_file_of_names(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "staff.txt"
    path.write_bytes(content)
    with pytest.raises(PrivacyError, match=message):
        make_detector(names=path)


def test_a_missing_file_of_names(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match="No such file"):
        NameList.read(tmp_path / "none.txt")


def test_detectors_by_name_and_kind() -> None:
    text = "John Smith, a@b.org"
    assert texts(make_detector(), text) == ["John Smith", "a@b.org"]
    assert texts(make_detector(kinds=["NAME"]), text) == ["John Smith"]
    assert texts(make_detector(kinds="EMAIL"), text) == ["a@b.org"]
    with pytest.raises(PrivacyError, match="there is no detector 'regex'; there are rules, presidio"):
        make_detector("regex")
    with pytest.raises(PrivacyError, match="kinds leaves out 'NAME': EMAIL"):
        make_detector(kinds=["EMAIL"], names="staff.txt")


class Engine:
    """Speaks like `presidio_analyzer.AnalyzerEngine`."""

    def analyze(self, *, text: str, language: str, score_threshold: float) -> list[SimpleNamespace]:
        assert language == "en"
        place = text.find("Berlin")
        results = [("PERSON", 0.6), ("LOCATION", 0.9), ("DATE", 0.2)]
        return [
            SimpleNamespace(entity_type=kind, start=place, end=place + 6, score=score)
            for kind, score in results
            if place >= 0 and score >= score_threshold
        ]


def test_presidio_joins_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("presidio_analyzer")
    module.AnalyzerEngine = Engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "presidio_analyzer", module)
    found = make_detector("presidio").find("In Berlin: a@b.org")
    assert [(one.kind, one.text) for one in found] == [("LOCATION", "Berlin"), ("EMAIL", "a@b.org")]
    assert PresidioDetector(score=0.95, analyzer=Engine()).find("Berlin") == []


def test_without_presidio_the_message_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(PrivacyError, match=r'pip install "ianvs-collab\[presidio\]"'):
        make_detector("presidio")


def test_a_score_is_a_probability() -> None:
    with pytest.raises(PrivacyError, match="score must lie between 0 and 1, not 50"):
        PresidioDetector(score=50, analyzer=Engine())
