"""Reading YAML: values as PyYAML's SafeLoader has them, lines, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.configuration.yamlfile import YamlError, dotted, parse_yaml, read_yaml

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)


def refusal(text: str | bytes, path: str = "job.yaml") -> YamlError:
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(YamlError) as caught:
        parse_yaml(content, path)
    return caught.value


@given(values, st.booleans())
def test_values_are_safe_loader_s(value: Any, flow: bool) -> None:
    content = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True).encode()
    assert parse_yaml(content, "x.yaml").value == yaml.safe_load(content)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-7", "1e-7"), ("on", True), ("017", 15), ("12:30:45", 45045), ("1.0e-7", 1e-7), ("~", None), ("", None)],
)
def test_yaml_is_version_1_1(text: str, value: Any) -> None:
    assert parse_yaml(text.encode(), "x.yaml").value == value


def walk(value: Any, location: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [location] + [deeper for step, child in pairs for deeper in walk(child, (*location, step))]


@given(
    st.recursive(
        st.integers(),
        lambda c: (
            st.lists(c, max_size=3)
            | st.dictionaries(
                st.from_regex("[a-z]{1,3}", fullmatch=True).filter(lambda k: yaml.safe_load(k) == k), c, max_size=3
            )
        ),
    )
)
def test_every_value_is_found_at_the_line_where_it_is_written(value: Any) -> None:
    content = yaml.safe_dump(value, default_flow_style=False, sort_keys=False)
    document = parse_yaml(content.encode(), "x.yaml")
    lines = [document.line(location) for location in walk(value)]
    assert lines == sorted(lines)
    for location in walk(value):
        if location and isinstance(location[-1], str):
            assert f"{location[-1]}:" in content.splitlines()[document.line(location) - 1]


def test_lines_of_nested_values() -> None:
    document = parse_yaml(b"a:\n  - b: 1\n    c:\n      - 2\n      - 3\nd: {e: 4}\n", "x.yaml")
    assert document.line(("a",)) == 1
    assert document.line(("a", 0, "c")) == 3
    assert document.line(("a", 0, "c", 1)) == 5
    assert document.line(("d", "e")) == 6


def test_the_line_of_what_is_missing_is_that_of_what_surrounds_it() -> None:
    document = parse_yaml(b"a:\n  b:\n    c: 1\n", "x.yaml")
    assert document.line(("a", "b", "missing", 3)) == 2
    assert document.line(("a", 7)) == 1
    assert parse_yaml(b"", "x.yaml").line(("a",)) == 1


def test_a_list_is_no_longer_than_it_is() -> None:
    assert parse_yaml(b"a:\n  - 1\n", "x.yaml").line(("a", 5)) == 1


def test_merged_keys_lead_to_where_they_are_written() -> None:
    document = parse_yaml(b"base: &b\n  x: 1\n  y: 2\nuse:\n  <<: *b\n  y: 3\n", "x.yaml")
    assert document.value["use"] == {"x": 1, "y": 3}
    assert document.line(("use", "x")) == 2
    assert document.line(("use", "y")) == 6


def test_keys_given_twice_are_refused_with_both_lines() -> None:
    error = refusal("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n")
    assert sorted(error.found) == [
        (5, "key 'c' is given twice, first in line 3; remove one of the two"),
        (6, "key 'a' is given twice, first in line 1; remove one of the two"),
    ]
    assert "job.yaml:6: key 'a' is given twice" in str(error)


def test_keys_given_twice_in_one_line_are_refused() -> None:
    assert refusal("a: {b: 1, b: 1}").found == [(1, "key 'b' is given twice, first in line 1; remove one of the two")]


def test_a_key_given_three_times_is_reported_twice() -> None:
    assert [line for line, _ in refusal("a: 1\na: 1\na: 1\n").found] == [2, 3]


@pytest.mark.parametrize(
    "text", ["- {a: 1}\n- {a: 2}\n", "a: {a: 1}", "1: x\n'1': y\n", "a: &x {b: 1}\nc: *x\nd: *x\n"]
)
def test_equal_keys_of_different_mappings_or_types_are_fine(text: str) -> None:
    assert parse_yaml(text.encode(), "x.yaml").value == yaml.safe_load(text)


def test_overriding_a_merged_key_is_not_doubling_it() -> None:
    assert parse_yaml(b"a: &a {x: 1}\nb: {<<: *a, x: 2}\n", "x.yaml").value["b"] == {"x": 2}


def test_an_alias_that_leads_back_is_survived() -> None:
    document = parse_yaml(b"a: &a [1, *a]\n", "x.yaml")
    assert document.value["a"][1] is document.value["a"]


def test_nested_aliases_do_not_take_exponential_time() -> None:
    levels = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert parse_yaml("\n".join(levels).encode(), "x.yaml").line(("a59", 1)) == 59


def test_keys_that_are_no_scalars_are_left_to_the_parser() -> None:
    assert "unhashable" in refusal("? [a]\n: 1\n").found[0][1]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\n\tb: 2\n", 2, "indent with spaces, not with tabs"),
        ("a: 1\n---\nb: 2\n", 2, "expected a single document"),
        ("a: [1,\nb: 2\n", 3, "while parsing a flow sequence"),
        ("a: 1\nb: !!python/object:os.system {}\n", 2, "could not determine a constructor"),
        ("a: 1\nb: 2025-02-30\n", 2, "day"),
        ("a: *nowhere\n", 1, "undefined alias"),
        (b"a: 1\nb: \xff\n", 2, "save the file as UTF-8"),
        ("a: 1\nb: \x00\n", 2, "save the file as UTF-8"),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text: str | bytes, line: int, says: str) -> None:
    ((found, message),) = refusal(text).found
    assert found == line
    assert says in message
    assert "\n" not in message


def test_a_file_nested_too_deeply_is_refused() -> None:
    assert refusal("[" * 5000).found == [(0, "is nested too deeply")]


def test_a_file_is_read_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_bytes("a: \u00fc\r\n".encode("utf-16"))
    assert read_yaml(str(path)).value == {"a": "\u00fc"}


@pytest.mark.parametrize("name", ["x.YAML", "x.txt", "x", "x.yaml.bak"])
def test_the_name_must_end_in_yaml_or_yml(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a: 1")
    with pytest.raises(YamlError, match="rename it to end in .yaml or .yml") as caught:
        read_yaml(str(tmp_path / name))
    assert caught.value.misnamed


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(YamlError, match="there is no such file") as caught:
            read_yaml(str(path))
        assert caught.value.misnamed


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(YamlError, match="cannot be read: Permission denied"):
        read_yaml(str(path))


def test_locations_are_written_with_dots_and_brackets() -> None:
    assert dotted(("testenv", "metrics", 2, "name")) == "testenv.metrics[2].name"
    assert dotted(()) == ""
    assert dotted((0, "a")) == "[0].a"
