"""Recorded correctness: a CSV file that says of MMLU questions whether either model got them right.

Columns are `subject`, `row` (of `<mmlu>/test/<subject>_test.csv`, from 0), `edge_correct` and `cloud_correct` (1 or 0).
The texts come from the MMLU files; no answer, token count or time is known.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

from ianvs_collab.datasets.mmlu import LAYOUT, read_mmlu
from ianvs_collab.datasets.prompts import option_lines
from ianvs_collab.datasets.question import Question, content_hash
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.hints import did_you_mean
from ianvs_collab.routing.traces.file import check_rows
from ianvs_collab.routing.traces.trace import Side, Trace, TraceRow

COLUMNS = ("subject", "row", "edge_correct", "cloud_correct")


def read_correctness(file: str | Path, mmlu: str | Path, *, edge: str | None = None, cloud: str | None = None) -> Trace:
    """Join recorded correctness with the questions.

    Args:
        file: The CSV file.
        mmlu: Folder that holds MMLU's `test/`.
        edge: Name of the edge model, for the record.
        cloud: Name of the cloud model, for the record.

    Raises:
        RouterError: If the file is malformed, a question is not there, or one is listed twice.
        DatasetError: If the MMLU files are malformed.
    """
    path = Path(file)
    content = _read(path)
    questions = read_mmlu(mmlu, "test", allow_partial=True)
    by_place = {question.id: question for question in questions}
    subjects = {question.subject for question in questions}
    rows = [_row(values, by_place, subjects, f"{path}:{line}") for line, values in _lines(content, path)]
    check_rows(rows, path)
    provenance = {
        "source": "recorded correctness",
        "edge": {"model": edge},
        "cloud": {"model": cloud},
        "data_sha256": {path.name: hashlib.sha256(content.encode()).hexdigest()},
        "mmlu_content_sha256": content_hash(questions),
    }
    return Trace(rows, path.stem, provenance)


def _row(values: dict[str, str], questions: dict[str, Question], subjects: set[str], where: str) -> TraceRow:
    subject, number = values["subject"], values["row"]
    if subject not in subjects:
        hint = did_you_mean(subject, subjects)
        raise RouterError(f"{where}: there is no subject {subject!r} among the MMLU files{hint}")
    question = questions.get(f"{LAYOUT.name}-test-{subject}-{number}")
    if question is None:
        raise RouterError(f"{where}: {subject} has no row {number!r}; rows are counted from 0")
    edge, cloud = (Side(_correct(values, f"{side}_correct", where)) for side in ("edge", "cloud"))
    text = f"{question.question}\n{option_lines(question)}"
    return TraceRow(question.id, text, edge, cloud, subject, question.language, question.answer)


def _correct(values: dict[str, str], column: str, where: str) -> float:
    if values[column] not in ("0", "1"):
        raise RouterError(f"{where}: {column} must be 1 or 0, not {values[column]!r}")
    return float(values[column])


def _lines(content: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        header = tuple(next(reader, ()))
        if header != COLUMNS:
            raise RouterError(f"{path}:1: expected the header {','.join(COLUMNS)!r}, found {','.join(header)!r}")
        for row in reader:
            if len(row) != len(COLUMNS):
                raise RouterError(f"{path}:{reader.line_num}: expected {len(COLUMNS)} columns, found {len(row)}")
            yield reader.line_num, dict(zip(COLUMNS, row, strict=True))
    except csv.Error as error:
        raise RouterError(f"{path}:{reader.line_num}: not valid CSV: {error}") from error


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RouterError(f"{path}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise RouterError(f"{path}: not UTF-8 text ({error.reason}); save the file as UTF-8") from error
