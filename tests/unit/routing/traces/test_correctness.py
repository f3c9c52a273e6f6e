from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ianvs_collab.datasets.question import DatasetError
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.traces import read_trace, write_trace
from ianvs_collab.routing.traces.correctness import read_correctness

HEADER = "subject,row,edge_correct,cloud_correct\n"


@pytest.fixture
def mmlu(tmp_path: Path) -> Path:
    folder = tmp_path / "mmlu" / "test"
    folder.mkdir(parents=True)
    for subject in ("anatomy", "virology"):
        with (folder / f"{subject}_test.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[f"{subject} {n}?\nreally", "None", "NA", "c", "d", "B"] for n in range(3)])
    return tmp_path / "mmlu"


def recorded(tmp_path: Path, lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "recorded.csv"
    path.write_text(header + lines, encoding="utf-8")
    return path


def test_correctness_is_joined_with_the_questions(mmlu: Path, tmp_path: Path) -> None:
    trace = read_correctness(recorded(tmp_path, "virology,2,0,1\nanatomy,0,1,0\n"), mmlu, edge="small", cloud="large")
    first, second = trace
    assert (first.query_id, first.subject, first.gold) == ("mmlu-test-virology-2", "virology", "B")
    assert first.text == "virology 2?\nreally\nA. None\nB. NA\nC. c\nD. d"
    assert first.query()["choices"] == {"A": "None", "B": "NA", "C": "c", "D": "d"}
    assert (first.edge.quality, first.cloud.quality, second.edge.quality) == (0.0, 1.0, 1.0)
    assert (trace.provenance["edge"], trace.provenance["cloud"]) == ({"model": "small"}, {"model": "large"})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("virology,3,0,1\n", r"recorded.csv:2: virology has no row '3'; rows are counted from 0"),
        ("virology,one,0,1\n", r"virology has no row 'one'"),
        ("virologie,0,0,1\n", r"recorded.csv:2: there is no subject 'virologie'.*did you mean 'virology'"),
        ("zzz,0,0,1\n", r"there is no subject 'zzz' among the MMLU files$"),
        ("virology,0,2,1\n", r"recorded.csv:2: edge_correct must be 1 or 0, not '2'"),
        ("virology,0,0,\n", r"cloud_correct must be 1 or 0, not ''"),
        ("virology,0,0\n", r"recorded.csv:2: expected 4 columns, found 3"),
        ("virology,0,0,1\nanatomy,0,0,1\nvirology,0,0,1\n", r"the id 'mmlu-test-virology-0' occurs twice"),
        ('virology,0,0,"1\n', r"not valid CSV"),
        ("", r"recorded.csv holds no row"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(lines: str, message: str, mmlu: Path, tmp_path: Path) -> None:
    with pytest.raises(RouterError, match=message):
        read_correctness(recorded(tmp_path, lines), mmlu)


def test_another_header_is_refused(mmlu: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RouterError, match="recorded.csv:1: expected the header 'subject,row,edge_correct,cloud_correct'"
    ):
        read_correctness(recorded(tmp_path, "", "a,b\n"), mmlu)


def test_files_that_are_not_there_are_told(mmlu: Path, tmp_path: Path) -> None:
    with pytest.raises(RouterError, match="none.csv: No such file"):
        read_correctness(tmp_path / "none.csv", mmlu)
    (tmp_path / "latin.csv").write_bytes(b"\xff")
    with pytest.raises(RouterError, match="latin.csv: not UTF-8 text"):
        read_correctness(tmp_path / "latin.csv", mmlu)
    with pytest.raises(DatasetError, match="no such folder"):
        read_correctness(recorded(tmp_path, "virology,0,0,1\n"), tmp_path / "nowhere")


def test_the_published_half_of_mmlu_is_read_whole(data_root: Path, tmp_path: Path) -> None:
    path = data_root / "traces" / "mmlu_mixtral_gpt4.csv"
    trace = read_correctness(path, data_root / "mmlu")
    with path.open(newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert len(trace) == 7034
    assert [row.query_id for row in trace] == [f"mmlu-test-{one['subject']}-{one['row']}" for one in listed]
    assert trace.quality("edge").tolist() == [float(one["edge_correct"]) for one in listed]
    assert trace.quality("cloud").tolist() == [float(one["cloud_correct"]) for one in listed]
    write_trace(trace, tmp_path)
    assert list(read_trace(tmp_path)) == list(trace)
