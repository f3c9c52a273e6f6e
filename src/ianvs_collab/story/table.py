"""The table behind the rank files: which columns there are, what each row holds, in which order rows stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ianvs_collab.story.cells import as_text, metric_cell, metric_column, same
from ianvs_collab.story.error import StoryError

FIXED_COLUMNS = ("rank", "algorithm", "paradigm", "time", "url")
Row = dict[str, str]


@dataclass(frozen=True)
class RankRow:
    """One test case's row.

    Attributes:
        algorithm: Name of the algorithm.
        paradigm: Its `paradigm_type`.
        metrics: Value of each metric, in the order of the testenv file.
        modules: Name of the module of each type, in the order of the algorithm file.
        hyperparameters: Value of each hyperparameter under `<module type>-<name>`.
        time: Local time at the end of the test case, `YYYY-mm-dd HH:MM:SS`.
        url: Folder of the test case, which is its identity.
    """

    algorithm: str
    paradigm: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    time: str = ""
    url: str = ""

    def cells(self) -> Row:
        """Returns the row as cells by column."""
        return {
            "algorithm": str(self.algorithm),
            **{name: metric_cell(value) for name, value in self.metrics.items()},
            "paradigm": str(self.paradigm),
            **{kind: str(name) for kind, name in self.modules.items()},
            **{name: str(value) for name, value in self.hyperparameters.items()},
            "time": self.time,
            "url": self.url,
        }


def cells_of(rows: Sequence[RankRow]) -> list[Row]:
    """Returns the rows of one run as cells; those of a metric depend on one another (see `metric_column`)."""
    cells = [row.cells() for row in rows]
    for name in _first_seen(row.metrics for row in rows):
        for row, cell in zip(cells, metric_column([row.metrics.get(name) for row in rows]), strict=True):
            if name in row:
                row[name] = cell
    return cells


@dataclass(frozen=True)
class Columns:
    """The columns that a set of rows has, each kind in order of first appearance."""

    metrics: tuple[str, ...]
    modules: tuple[str, ...]
    hyperparameters: tuple[str, ...]

    @classmethod
    def of(cls, rows: Iterable[RankRow]) -> Columns:
        """Returns the columns of the rows.

        Raises:
            StoryError: Two of them would have the same name.
        """
        rows = list(rows)
        columns = cls(
            metrics=_first_seen(row.metrics for row in rows),
            modules=_first_seen(row.modules for row in rows),
            hyperparameters=_first_seen(row.hyperparameters for row in rows),
        )
        header = ["rank", *columns.header()]
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise StoryError(
                f"two columns of the rank file would be called {twice[0]!r}; give the metric of that name another one"
            )
        return columns

    def header(
        self,
        metrics: Sequence[str] | None = None,
        modules: Sequence[str] | None = None,
        hyperparameters: Sequence[str] | None = None,
    ) -> list[str]:
        """Returns the columns in the order of a rank file, without `rank`; None stands for all of a kind."""
        return [
            "algorithm",
            *(self.metrics if metrics is None else metrics),
            "paradigm",
            *(self.modules if modules is None else modules),
            *(self.hyperparameters if hyperparameters is None else hyperparameters),
            "time",
            "url",
        ]


def _first_seen(mappings: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for mapping in mappings for name in mapping))


def sort_rows(rows: Sequence[Row], keys: Sequence[tuple[str, str]], texts: Collection[str] = ()) -> list[Row]:
    """Returns the rows sorted by metrics; equal rows keep their order, empty cells come last either way.

    Args:
        rows: Rows as cells.
        keys: (metric, direction), most important first; `ascend` or anything else for descending.
        texts: Metrics to be compared as texts even where they look like numbers.
    """
    ordered = list(rows)
    for metric, direction in reversed(keys):
        key = as_text if metric in texts else same
        present = [row for row in ordered if row.get(metric)]
        absent = [row for row in ordered if not row.get(metric)]
        present.sort(key=lambda row, key=key, metric=metric: key(row[metric]), reverse=direction != "ascend")  # type: ignore[misc]
        ordered = [*present, *absent]
    return ordered


def drop_duplicates(rows: Iterable[Row], columns: Sequence[str], numbers: Collection[str] = ()) -> list[Row]:
    """Returns the rows of which no earlier one has the same values in the columns.

    Args:
        rows: Rows as cells.
        columns: Columns that count.
        numbers: Those in which 1 and 1.0 are the same; the others are compared as texts.
    """
    keys = [(name, same if name in numbers else as_text) for name in columns]
    first: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        first.setdefault(tuple(key(row.get(name, "")) for name, key in keys), row)
    return list(first.values())
