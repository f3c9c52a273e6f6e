from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.routing import RouterError
from ianvs_collab.routing.traces import Side, Trace, TraceRow, read_trace, write_trace

numbers = st.floats(allow_nan=False, allow_infinity=False)
amounts = st.none() | st.floats(0, 1e6)
counts = st.none() | st.integers(0, 10**6)
# any text there is, lone halves of surrogate pairs and line separators among them
texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["", "NA", "None", "a\u2028b\u0085c\r\nd", "\ud800"]
)


@st.composite
def sides(draw: st.DrawFn) -> Side:
    samples = draw(st.lists(numbers, max_size=3))
    letters = [draw(texts) for _ in samples] if draw(st.booleans()) else []
    return Side(
        quality=draw(numbers),
        completion=draw(st.none() | texts),
        answer=draw(st.none() | texts),
        outcome=draw(st.sampled_from(["ok", "unparsed", "error", "timeout"])),
        prompt_tokens=draw(counts),
        completion_tokens=draw(counts),
        prefill_seconds=draw(amounts),
        total_seconds=draw(amounts),
        logprobs=draw(st.none() | st.lists(numbers, max_size=3).map(tuple)),
        samples=tuple(samples),
        sample_answers=tuple(letters),
    )


rows = st.builds(
    TraceRow,
    query_id=texts,
    text=texts,
    edge=sides(),
    cloud=sides(),
    subject=texts,
    language=texts,
    gold=st.none() | texts,
    request_bytes=counts,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(rows, min_size=1, max_size=3, unique_by=lambda row: row.query_id), st.text(st.characters(codec="utf-8"))
)
def test_whatever_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, made: Any, name: str) -> None:
    folder = tmp_path_factory.mktemp("trace")
    written = Trace(made, name, {"edge": {"model": "x"}})
    write_trace(written, folder)
    assert read_trace(folder) == written


def test_a_folder_holds_two_files_and_no_drafts(trace: Trace, tmp_path: Path) -> None:
    write_trace(trace, tmp_path / "new" / "folder")
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == ["trace.json", "trace.jsonl"]
    about = json.loads((tmp_path / "new" / "folder" / "trace.json").read_text())
    assert about == {"name": "four", "queries": 4, "source": "test"}


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    write_trace(Trace([TraceRow("q", "text", Side(1), Side(0))]), tmp_path)
    line = json.loads((tmp_path / "trace.jsonl").read_text())
    assert line == {"query_id": "q", "text": "text", "edge": {"quality": 1}, "cloud": {"quality": 0}}


@pytest.mark.parametrize("field", ["quality", "logprobs"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_has_no_word_for_is_refused(field: str, value: float, tmp_path: Path) -> None:
    side = Side(value) if field == "quality" else Side(1, logprobs=(value,))
    with pytest.raises(RouterError, match="query 'q': a number is not finite"):
        write_trace(Trace([TraceRow("q", "t", side, Side(1))]), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "trace holds no row"), (("a", "b", "a"), r"3: the id 'a' occurs twice \(first in row 1\)")],
)
def test_a_trace_has_rows_and_no_two_of_one_query(
    names: tuple[str, ...], message: str, row: Callable[..., TraceRow], tmp_path: Path
) -> None:
    with pytest.raises(RouterError, match=message):
        write_trace(Trace([row(name) for name in names]), tmp_path)


def damage(folder: Path, change: Callable[[str], str], file: str = "trace.jsonl") -> Path:
    path = folder / file
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def edited(**fields: Any) -> Callable[[str], str]:
    """Changes fields of the second row; `edge__quality=2` sets the edge's quality."""

    def change(text: str) -> str:
        lines = text.splitlines(keepends=True)
        content = json.loads(lines[1])
        for name, value in fields.items():
            target, _, key = name.rpartition("__")
            (content[target] if target else content)[key] = value
        lines[1] = json.dumps(content) + "\n"
        return "".join(lines)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-5], r"trace.jsonl:4: the line is cut off.*--resume"),
        (lambda text: "".join(text.splitlines(keepends=True)[:3]), r"holds 3 of 4 queries.*--resume"),
        (lambda text: text + text.splitlines(keepends=True)[1], r"trace.jsonl:5: the id 'q1' occurs twice"),
        (lambda text: "", r"trace.jsonl holds no row"),
        (lambda text: "{\n" + text, r"trace.jsonl:1: not a row of a trace: Expecting"),
        (lambda text: "[]\n" + text, r"trace.jsonl:1: not a row of a trace: the line must be an object, not \[\]"),
        (edited(edge={}), r"jsonl:2: not a row of a trace: edge.quality is missing"),
        (edited(edge=3), r"edge must be an object, not 3"),
        (edited(edge__quality="1"), r"edge.quality must be a finite number, not '1'"),
        (edited(edge__quality=True), r"edge.quality must be a finite number, not True"),
        (edited(cloud__quality=float("nan")), r"NaN is no finite number"),
        (edited(cloud__qualty=1), r"unknown field cloud.qualty; did you mean 'quality'\?"),
        (edited(zzz=1), r"unknown field zzz$"),
        (edited(text=None), r"text must be a text, not None"),
        (edited(edge__outcome="fine"), r"edge.outcome must be one of ok, unparsed, error, timeout, not 'fine'"),
        (edited(edge__prompt_tokens=1.5), r"edge.prompt_tokens must be a whole number from 0 up, not 1.5"),
        (edited(edge__total_seconds=-1), r"edge.total_seconds must be a number from 0 up, not -1"),
        (edited(edge__logprobs=-1), r"edge.logprobs must be a list of finite numbers, not -1"),
        (edited(edge__logprobs=["a"]), r"edge.logprobs must be a finite number, not \['a'\]"),
        (edited(edge__sample_answers="AB"), r"edge.sample_answers must be a list of texts"),
        (
            edited(edge__samples=[1.0], edge__sample_answers=["A", "B"]),
            r"edge.sample_answers and edge.samples are of unequal lengths",
        ),
    ],
)
def test_every_damage_is_told_with_its_place(
    change: Callable[[str], str], message: str, trace: Trace, tmp_path: Path
) -> None:
    write_trace(trace, tmp_path)
    with pytest.raises(RouterError, match=message):
        read_trace(damage(tmp_path, change))


def test_a_row_without_its_query_is_refused(trace: Trace, tmp_path: Path) -> None:
    write_trace(trace, tmp_path)
    damage(tmp_path, lambda text: text.replace('"query_id": "q1", ', ""))
    with pytest.raises(RouterError, match="jsonl:2: not a row of a trace: query_id is missing"):
        read_trace(tmp_path)


def test_a_line_that_is_no_utf8_is_refused(trace: Trace, tmp_path: Path) -> None:
    write_trace(trace, tmp_path)
    path = tmp_path / "trace.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Question q2", b"Question \xff"))
    with pytest.raises(RouterError, match="jsonl:3: not a row of a trace: 'utf-8' codec"):
        read_trace(tmp_path)


def test_an_interrupted_recording_is_read_as_far_as_it_goes_if_asked_for(trace: Trace, tmp_path: Path) -> None:
    write_trace(trace, tmp_path)
    damage(tmp_path, lambda text: text[:-5])
    assert [row.query_id for row in read_trace(tmp_path, partial=True)] == ["q0", "q1", "q2"]


@pytest.mark.parametrize(("text", "message"), [("{", "trace.json is not JSON"), ("[]", "is no JSON object")])
def test_a_damaged_description_is_told(text: str, message: str, trace: Trace, tmp_path: Path) -> None:
    write_trace(trace, tmp_path)
    with pytest.raises(RouterError, match=message):
        read_trace(damage(tmp_path, lambda _: text, "trace.json"))


def test_a_missing_trace_names_the_commands_that_make_one(tmp_path: Path) -> None:
    with pytest.raises(RouterError, match=r"No such file or directory; `ianvs trace record`"):
        read_trace(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_made_is_told(trace: Trace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RouterError, match="check the path"):
        write_trace(trace, tmp_path / "file" / "folder")


def test_seven_thousand_rows_are_one_trace(tmp_path: Path) -> None:
    many = [TraceRow(f"q{i}", "text " * 60, Side(i % 2), Side(1)) for i in range(7000)]
    write_trace(Trace(many, "many"), tmp_path)
    assert list(read_trace(tmp_path)) == many
