"""Reading a test environment and checking its data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ianvs_collab.configuration.problems import Place, Problems
from ianvs_collab.configuration.yamlfile import parse_yaml
from ianvs_collab.testenv.dataset import Use
from ianvs_collab.testenv.testenvmanager import TestEnvManager

ITEMS = '{"question": "q", "answer": "a"}\n'
BOTH = Use(train=True)
TEST_ONLY = Use(train=False)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some data of each kind, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_text(ITEMS)
    (tmp_path / "good.txt").write_text("a.npy 0\n")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "bad.jsonl").write_text(ITEMS + '{"question": "q"}\n')
    (tmp_path / "two.jsonl").write_text('{"prompt": "p", "response": "r"}\n')
    for name in ("good.csv", "good.json", "good.parquet"):
        (tmp_path / name).write_text("x")
    return tmp_path


def read(dataset: str, extra: str = "", strict: bool = False) -> tuple[TestEnvManager | None, Problems]:
    text = f"testenv:\n  dataset: {dataset}\n  metrics: [{{name: m, url: m.py}}]\n{extra}"
    place = Place(parse_yaml(text.encode(), "env.yaml"), Problems(strict))
    return TestEnvManager.read(place), place.problems


def data_problems(dataset: str, use: Use = BOTH) -> list[str]:
    testenv, problems = read(dataset)
    assert testenv is not None
    testenv.check_data(use)
    return [str(problem) for problem in problems.errors]


GOOD = "{train_data: good.jsonl, test_data: good.jsonl}"


def test_defaults_are_ianvs_s() -> None:
    testenv, problems = read(GOOD)
    assert testenv is not None
    assert testenv.options == {
        "model_eval": {"model_metric": {"mode": "", "name": "", "url": ""}, "threshold": 0.9, "operator": ">"},
        "incremental_rounds": 2,
        "round": 1,
        "client_number": 1,
        "use_gpu": False,
    }
    assert not problems.warnings


def test_other_keys_are_kept_for_the_paradigm() -> None:
    testenv, problems = read(GOOD, "  if_mode_llm: true\n  gpu_num: 2\n  my_own_option: {a: 1}\n  round: 3\n")
    assert testenv is not None
    assert testenv.options.items() >= {"if_mode_llm": True, "gpu_num": 2, "my_own_option": {"a": 1}, "round": 3}.items()
    assert not problems.warnings


@pytest.mark.parametrize("strict", [False, True])
def test_a_key_that_looks_misspelt_is_told(strict: bool) -> None:
    testenv, problems = read(GOOD, "  hard_example_minning_mode: x\n", strict)
    assert testenv is not None
    assert testenv.options["hard_example_minning_mode"] == "x"
    (found,) = problems.errors if strict else problems.warnings
    assert (found.line, "did you mean 'hard_example_mining_mode'?" in found.text) == (4, True)


def test_misspelt_keys_of_dataset_and_metrics_are_told() -> None:
    text = "testenv:\n  dataset: {train_dat: x}\n  metrics: [{name: m, ulr: m.py}]\n"
    place = Place(parse_yaml(text.encode(), "env.yaml"), Problems())
    TestEnvManager.read(place)
    found = [problem.text for problem in place.problems.warnings]
    assert ["'train_data'" in found[0], "'url'" in found[1], len(found)] == [True, True, 2]


def test_a_workspace_cannot_stand_in_the_testenv() -> None:
    _, problems = read(GOOD, "  workspace: x\n")
    assert [(p.line, p.key) for p in problems.errors] == [(4, "testenv.workspace")]


@pytest.mark.parametrize(
    ("extra", "key"),
    [("  incremental_rounds: 1\n", "incremental_rounds"), ("  incremental_rounds: '2'\n", "incremental_rounds")],
)
def test_incremental_rounds_are_checked_for_every_paradigm(extra: str, key: str) -> None:
    testenv, problems = read(GOOD, extra)
    assert testenv is None
    assert [p.key for p in problems.errors] == [f"testenv.{key}"]


@pytest.mark.parametrize("metrics", ["", "metrics: []", "metrics:", "metrics: [{url: m.py}]", "metrics: [m]"])
def test_metrics_are_required(metrics: str) -> None:
    place = Place(parse_yaml(f"testenv:\n  dataset: {GOOD}\n  {metrics}\n".encode(), "env.yaml"), Problems())
    assert TestEnvManager.read(place) is None
    assert place.problems.errors[0].key.startswith("testenv.metrics")


def test_a_file_without_testenv_is_refused() -> None:
    place = Place(parse_yaml(b"test_env: {}\n", "env.yaml"), Problems())
    assert TestEnvManager.read(place) is None
    assert "has no section `testenv:`" in str(place.problems.errors[0])


def test_good_data_pass() -> None:
    (Path.cwd() / "metadata.json").write_text(
        json.dumps({"dataset": "d", "dataset_name": "d", "description": "d", "level_1_dim": "1", "level_2_dim": "2"})
    )
    (Path.cwd() / "data.jsonl").write_text(
        json.dumps({"prompt": "p", "query": "q", "response": "r", "level_3_dim": "3", "level_4_dim": "4"}) + "\n"
    )
    assert data_problems(GOOD) == []
    assert data_problems("{train_index: good.txt, test_data_info: metadata.json}") == []


@pytest.mark.parametrize(
    ("dataset", "key", "says"),
    [
        ("{train_data: good.jsonl, test_data: none.jsonl}", "test_data", "there is no file 'none.jsonl'"),
        ("{train_data: good.jsonl, test_data: /none.jsonl}", "test_data", "there is no file '/none.jsonl'"),
        ("{train_data: good.jsonl, test_data: good.parquet}", "test_data", "has no known format"),
        ("{train_data: good.jsonl, test_data: good.csv}", "test_data", "cannot be read as data"),
        ("{train_data: good.jsonl, test_data: good.txt}", "test_data", "belongs under `test_index`"),
        ("{train_data: good.jsonl, test_index: good.jsonl}", "test_index", "belongs under `test_data`"),
        ("{train_data: good.jsonl, test_index: good.json}", "test_index", "cannot be read as an index"),
        ("{train_data: good.jsonl, test_data_info: good.jsonl}", "test_data_info", "called exactly metadata.json"),
        ("{train_data: good.jsonl, test_data: empty.jsonl}", "test_data", "is empty"),
        ("{train_data: good.jsonl, test_index: empty.txt}", "test_index", "is empty"),
        ("{train_data: good.jsonl, test_data: bad.jsonl}", "test_data", "bad.jsonl"),
        ("{train_data: good.jsonl}", "", "names no test data; add `test_data: <file>.jsonl`"),
        ("{test_data: good.jsonl}", "", "names no train data"),
        ("{test_data: good.jsonl, train_url: good.jsonl}", "", "`train_url` is not read, rename it to `train_data:"),
        ("{train_data_info: good.jsonl, test_data: good.jsonl}", "train_data_info", "called exactly metadata.json"),
        ("{train_data: bad.jsonl, test_data: good.jsonl}", "train_data", "bad.jsonl"),
    ],
)
def test_bad_data_are_refused(dataset: str, key: str, says: str) -> None:
    (found,) = data_problems(dataset)
    assert found.startswith(f"env.yaml:2: testenv.dataset{'.' + key if key else ''}: ")
    assert says in found


def test_a_line_without_an_answer_is_named() -> None:
    (found,) = data_problems("{train_data: good.jsonl, test_data: bad.jsonl}")
    assert "2" in found
    assert "answer" in found


def test_of_index_data_and_info_the_first_counts() -> None:
    assert data_problems("{train_data: good.jsonl, test_index: good.txt, test_data: bad.jsonl}") == []


@pytest.mark.parametrize("train", ["bad.jsonl", "empty.jsonl", "good.csv"])
def test_training_data_that_nobody_reads_may_be_anything(train: str) -> None:
    assert data_problems(f"{{train_data: {train}, test_data: good.jsonl}}", TEST_ONLY) == []


def test_training_data_that_nobody_reads_must_be_there_all_the_same() -> None:
    testenv, problems = read("{train_data: /none.jsonl, test_data: good.jsonl}")
    assert testenv is not None
    testenv.check_data(TEST_ONLY)
    assert (len(problems.errors), len(problems.warnings)) == (0, 1)
    assert len(data_problems("{train_data: none.jsonl, test_data: good.jsonl}", TEST_ONLY)) == 1


def test_fine_tuning_data_may_have_any_keys() -> None:
    dataset = "{train_data: two.jsonl, test_data: two.jsonl}"
    assert len(data_problems(dataset)) == 2
    assert data_problems(dataset, Use(train=True, question_keys=False)) == []
    assert len(data_problems("{train_data: empty.jsonl, test_data: two.jsonl}", Use(True, False))) == 1
