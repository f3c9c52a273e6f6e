from __future__ import annotations

import json
from pathlib import Path

import pytest

from ianvs_collab.routing.traces import read_trace
from ianvs_collab.zoo.export import main, row_of, write_questions
from ianvs_collab.zoo.export import test_questions as held_out_questions
from ianvs_collab.zoo.generate import CELLS, balanced
from ianvs_collab.zoo.question import split_of

IANVS_KEYS = ["prompt", "query", "response", "explanation", *(f"level_{n}_dim" for n in range(1, 5))]


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "data.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_committed_test_set_is_written_again_bit_for_bit(tmp_path: Path, repository: Path) -> None:
    main(["--folder", str(tmp_path / "again")])
    for name in ("data.jsonl", "metadata.json"):
        committed = (repository / "testenv" / "nano" / "test_data" / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == committed, f"run python -m ianvs_collab.zoo.export ({name})"


def test_the_test_set_is_held_out_balanced_and_large_enough() -> None:
    questions = held_out_questions()
    assert len(questions) >= 1000
    assert {question.split for question in questions} == {"test"}
    assert {(q.subject, q.language) for q in questions[: len(CELLS)]} == set(CELLS)
    assert len({question.id for question in questions}) == len(questions)


def test_a_row_has_ianvs_keys_and_the_parts_of_the_question() -> None:
    (question, *_) = balanced("test", 1, seed=2)
    row = row_of(question)
    assert list(row)[: len(IANVS_KEYS)] == IANVS_KEYS
    assert row["prompt"] + row["query"] == question.prompt
    assert row["choices"][row["response"]] in row["explanation"]
    assert (row["level_3_dim"], row["level_4_dim"]) == (question.language, question.subject)
    assert row["id"] == question.id


def test_metadata_say_which_split_and_generator_it_is(tmp_path: Path) -> None:
    write_questions(tmp_path, balanced("train", 1, seed=9), "train", 9)
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert metadata["split"] == "train"
    assert metadata["seed"] == 9
    assert {"dataset_name", "description", "level_1_dim", "level_2_dim", "generator_version"} <= metadata.keys()


@pytest.mark.parametrize("name", ["train_data", "test_data"])
def test_committed_rows_belong_to_their_split(repository: Path, name: str) -> None:
    folder = repository / "testenv" / "nano" / name
    rows = rows_of(folder)
    assert json.loads((folder / "metadata.json").read_text())["split"] == name.removesuffix("_data")
    assert len({row["id"] for row in rows}) == len(rows) > 600


def test_committed_train_and_test_data_share_no_question(repository: Path) -> None:
    train, test = (rows_of(repository / "testenv" / "nano" / name) for name in ("train_data", "test_data"))
    assert not {row["query"] for row in train} & {row["query"] for row in test}
    sums = [row["question"] for row in train if row["level_4_dim"] == "addition"]
    assert len(sums) > 50
    for question in sums:
        first, _, second = question.removeprefix("What is ").split("?")[0].split(" ")[:3]
        assert split_of(f"addition|{first} + {second}") == "train"


def test_every_training_question_is_in_the_trace(repository: Path) -> None:
    folder = repository / "testenv" / "nano" / "train_data"
    trace = read_trace(folder)
    rows = rows_of(folder)
    assert [row.query_id for row in trace] == [row["id"] for row in rows]
    assert trace.subjects.tolist() == [row["level_4_dim"] for row in rows]
    for side in ("edge", "cloud"):
        assert set(trace.quality(side)) == {0.0, 1.0}
        assert all(getattr(row, side).logprobs for row in trace)
