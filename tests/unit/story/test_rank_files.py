"""The rank files against a second, independent reading of their rules made with pandas; and the corners one by one."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.story import RankConfig, RankRow, StoryError, StoryManager

ids = count()


def row(metrics: dict[str, Any] | None = None, **others: Any) -> RankRow:
    filled = {"algorithm": "routing", "paradigm": "jointinference", "time": "2026-01-31 12:00:00", **others}
    return RankRow(metrics=metrics or {}, **{"url": f"./workspace/job/routing/{next(ids)}", **filled})


def save(folder: Path, rows: Sequence[RankRow], config: RankConfig | None = None) -> None:
    StoryManager(config or RankConfig(), folder).save(rows)


def read(folder: Path, name: str = "all_rank") -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def header(folder: Path, name: str = "all_rank") -> list[str]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def column(folder: Path, name: str, file: str = "all_rank") -> list[str]:
    return [line[name] for line in read(folder, file)]


# --- the reference: one run at a time, as data frames ---------------------------------------------------------------


def names(rows: Sequence[RankRow], kind: str) -> list[str]:
    found: list[str] = []
    for one in rows:
        found += [name for name in getattr(one, kind) if name not in found]
    return found


def frame_of(rows: Sequence[RankRow], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(index=range(len(rows)), columns=columns, dtype=object)
    for place, one in enumerate(rows):
        cells = {"algorithm": one.algorithm, "paradigm": one.paradigm, "time": one.time, "url": one.url}
        cells |= {**one.metrics, **one.modules, **{name: str(value) for name, value in one.hyperparameters.items()}}
        for name, value in cells.items():
            frame.at[place, name] = np.nan if value is None else value
    for name in names(rows, "metrics"):
        values = [one.metrics.get(name) for one in rows]
        if values[0] is not None and not isinstance(values[0], bool):
            whole = all(value is not None and float(value).is_integer() for value in values)
            kind = int if isinstance(values[0], int) and whole else float
            frame[name] = pd.Series(values, dtype=float).astype(kind).astype(object)
    return frame


def reference(folder: Path, rows: Sequence[RankRow], config: RankConfig) -> None:
    metrics, modules, hps = (names(rows, kind) for kind in ("metrics", "modules", "hyperparameters"))
    frame = frame_of(rows, ["algorithm", *metrics, "paradigm", *modules, *hps, "time", "url"])
    path = folder / "all_rank.csv"
    if path.is_file():
        old = pd.read_csv(path, index_col=0, dtype=str, keep_default_na=False).replace("", np.nan).astype(object)
        frame = pd.concat([old, frame], ignore_index=True) if len(frame) else old
    numbers = frame.copy()
    for name in metrics:
        numbers[name] = pd.to_numeric(frame[name].astype(str), errors="coerce")
    keys = [(name, order == "ascend") for name, order in config.sort_by if name in metrics]
    if keys:
        order = numbers.sort_values([k for k, _ in keys], ascending=[a for _, a in keys], kind="stable").index
        frame, numbers = frame.loc[order], numbers.loc[order]
    if config.save_mode.startswith("selected_and_all"):
        numbered(frame).to_csv(path, index_label="rank", encoding="utf-8")
    chosen = [
        default if list(wanted) == ["all"] else list(wanted)
        for wanted, default in (
            (config.metrics, metrics),
            (config.modules, modules),
            (config.hyperparameters, hps),
        )
    ]
    columns = ["algorithm", *chosen[0], "paradigm", *chosen[1], *chosen[2]]
    first = ~numbers.reindex(columns=columns).duplicated()
    selected = frame.reindex(columns=[*columns, "time", "url"])[first]
    if list(config.paradigms) != ["all"]:
        selected = selected[selected["paradigm"].isin(config.paradigms)]
    numbered(selected).to_csv(folder / "selected_rank.csv", index_label="rank", encoding="utf-8")


def numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis(range(1, len(frame) + 1), axis=0)


scores = st.sampled_from([0.5, 0.25, 1, 3, 1e-17, 1.2345678901234568e17, math.inf, -1.0, None, math.nan]) | st.floats(
    0, 1
)
words = st.sampled_from(
    ["a", "b, c", 'say "x"', "two\nlines", "Zürich 北京", " padded ", "NA", "None", "1", "1.0", "007"]
)
settings_of = st.none() | st.booleans() | st.integers(0, 3) | st.floats(0, 1) | words | st.just([1, {"a": 2}])
rows_of_a_run = st.lists(
    st.builds(
        lambda algorithm, paradigm, metrics, modules, hps: row(
            metrics, algorithm=algorithm, paradigm=paradigm, modules=modules, hyperparameters=hps
        ),
        words,
        st.sampled_from(["jointinference", "singletasklearning"]),
        st.dictionaries(st.sampled_from(["Accuracy", "Latency", "Cost"]), scores),
        st.dictionaries(st.sampled_from(["edgemodel", "cloudmodel"]), words),
        st.dictionaries(st.sampled_from(["edgemodel-model", "cloudmodel-seed"]), settings_of),
    ),
    min_size=1,
    max_size=12,
)
configs = st.builds(
    RankConfig,
    sort_by=st.lists(
        st.tuples(st.sampled_from(["Accuracy", "Latency", "None such"]), st.sampled_from(["ascend", "up"]))
    ).map(lambda keys: tuple(dict(keys).items())),
    paradigms=st.sampled_from([("all",), ("jointinference",), ("unknown",)]),
    metrics=st.sampled_from([("all",), ("Cost", "Unknown", "Accuracy")]),
    modules=st.sampled_from([("all",), ("cloudmodel",)]),
    hyperparameters=st.sampled_from([("all",), (), ("cloudmodel-seed", "x-y")]),
    save_mode=st.sampled_from(["selected_and_all", "selected_only", "selected_and_all_and_picture"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(rows_of_a_run, configs), min_size=1, max_size=3))
def test_files_equal_those_of_the_reference(runs: list[tuple[list[RankRow], RankConfig]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours"), Path(folder, "theirs")
        theirs.mkdir()
        for rows, config in runs:
            manager = StoryManager(config, ours)
            for done in range(1, len(rows) + 1):
                manager.save(rows[:done], [one.url for one in rows])
            reference(theirs, rows, config)
        assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
        for path in ours.iterdir():
            assert path.read_text(encoding="utf-8") == (theirs / path.name).read_text(encoding="utf-8")


# --- the corners ----------------------------------------------------------------------------------------------------


def test_columns_stand_in_the_order_of_the_interface(tmp_path: Path) -> None:
    first = row({"B": 1, "A": 2}, modules={"edgemodel": "E"}, hyperparameters={"edgemodel-z": 1, "edgemodel-a": 2})
    second = row({"B": 1}, modules={"cloudmodel": "C", "edgemodel": "E"}, hyperparameters={"cloudmodel-m": 1})
    save(tmp_path, [first, second])
    expected = ["rank", "algorithm", "B", "A", "paradigm", "edgemodel", "cloudmodel"]
    expected += ["edgemodel-z", "edgemodel-a", "cloudmodel-m", "time", "url"]
    assert header(tmp_path) == header(tmp_path, "selected_rank") == expected
    assert read(tmp_path)[0]["cloudmodel-m"] == ""


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (1 / 3, "0.3333333333333333"),
        (1e-17, "1e-17"),
        (1.2345678901234568e17, "1.2345678901234568e+17"),
        (math.inf, "inf"),
        (math.nan, ""),
        (None, ""),
        (np.float32(1 / 3), "0.33333334"),
        (np.float64(0.1), "0.1"),
        (np.nan, ""),
        (np.int64(3), "3"),
        (3, "3"),
        (True, "True"),
        ({"a": 1}, "{'a': 1}"),
        ([1, 2], "[1, 2]"),
        (np.array([1.0, 2.0]), "[1. 2.]"),
        ("text", "text"),
        (pd.NA, "<NA>"),
    ],
)
def test_a_metric_is_written_as_python_prints_it(tmp_path: Path, value: Any, cell: str) -> None:
    save(tmp_path, [row({"m": value})])
    assert column(tmp_path, "m") == column(tmp_path, "m", "selected_rank") == [cell]


def test_hyperparameters_are_always_their_str(tmp_path: Path) -> None:
    save(tmp_path, [row(hyperparameters={"m-a": None, "m-b": math.nan, "m-c": [1], "m-d": ""})])
    assert list(read(tmp_path)[0].values())[3:7] == ["None", "nan", "[1]", ""]


@pytest.mark.parametrize(("order", "ranked"), [("ascend", "cadbe"), ("descend", "bdace"), ("whatever", "bdace")])
def test_missing_values_stand_last_in_either_order(tmp_path: Path, order: str, ranked: str) -> None:
    values = {"a": 2, "b": 10, "c": -1.5, "d": 3.0, "e": None}
    rows = [row({"m": value}, algorithm=name) for name, value in values.items()]
    save(tmp_path, rows, RankConfig(sort_by=(("m", order),)))
    assert "".join(column(tmp_path, "algorithm")) == ranked
    assert column(tmp_path, "rank") == ["1", "2", "3", "4", "5"]


def test_ties_keep_the_order_of_execution_however_many_there_are(tmp_path: Path) -> None:
    rows = [row({"m": place % 2}, algorithm=str(place)) for place in range(60)]
    save(tmp_path, rows, RankConfig(sort_by=(("m", "descend"),)))
    assert column(tmp_path, "algorithm") == [str(n) for n in [*range(1, 60, 2), *range(0, 60, 2)]]


def test_a_later_key_decides_between_ties(tmp_path: Path) -> None:
    rows = [row({"m": 1, "n": n}, algorithm=str(n)) for n in (2, 3, 1)]
    save(tmp_path, rows, RankConfig(sort_by=(("m", "descend"), ("absent", "ascend"), ("n", "ascend"))))
    assert column(tmp_path, "algorithm") == ["1", "2", "3"]


def test_texts_sort_as_texts_also_when_they_look_like_numbers(tmp_path: Path) -> None:
    config = RankConfig(sort_by=(("m", "ascend"),))
    save(tmp_path, [row({"m": "9"}), row({"m": "10"})], config)
    assert column(tmp_path, "m") == ["10", "9"]
    save(tmp_path, [row({"m": "8"}), row({"m": "100"})], config)
    assert column(tmp_path, "m") == ["10", "100", "8", "9"]


def test_numbers_and_texts_in_one_column_do_not_stop_the_run(tmp_path: Path) -> None:
    config = RankConfig(sort_by=(("m", "ascend"),))
    save(tmp_path, [row({"m": "fast"})], config)
    save(tmp_path, [row({"m": {"a": 1}}), row({"m": 2}), row({"m": True})], config)
    assert column(tmp_path, "m") == ["True", "2", "fast", "{'a': 1}"]


class TestRunningAgain:
    def test_old_rows_come_before_new_ones_and_none_is_lost(self, tmp_path: Path) -> None:
        save(tmp_path, [row({"m": 1}, algorithm="old")])
        save(tmp_path, [row({"m": 1}, algorithm="new")])
        assert column(tmp_path, "algorithm") == ["old", "new"]

    def test_equal_rows_collapse_in_the_selection_only(self, tmp_path: Path) -> None:
        rows = [row({"m": 0.1 + 0.2}, hyperparameters={"m-n": n, "m-x": 0.5, "m-t": None}) for n in range(3)]
        for _ in range(3):
            save(tmp_path, [replace(one, url=f"{next(ids)}", time="later") for one in rows])
        assert len(read(tmp_path)) == 9
        assert column(tmp_path, "m-n", "selected_rank") == ["0", "1", "2"]
        assert column(tmp_path, "rank", "selected_rank") == ["1", "2", "3"]

    def test_cells_of_old_rows_do_not_change_by_a_digit(self, tmp_path: Path) -> None:
        cells = {"float": 0.1 + 0.2, "int": 3, "text": "NA"}
        save(tmp_path, [row(cells, hyperparameters={"m-n": "007", "m-b": True})])
        before = read(tmp_path)
        save(tmp_path, [row({"int": None})])
        assert [{name: line[name] for name in before[0]} for line in read(tmp_path)][:1] == before

    def test_old_columns_stay_and_new_ones_follow_after_url(self, tmp_path: Path) -> None:
        save(tmp_path, [row({"A": 1}, modules={"edgemodel": "E"})])
        save(tmp_path, [row({"B": 2, "A": 1}, modules={"cloudmodel": "C"})])
        assert header(tmp_path)[1:] == ["algorithm", "A", "paradigm", "edgemodel", "time", "url", "B", "cloudmodel"]
        assert header(tmp_path, "selected_rank")[1:] == ["algorithm", "B", "A", "paradigm", "cloudmodel", "time", "url"]

    def test_an_old_column_stays_even_if_nobody_filled_it(self, tmp_path: Path) -> None:
        save(tmp_path, [row({"A": 1})])
        save(tmp_path, [row({"A": 1, "B": None})])
        save(tmp_path, [row({"A": 1})])
        assert header(tmp_path)[-2:] == ["url", "B"]

    def test_an_old_column_without_values_keeps_its_place_when_it_comes_again(self, tmp_path: Path) -> None:
        save(tmp_path, [row({"A": 1})])
        save(tmp_path, [row({"B": None, "A": 1})])
        save(tmp_path, [row({"C": 1, "B": 2})])
        assert header(tmp_path)[-3:] == ["url", "B", "C"]

    def test_sort_keys_that_only_an_old_run_had_are_skipped(self, tmp_path: Path) -> None:
        save(tmp_path, [row({"A": 2}), row({"A": 1})])
        save(tmp_path, [row({"B": 1})], RankConfig(sort_by=(("A", "ascend"),)))
        assert column(tmp_path, "A") == ["2", "1", ""]

    def test_selected_only_accumulates_nothing(self, tmp_path: Path) -> None:
        for name in ("old", "new"):
            save(tmp_path, [row(algorithm=name)], RankConfig(save_mode="selected_only"))
        assert not (tmp_path / "all_rank.csv").exists()
        assert column(tmp_path, "algorithm", "selected_rank") == ["new"]

    def test_selected_only_still_reads_what_another_mode_left(self, tmp_path: Path) -> None:
        save(tmp_path, [row(algorithm="old")])
        save(tmp_path, [row(algorithm="new")], RankConfig(save_mode="selected_only"))
        assert column(tmp_path, "algorithm") == ["old"]
        assert column(tmp_path, "algorithm", "selected_rank") == ["old", "new"]


class TestSavingAfterEachTestCase:
    def test_rows_of_this_run_are_replaced(self, tmp_path: Path) -> None:
        save(tmp_path, [row(algorithm="old")])
        mine = [row({"m": 1}, algorithm="first"), row({"m": 2}, algorithm="second")]
        manager = StoryManager(RankConfig(), tmp_path)
        manager.save(mine[:1])
        manager.save(mine)
        manager.save(mine)
        assert column(tmp_path, "algorithm") == ["old", "first", "second"]

    def test_rows_that_a_resumed_run_saved_before_are_its_own(self, tmp_path: Path) -> None:
        mine = [row(algorithm=name) for name in ("first", "second")]
        save(tmp_path, mine)
        StoryManager(RankConfig(), tmp_path).save(mine[1:], [one.url for one in mine])
        assert column(tmp_path, "algorithm") == ["second"]

    def test_a_resumed_run_orders_columns_as_one_that_was_not_interrupted(self, tmp_path: Path) -> None:
        save(tmp_path, [row({"A": 1})])
        first, second = row({"C": 1}), row({"B": 1, "C": 1}, modules={"cloudmodel": "M"})
        begun = StoryManager(RankConfig(), tmp_path)
        begun.save([second], [first.url, second.url])
        resumed = StoryManager(RankConfig(), tmp_path)
        resumed.earlier_columns = begun.earlier_columns
        resumed.save([first, second])
        assert header(tmp_path)[-4:] == ["url", "C", "B", "cloudmodel"]

    def test_the_order_of_columns_does_not_depend_on_how_often_it_was_saved(self, tmp_path: Path) -> None:
        first = row({"m": 1}, hyperparameters={"edgemodel-a": 1})
        second = row({"m": 1}, modules={"cloudmodel": "C"}, hyperparameters={"edgemodel-b": 1})
        manager = StoryManager(RankConfig(), tmp_path)
        manager.save([first])
        manager.save([first, second])
        assert header(tmp_path)[1:4] == ["algorithm", "m", "paradigm"]
        assert header(tmp_path)[4:] == ["cloudmodel", "edgemodel-a", "edgemodel-b", "time", "url"]


class TestSelection:
    def test_paradigms_filter_rows_possibly_to_none(self, tmp_path: Path) -> None:
        rows = [row(paradigm="jointinference"), row(paradigm="federatedlearning")]
        save(tmp_path, rows, RankConfig(paradigms=("federatedlearning",)))
        assert column(tmp_path, "paradigm", "selected_rank") == ["federatedlearning"]
        save(tmp_path, rows, RankConfig(paradigms=("none",)))
        assert read(tmp_path, "selected_rank") == []

    def test_unknown_names_become_empty_columns(self, tmp_path: Path) -> None:
        save(tmp_path, [row({"m": 1})], RankConfig(metrics=("nope", "m"), modules=("no",), hyperparameters=()))
        expected = ["rank", "algorithm", "nope", "m", "paradigm", "no", "time", "url"]
        assert header(tmp_path, "selected_rank") == expected
        assert column(tmp_path, "nope", "selected_rank") == [""]

    def test_rows_that_differ_in_unselected_columns_collapse(self, tmp_path: Path) -> None:
        rows = [row({"m": 1}, hyperparameters={"edgemodel-n": n}) for n in range(3)]
        save(tmp_path, rows, RankConfig(hyperparameters=()))
        assert len(read(tmp_path, "selected_rank")) == 1
        assert len(read(tmp_path)) == 3

    def test_one_and_one_point_nought_are_one_score_but_two_settings(self, tmp_path: Path) -> None:
        save(tmp_path, [row({"m": 1}), row({"m": 1.0})])
        assert len(read(tmp_path, "selected_rank")) == 1
        save(tmp_path / "b", [row(hyperparameters={"m-n": 1}), row(hyperparameters={"m-n": 1.0})])
        assert len(read(tmp_path / "b", "selected_rank")) == 2

    def test_a_dict_among_the_selected_metrics_does_not_stop_the_run(self, tmp_path: Path) -> None:
        save(tmp_path, [row({"m": {"a": 1}}), row({"m": {"a": 1}}), row({"m": {"a": 2}})])
        assert column(tmp_path, "m", "selected_rank") == ["{'a': 1}", "{'a': 2}"]


@pytest.mark.parametrize("name", ["rank", "algorithm", "paradigm", "time", "url", "edgemodel"])
def test_a_metric_called_like_another_column_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoryError, match=f"would be called '{name}'"):
        save(tmp_path, [row({name: 1}, modules={"edgemodel": "E"})])


def test_an_unknown_save_mode_saves_nothing(tmp_path: Path) -> None:
    save(tmp_path, [row()], RankConfig(save_mode="everything"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rank algorithm\n1 a\n", r"all_rank\.csv:1: no rank file"),
        ("", r"all_rank\.csv:1: no rank file"),
        ("rank,algorithm,paradigm,url\n1,a\n", r"all_rank\.csv: row 2 has 2 cells, the header 4"),
        ('rank,algorithm,paradigm,url\n1,"a\n', "cannot be read as a rank file"),
    ],
)
def test_a_file_that_is_no_rank_file_is_named_and_left_alone(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "all_rank.csv").write_text(text)
    with pytest.raises(StoryError, match=message):
        save(tmp_path, [row()])
    assert (tmp_path / "all_rank.csv").read_text() == text


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "all_rank.csv").write_bytes(b"rank,algorithm,paradigm,url\n1,caf\xe9,p,u\n")
    with pytest.raises(StoryError, match="cannot be read as a rank file"):
        save(tmp_path, [row()])


def test_a_very_long_cell_is_read_back(tmp_path: Path) -> None:
    save(tmp_path, [row({"m": "x" * 200_000})])
    save(tmp_path, [row({"m": "y"})])
    assert [len(cell) for cell in column(tmp_path, "m")] == [200_000, 1]


def test_half_a_surrogate_pair_does_not_stop_the_run(tmp_path: Path) -> None:
    save(tmp_path, [row({"m": "a\ud800"})])
    assert column(tmp_path, "m") == ["a\\ud800"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, [row(algorithm="old")])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoryError, match=r"all_rank\.csv: cannot be written \(No space left.*--resume"):
        save(tmp_path, [row(algorithm="new")])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_have_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    save(tmp_path, [row()])
    assert (tmp_path / "all_rank.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode
