"""Keeps the rank files up to date while a run goes on, and shows the leaderboard when it has ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ianvs_collab.story.config import ALL, SAVE_MODES, WITH_ALL_RANK, RankConfig
from ianvs_collab.story.files import read_rank, write_rank
from ianvs_collab.story.pictures import draw_matrices
from ianvs_collab.story.table import Columns, RankRow, Row, cells_of, drop_duplicates, sort_rows
from ianvs_collab.story.visualization import show


class StoryManager:
    """The rank files of one job.

    Args:
        config: The job's `rank` section.
        rank_dir: Their folder, `<workspace>/<job name>/rank`.

    Attributes:
        earlier_columns: Columns that all_rank.csv had before this run, in order. They keep their places, and the run's
            own follow them however often it saves; a resumed run has to be told those that it found when it began.

    Raises:
        StoryError: There is an all_rank.csv that cannot be read.
    """

    def __init__(self, config: RankConfig, rank_dir: str | Path) -> None:
        self.config = config
        self.all_rank = Path(rank_dir) / "all_rank.csv"
        self.selected_rank = Path(rank_dir) / "selected_rank.csv"
        self.earlier_columns, _ = read_rank(self.all_rank)
        self._rows: list[RankRow] = []

    def save(self, rows: Sequence[RankRow], run_urls: Collection[str] = ()) -> None:
        """Writes the rank files; to be called with all rows of the run so far whenever one is added.

        Rows of earlier runs stand in all_rank.csv and stay there. Saving the same rows again changes nothing.

        Args:
            rows: The run's rows in the order of its test cases.
            run_urls: `url` of each test case of this run, also of those not finished yet: rows that all_rank.csv has
                of them come from an earlier save and are replaced. Those of `rows` count in any case.

        Raises:
            StoryError: A file cannot be read or written, or two columns have one name.
        """
        self._rows = list(rows)
        if self.config.save_mode not in SAVE_MODES:
            return
        columns = Columns.of(rows)
        _, old_rows = read_rank(self.all_rank)
        own = {*run_urls, *(row.url for row in rows)}
        earlier = [row for row in old_rows if row["url"] not in own]
        everything = self._sorted([*earlier, *cells_of(rows)], columns)
        if self.config.save_mode in WITH_ALL_RANK:
            write_rank(self.all_rank, list(dict.fromkeys([*self.earlier_columns, *columns.header()])), everything)
        self._write_selected(everything, columns)

    def show(self) -> None:
        """Draws the pictures that the save mode asks for, then shows the selected rows.

        Raises:
            StoryError: There is nothing to draw or show, or no such visualization.
        """
        if self.config.save_mode == "selected_and_all_and_picture":
            draw_matrices(self._rows)
        if self.config.mode == "selected_only":
            show(self.config.method, self.selected_rank)

    def _sorted(self, cells: list[Row], columns: Columns) -> list[Row]:
        keys = [(metric, direction) for metric, direction in self.config.sort_by if metric in columns.metrics]
        return sort_rows(cells, keys, self._texts())

    def _texts(self) -> set[str]:
        """Metrics whose values in this run are texts: they compare as texts, whatever they look like in the file."""
        return {name for row in self._rows for name, value in row.metrics.items() if isinstance(value, str)}

    def _write_selected(self, everything: list[Row], columns: Columns) -> None:
        config = self.config
        header = columns.header(
            metrics=None if config.metrics == ALL else config.metrics,
            modules=None if config.modules == ALL else config.modules,
            hyperparameters=None if config.hyperparameters == ALL else config.hyperparameters,
        )
        metrics = columns.metrics if config.metrics == ALL else config.metrics
        unique = drop_duplicates(everything, header[:-2], numbers=set(metrics) - self._texts())
        kept = [row for row in unique if config.paradigms == ALL or row["paradigm"] in config.paradigms]
        write_rank(self.selected_rank, header, kept)
