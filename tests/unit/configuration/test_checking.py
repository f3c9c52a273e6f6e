"""Checking values against models, in words that name what to type."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from ianvs_collab.configuration.checking import Section, check, check_keys, describe, section
from ianvs_collab.configuration.problems import Place, Problems
from ianvs_collab.configuration.yamlfile import parse_yaml


class Inner(Section):
    name: Annotated[str, Field(min_length=1)]


class Outer(Section):
    count: Annotated[int, Field(ge=2)] = 2
    items: list[Inner] = Field(default_factory=list)
    table: dict[str, Any] = Field(default_factory=dict)
    kind: Literal["good"] = "good"
    inner: Inner | None = None


def problems_of(text: str) -> list[str]:
    place = Place(parse_yaml(text.encode(), "x.yaml"), Problems())
    assert check(Outer, place.document.value, place) is None
    return [str(problem) for problem in place.problems.errors]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "items:\n  - name: 5\n",
            'x.yaml:2: items[0].name: must be text, not 5 (a whole number); write it in quotes: "5"',
        ),
        (
            "items:\n  - name: on\n",
            'x.yaml:2: items[0].name: must be text, not True (a truth value); write it in quotes: "True"',
        ),
        ("items:\n  - nam: x\n", "x.yaml:2: items[0].name: is missing; add `name: ...`"),
        ("items:\n  - name: ''\n", "x.yaml:2: items[0].name: must not be empty"),
        ("items: x\n", "x.yaml:1: items: must be a list (lines that start with `- `), not 'x' (text)"),
        ("items: [x]\n", "x.yaml:1: items[0]: must be a mapping (lines of `key: value`), not 'x' (text)"),
        ("table: [x]\n", "x.yaml:1: table: must be a mapping (lines of `key: value`), not ['x'] (a list)"),
        ("count: '2'\n", "x.yaml:1: count: must be a whole number, not '2' (text)"),
        ("count: true\n", "x.yaml:1: count: must be a whole number, not True (a truth value)"),
        ("count: 1\n", "x.yaml:1: count: must be at least 2, not 1 (a whole number)"),
        ("count:\n", "x.yaml:1: count: must be a whole number, not empty"),
        ("kind: bad\n", "x.yaml:1: kind: must be 'good', not 'bad' (text)"),
    ],
)
def test_each_fault_is_named_with_line_and_remedy(text: str, problem: str) -> None:
    assert problems_of(text) == [problem]


def test_all_faults_are_found() -> None:
    assert len(problems_of("count: 1\nitems:\n  - name: 5\n  - {}\nkind: bad\n")) == 4


def test_what_is_right_becomes_a_model() -> None:
    place = Place(parse_yaml(b"count: 3\nitems: [{name: x}]\nother: 1\n", "x.yaml"), Problems())
    made = check(Outer, place.document.value, place)
    assert made is not None
    assert (made.count, made.items[0].name) == (3, "x")
    assert not place.problems.errors


def test_unknown_keys_are_named_with_the_nearest_one() -> None:
    place = Place(parse_yaml(b"name: x\nurll: y\n1: z\n", "x.yaml"), Problems())
    check_keys(["name", "url"], place.document.value, place)
    assert [str(problem) for problem in place.problems.warnings] == [
        "x.yaml:2: urll: unknown key 'urll', it has no effect; did you mean 'url'?",
        "x.yaml:3: 1: unknown key '1', it has no effect; known are name, url",
    ]


def test_keys_of_anything_but_a_mapping_are_nobody_s_business() -> None:
    place = Place(parse_yaml(b"- a\n", "x.yaml"), Problems())
    check_keys(["name"], place.document.value, place)
    assert not place.problems.warnings


@pytest.mark.parametrize("text", ["", "- a\n", "job: 1\n", "jobs: {}\n", "job:\n", "text"])
def test_a_file_must_have_its_section(text: str) -> None:
    place = Place(parse_yaml(text.encode(), "x.yaml"), Problems())
    assert section("job", place) is None
    assert "has no section `job:`" in str(place.problems.errors[0])


def test_other_top_keys_are_unknown() -> None:
    place = Place(parse_yaml(b"job: {a: 1}\njobb: 2\n", "x.yaml"), Problems())
    assert section("job", place) == {"a": 1}
    assert "did you mean 'job'" in str(place.problems.warnings[0])


def test_values_are_described_in_one_line() -> None:
    assert describe(None) == "empty"
    assert describe({"a": 1}) == "{'a': 1} (a mapping)"
    assert describe(1.5) == "1.5 (a number)"
    long = describe("x" * 100)
    assert long.endswith("... (text)")
    assert len(long) == len("... (text)") + 57
