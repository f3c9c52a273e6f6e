"""How fast one direction of the link is, constant or following a trace of (time, rate), and when bytes have left it."""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BITS_PER_MEGABIT = 1e6
COLUMNS = ["seconds", "mbps"]


class TraceError(ValueError):
    """A rate trace is wrong; the message says where and what it should be."""


@dataclass(frozen=True)
class RateTrace:
    """A rate that is constant from one point in time to the next.

    Attributes:
        points: (seconds, megabits per second), times ascending from 0; a rate of 0 is an outage.
        repeat_after: Seconds after which the trace starts again; None: the last rate holds from then on.

    Raises:
        TraceError: If times do not ascend from 0, a rate is negative or not finite, or bytes could wait for ever.
    """

    points: tuple[tuple[float, float], ...]
    repeat_after: float | None = None

    def __post_init__(self) -> None:
        """Check that times ascend and that bytes always get through."""
        times = [time for time, _ in self.points]
        if not times or times[0] != 0:
            raise TraceError(f"a rate trace starts at 0 seconds, not at {times[:1]}")
        if any(later <= earlier for earlier, later in zip(times, times[1:], strict=False)):
            raise TraceError(f"the times of a rate trace ascend, unlike {times}")
        if not all(math.isfinite(time) and math.isfinite(rate) and rate >= 0 for time, rate in self.points):
            raise TraceError(f"times and rates are finite and no rate is negative, unlike {self.points}")
        self._check_progress(times[-1])

    def _check_progress(self, last: float) -> None:
        if self.repeat_after is None:
            if not self.points[-1][1]:
                raise TraceError("the last rate of a trace that does not repeat holds for ever, so it cannot be 0")
        elif not math.isfinite(self.repeat_after) or self.repeat_after <= last:
            raise TraceError(f"repeat_after must lie beyond the last time, {last} s; it is {self.repeat_after}")
        elif not any(rate for _, rate in self.points):
            raise TraceError("a rate trace needs a rate above 0")

    @classmethod
    def constant(cls, mbps: float) -> RateTrace:
        """One rate for all time, in megabits per second."""
        return cls(((0.0, mbps),))

    @classmethod
    def read(cls, path: str | Path, *, repeat_after: float | None = None) -> RateTrace:
        """Read a trace from a CSV file with the columns `seconds,mbps`.

        Raises:
            TraceError: If the file cannot be read or a line is wrong; the message names file and line.
        """
        try:
            with Path(path).open(encoding="utf-8", newline="") as file:
                points = tuple(_rows(csv.reader(file)))
            return cls(points, repeat_after)
        except OSError as error:
            raise TraceError(f"rate trace {str(path)!r}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise TraceError(f"rate trace {str(path)!r} is not a text file in UTF-8: {error}") from error
        except TraceError as error:
            raise TraceError(f"rate trace {str(path)!r}: {error}") from error

    @property
    def peak_mbps(self) -> float:
        """The highest rate there is."""
        return max(rate for _, rate in self.points)

    def at(self, seconds: float) -> float:
        """The rate in force at a time, in megabits per second; before 0 it is the first one."""
        return self.points[self._locate(seconds)[0]][1]

    def finish(self, start: float, nbytes: int) -> float:
        """When the last of `nbytes` has left, if the first leaves at `start`; both in seconds of the trace."""
        index, lap = self._locate(start)
        left, now = nbytes * 8.0, start
        while True:
            rate, until = self.points[index][1] * BITS_PER_MEGABIT, self._end(index, lap)
            if rate and now + left / rate <= until:
                return now + left / rate
            left = max(0.0, left - (until - now) * rate)
            now = max(now, until)  # segments are counted, not looked up again, so rounding cannot hold it up
            index, lap = (index + 1, lap) if index + 1 < len(self.points) else (0, lap + 1)

    def _locate(self, seconds: float) -> tuple[int, int]:
        lap = 0 if self.repeat_after is None else max(0, math.floor(seconds / self.repeat_after))
        phase = seconds - lap * (self.repeat_after or 0.0)
        return max(0, bisect_right(self.points, (phase, math.inf)) - 1), lap

    def _end(self, index: int, lap: int) -> float:
        if index + 1 < len(self.points):
            return lap * (self.repeat_after or 0.0) + self.points[index + 1][0]
        return math.inf if self.repeat_after is None else (lap + 1) * self.repeat_after


def _rows(lines: Iterator[list[str]]) -> Iterator[tuple[float, float]]:
    head = next(lines, [])
    if [cell.strip() for cell in head] != COLUMNS:
        raise TraceError(f"line 1 must be {','.join(COLUMNS)!r}, not {','.join(head)!r}")
    for number, row in enumerate(lines, start=2):
        try:
            seconds, mbps = map(float, row)
        except ValueError as error:
            raise TraceError(f"line {number} must be two numbers, not {','.join(row)!r}") from error
        yield seconds, mbps
