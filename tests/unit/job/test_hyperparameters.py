"""The hyperparameter grid, against an independent expansion and in all its corners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.configuration.problems import Place, Problems
from ianvs_collab.configuration.yamlfile import Document, parse_yaml
from ianvs_collab.job.hyperparameters import expand

names = st.sampled_from(["lr", "model", "k", "seed"])
values = st.lists(st.integers() | st.text(max_size=3) | st.none() | st.booleans(), min_size=1, max_size=3)
grids = st.lists(st.tuples(names, values), max_size=4)


def expansion(text: str) -> tuple[list[dict[str, Any]], Problems]:
    place = Place(parse_yaml(text.encode(), "algorithm.yaml"), Problems())
    return expand(place.document.value or [], place, {}), place.problems


def brute_force(grid: list[tuple[str, list[Any]]]) -> list[dict[str, Any]]:
    """Counts through all combinations like an odometer, the last wheel fastest."""
    total = 1
    for _, choices in grid:
        total *= len(choices)
    combinations = []
    for number in range(total):
        rest, picked = number, []
        for name, choices in reversed(grid):
            rest, position = divmod(rest, len(choices))
            picked.append((name, choices[position]))
        made: dict[str, Any] = {}
        for name, value in reversed(picked):
            made[name] = value
        combinations.append(made)
    return combinations


@given(grids)
def test_all_combinations_in_order(grid: list[tuple[str, list[Any]]]) -> None:
    items = [{name: {"values": choices}} for name, choices in grid]
    found, problems = expansion(yaml.safe_dump(items))
    assert [list(one.items()) for one in found] == [list(one.items()) for one in brute_force(grid)]
    assert not problems.errors


def test_no_hyperparameters_are_one_empty_combination() -> None:
    assert expansion("[]")[0] == [{}]


def test_a_text_is_taken_letter_by_letter() -> None:
    found, problems = expansion("- a: {values: xyz}\n")
    assert found == [{"a": "x"}, {"a": "y"}, {"a": "z"}]
    assert "write `values: ['xyz']`" in str(problems.warnings[0])


def test_of_a_mapping_the_keys_are_taken() -> None:
    found, problems = expansion("- a: {values: {x: 1, y: 2}}\n")
    assert found == [{"a": "x"}, {"a": "y"}]
    assert len(problems.warnings) == 1


def test_of_two_keys_in_one_item_the_last_counts() -> None:
    found, problems = expansion("- a: {values: [1]}\n  b: {values: [2, 3]}\n")
    assert found == [{"b": 2}, {"b": 3}]
    assert "only the last of 'a', 'b' counts" in str(problems.warnings[0])


def test_a_name_given_twice_multiplies_and_the_last_wins() -> None:
    found, problems = expansion("- a: {values: [1, 2]}\n- b: {values: [0]}\n- a: {values: [3, 4]}\n")
    assert [list(one.items()) for one in found] == [[("a", a), ("b", 0)] for a in (3, 4, 3, 4)]
    assert "'a' is given twice" in str(problems.warnings[0])


def test_numbers_that_yaml_reads_as_text_are_told() -> None:
    text = "- lr:\n    values:\n      - 1e-7\n      - 1.0e-7\n      - -5E3\n      - 2.5e3\n      - e3\n"
    found, problems = expansion(text)
    assert found == [{"lr": "1e-7"}, {"lr": 1e-7}, {"lr": "-5E3"}, {"lr": "2.5e3"}, {"lr": "e3"}]
    assert [(w.line, w.text) for w in problems.warnings] == [
        (3, "YAML 1.1 reads 1e-7 as text; write 1.0e-7 if a number is meant"),
        (5, "YAML 1.1 reads -5E3 as text; write -5.0e+3 if a number is meant"),
        (6, "YAML 1.1 reads 2.5e3 as text; write 2.5e+3 if a number is meant"),
    ]


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{:e}", "{:.0e}", "{:E}"]), st.booleans())
def test_the_number_that_is_proposed_is_read_as_that_number(number: float, form: str, signed: bool) -> None:
    written = form.format(number)
    written = written if signed else written.replace("+", "")
    found, problems = expansion(f"- lr: {{values: [{written}]}}\n")
    if isinstance(found[0]["lr"], str):
        (warning,) = problems.warnings
        proposed = warning.text.split("write ")[1].split(" ")[0]
        assert yaml.safe_load(proposed) == float(written)
    else:
        assert not problems.warnings


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("- a: {values: []}\n", 1, "[0].a.values", "must not be empty"),
        ("- a: {values: ''}\n", 1, "[0].a.values", "must not be empty"),
        ("- a: {values: 5}\n", 1, "[0].a.values", "write `values: [5]`"),
        ("- a: {values: }\n", 1, "[0].a.values", "must be a list, not empty"),
        ("- a: {value: [1]}\n", 1, "[0].a", "has no `values`"),
        ("- b: {values: [1]}\n- a: [1]\n", 2, "[1].a", "has no `values`"),
        ("- a\n", 1, "[0]", "must be `name: {values: [...]}`, not 'a' (text)"),
        ("- {}\n", 1, "[0]", "must be `name: {values: [...]}`, not {} (a mapping)"),
        ("- on: {values: [1]}\n", 1, "[0]", "YAML reads this name as True (a truth value); write it in quotes"),
    ],
)
def test_what_ianvs_would_stumble_over_is_refused(text: str, line: int, key: str, says: str) -> None:
    _, problems = expansion(text)
    (found,) = problems.errors
    assert (found.line, found.key) == (line, key)
    assert says in found.text


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text("x: 1\ny: {deep: [1, 2]}\n")
    (tmp_path / "two.yml").write_text("y: 2\nz: 3\n")
    return tmp_path


def test_base_files_are_merged_in_order_below_listed_values(base: Path) -> None:
    text = "- z: {values: [8, 9]}\n- other_hyperparameters: {values: [one.yaml, two.yml]}\n- n: {values: [0]}\n"
    found, problems = expansion(text)
    assert [list(one.items()) for one in found] == [[("x", 1), ("y", 2), ("z", z), ("n", 0)] for z in (8, 9)]
    assert not problems.errors


def test_base_files_are_handed_on(base: Path) -> None:
    place = Place(parse_yaml(b"- other_hyperparameters: {values: [one.yaml]}\n", "algorithm.yaml"), Problems())
    files: dict[str, Document] = {}
    assert expand(place.document.value, place, files) == [{"x": 1, "y": {"deep": [1, 2]}}]
    assert files["one.yaml"].text.startswith("x: 1")


def test_no_base_files_are_an_empty_base() -> None:
    found, problems = expansion("- other_hyperparameters: {values: []}\n")
    assert found == [{}]
    assert not problems.errors


@pytest.mark.parametrize(
    ("values", "path", "line", "says"),
    [
        ("[none.yaml]", "algorithm.yaml", 1, "none.yaml: there is no such file"),
        ("[one.txt]", "algorithm.yaml", 1, "one.txt: there is no such file"),
        ("[list.yaml]", "algorithm.yaml", 1, "must name a YAML file that holds a mapping"),
        ("[5]", "algorithm.yaml", 1, "must name a YAML file that holds a mapping, not 5"),
        ("[twice.yaml]", "twice.yaml", 2, "key 'a' is given twice"),
        ("[odd.yaml]", "odd.yaml", 2, "YAML reads this name as True (a truth value)"),
    ],
)
def test_base_files_that_cannot_be_used_are_told(base: Path, values: str, path: str, line: int, says: str) -> None:
    (base / "list.yaml").write_text("- a\n")
    (base / "twice.yaml").write_text("a: 1\na: 2\n")
    (base / "odd.yaml").write_text("a: 1\non: 2\n")
    _, problems = expansion(f"- other_hyperparameters: {{values: {values}}}\n")
    (found,) = problems.errors
    assert (found.path, found.line) == (path, line)
    assert says in found.text
