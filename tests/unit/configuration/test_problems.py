"""Collecting problems: order, repetition, words for what is near."""

from __future__ import annotations

from pathlib import Path

import pytest

from ianvs_collab.configuration.problems import (
    ConfigurationError,
    Place,
    Problem,
    Problems,
    did_you_mean,
    nearest,
    read_file,
)
from ianvs_collab.configuration.yamlfile import parse_yaml


def place(text: str = "a: 1\nb:\n  c: 2\n", path: str = "x.yaml", problems: Problems | None = None) -> Place:
    return Place(parse_yaml(text.encode(), path), problems or Problems())


def test_a_problem_reads_like_a_compiler_s() -> None:
    here = place()
    here.at("b", "c").error("must be text")
    assert [str(problem) for problem in here.problems.errors] == ["x.yaml:3: b.c: must be text"]
    assert str(Problem("x.yaml", 0, "", "is missing")) == "x.yaml: is missing"


def test_problems_stand_in_the_order_of_files_as_read_and_of_lines() -> None:
    problems = Problems()
    second, first = place(path="second.yaml", problems=problems), place(path="first.yaml", problems=problems)
    problems.begin_file("first.yaml")
    problems.begin_file("second.yaml")
    problems.begin_file("first.yaml")
    place(path="never.yaml", problems=problems).error("5")
    second.at("b", "c").error("4")
    first.at("a").error("1")
    second.at("a").error("3")
    assert [(p.path, p.line) for p in problems.errors] == [
        ("first.yaml", 1),
        ("second.yaml", 1),
        ("second.yaml", 3),
        ("never.yaml", 1),
    ]


def test_a_problem_noted_twice_is_told_once() -> None:
    here = place()
    here.error("broken")
    here.error("broken")
    here.warn("odd")
    here.warn("odd")
    assert len(here.problems.errors) == len(here.problems.warnings) == 1


def test_errors_end_the_reading_and_warnings_do_not() -> None:
    here = place()
    here.warn("odd")
    here.problems.raise_if_any()
    here.at("a").error("broken")
    here.at("b").error("broken too")
    with pytest.raises(ConfigurationError, match=r"x.yaml:1: a: broken \(the first of 2 problems\)") as caught:
        here.problems.raise_if_any()
    assert caught.value.problems == here.problems.errors


def test_a_single_problem_is_the_whole_message() -> None:
    here = place()
    here.at("a").error("broken")
    with pytest.raises(ConfigurationError) as caught:
        here.problems.raise_if_any()
    assert str(caught.value) == "x.yaml:1: a: broken"


@pytest.mark.parametrize("strict", [False, True])
def test_unknown_keys_are_errors_only_if_strict(strict: bool) -> None:
    here = place(problems=Problems(strict))
    here.at("b").unknown_key(["bb", "other"])
    (found,) = here.problems.errors if strict else here.problems.warnings
    assert (found.line, found.text) == (2, "unknown key 'b', it has no effect; did you mean 'bb'?")
    assert bool(here.problems.errors) == strict


def test_the_nearest_word_is_named_whatever_its_case() -> None:
    assert nearest("testEnv", ["workspace", "testenv"]) == "testenv"
    assert nearest("accurcy", ["Accuracy", "Latency"]) == "Accuracy"
    assert nearest("xyz", ["Accuracy"]) is None
    assert did_you_mean("xyz", ["a1", "b2"]) == "; known are a1, b2"
    assert did_you_mean("xyz", []) == ""


def test_a_missing_file_is_the_fault_of_the_place_that_names_it(tmp_path: Path) -> None:
    here = place()
    assert read_file(str(tmp_path / "none.yaml"), here.at("b", "c")) is None
    (found,) = here.problems.errors
    assert (found.path, found.line) == ("x.yaml", 3)
    assert "there is no such file" in found.text


def test_a_broken_file_is_its_own_fault(tmp_path: Path) -> None:
    here = place()
    path = tmp_path / "y.yaml"
    path.write_text("a: 1\na: 2\na: 3\n")
    assert read_file(str(path), here) is None
    assert [(p.path, p.line) for p in here.problems.errors] == [(str(path), 2), (str(path), 3)]


def test_a_good_file_is_read(tmp_path: Path) -> None:
    here = place()
    path = tmp_path / "y.yaml"
    path.write_text("a: 1\n")
    document = read_file(str(path), here)
    assert document is not None
    assert document.value == {"a": 1}
    assert not here.problems.errors
