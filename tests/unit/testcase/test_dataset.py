from __future__ import annotations

import json

import pytest

from ianvs_collab.testcase.dataset import Dataset, file_format
from ianvs_collab.testenv.schema import DatasetSpec


def dataset(tmp_path, train="train.jsonl", test="test.jsonl", limit=None, label=None):
    return Dataset(DatasetSpec(train_data=train, test_data=test, label=label), tmp_path / "scratch", limit)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_words_beside_relative_ones_become_absolute_and_so_do_labels_as_in_ianvs(folder):
    (folder / "data").mkdir()
    (folder / "data" / "mask.png").touch()
    (folder / "data" / "index.txt").write_text("a.png 0\n\n/abs/b.png\t1\n../c.png mask.png\n")
    data = dataset(folder, "data/index.txt", "data/index.txt").load_test("eval")
    assert list(data.x) == [f"{folder}/data/a.png", "/abs/b.png", f"{folder}/c.png"]
    assert list(data.y) == [f"{folder}/data/0", f"{folder}/data/1", f"{folder}/data/mask.png"]


def test_absolute_indices_are_read_as_they_are(folder):
    (folder / "index.txt").write_text("/a 0\n\n/b 1\n")
    data = dataset(folder, "index.txt", "index.txt")
    assert data.test_file == "index.txt"
    assert not (folder / "scratch").exists()
    assert list(data.load(data.train_file, "train").y) == ["0", "1"]


def test_the_users_index_is_not_rewritten(folder):
    (folder / "index.txt").write_text("a 0\n")
    data = dataset(folder, "index.txt", "index.txt")
    assert data.test_file != data.train_file != "index.txt"
    assert (folder / "index.txt").read_text() == "a 0\n"


@pytest.mark.parametrize("part", ["train", "test"])
def test_missing_entries(folder, part):
    entries = {"train": "a.jsonl", "test": "a.jsonl", part: None}
    with pytest.raises(ValueError, match=f"not one of {part}_index/{part}_data/{part}_data_info"):
        dataset(folder, **entries)


def test_csv_has_its_label(folder):
    (folder / "test.csv").write_text("a,b,c\n1,2,3\n4,5,6\n7,8,9\n")
    data = dataset(folder, "test.csv", "test.csv", limit=2, label="b")
    assert list(data.y_true()) == [2, 5]
    assert data.load_test("inference").x["c"].tolist() == [3, 6]


def test_json_is_sednas_affair(folder):
    (folder / "test.json").write_text("{}")
    with pytest.raises(NameError, match="COCO"):
        dataset(folder, test="test.json").load_test("eval")


def test_unknown_formats(folder):
    with pytest.raises(ValueError, match=r"dataset file\(test.parquet\)'s format\(parquet\) is not supported"):
        dataset(folder, test="test.parquet").load_test("eval")


def test_limit_shortens_all_columns_and_nothing_else(folder):
    (folder / "metadata.json").write_text(
        json.dumps({"dataset": "four", "description": "four", "level_1_dim": "1", "level_2_dim": "2"})
    )
    rows = [{"query": f"q{i}", "response": f"r{i}", "level_3_dim": "3", "level_4_dim": f"s{i}"} for i in range(4)]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = dataset(folder, "metadata.json", "metadata.json", limit=3).load_test("inference")
    assert list(data.x) == ["q0", "q1", "q2"]
    assert list(data.level_4) == ["s0", "s1", "s2"]
    assert data.dataset_name == "four"
    assert data.need_other_info is True
    assert len(dataset(folder, "metadata.json", "metadata.json", limit=9).y_true()) == 4
    assert len(dataset(folder, "metadata.json", "metadata.json").load("metadata.json", "train").x) == 4


def test_labels_follow_the_test_file(folder):
    for name in ("one", "two"):
        (folder / f"{name}.jsonl").write_text(f'{{"question": "q", "answer": "{name}"}}\n')
    data = dataset(folder, "one.jsonl", "one.jsonl")
    assert list(data.y_true()) == ["one"]
    data.test_file = "two.jsonl"
    assert list(data.y_true()) == ["two"]


@pytest.mark.parametrize(
    ("file", "form"),
    [("a/metadata.json", "metadata.json"), ("a/metadata.txt", "txt"), ("data.json", "json"), ("x.tar.jsonl", "jsonl")],
)
def test_file_format(file, form):
    assert file_format(file) == form
