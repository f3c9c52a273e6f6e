"""What stands in a cell of a rank file, and how two cells compare.

A cell is text. Values are written as Python prints them, so a file can be read back, sorted and written again without a
digit changing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

_TRUTH = {"True": 1.0, "False": 0.0}
NUMBER, TEXT = 0, 1
_SIGNED, _UNSIGNED = (-(2**63), 2**63), (0, 2**64)  # whole numbers of 64 bits: from, and up to but not including


def metric_cell(value: Any) -> str:
    """Returns a metric's value as a cell: its `str`, empty for None and for not-a-number."""
    return "" if is_missing(value) else str(value)


def metric_column(values: Sequence[Any]) -> list[str]:
    """Returns the cells of one metric over the test cases of a run.

    Ianvs keeps them in a column of a table, and a column of numbers has one type, which the first value decides: whole
    numbers become fractions when a fraction or a missing value joins them, and fractions stay fractions. So `1, 2.5` is
    written `1.0, 2.5`. A column that begins with None or a truth value, or holds anything but
    numbers or a whole number that 64 bits cannot hold, has no type.

    Args:
        values: What the metric returned, in the order of the test cases; None where a test case lacks it.
    """
    first, given = values[0] if values else None, [value for value in values if not is_missing(value)]
    if first is None or isinstance(first, bool) or not all(map(_is_typed, given)):
        return [metric_cell(value) for value in values]
    if isinstance(first, Integral) and len(given) == len(values):
        bounds = _SIGNED if first < _SIGNED[1] else _UNSIGNED
        if all(_is_whole(value, *bounds) for value in given):
            return [str(int(value)) for value in given]
    kind = float if isinstance(first, Integral) else type(first)
    return ["" if is_missing(value) else str(kind(value)) for value in values]


def _is_typed(value: Any) -> bool:
    """Whether a value fits a column of numbers."""
    return isinstance(value, Real) and (not isinstance(value, Integral) or _SIGNED[0] <= int(value) < _UNSIGNED[1])


def _is_whole(value: Any, low: int, high: int) -> bool:
    """Whether a number fits a column of whole numbers between these bounds."""
    return float(value).is_integer() and low <= value < high


def is_missing(value: Any) -> bool:
    """Whether a value is None or a scalar that does not equal itself, as only not-a-number does."""
    if value is None:
        return True
    if hasattr(value, "__len__"):  # a list or array, whose comparison with itself is no truth value
        return False
    try:
        return bool(value != value)  # noqa: PLR0124 - the one test that holds for every kind of not-a-number
    except (TypeError, ValueError):
        return False


def number(cell: str) -> float | None:
    """Returns the number that a cell shows, None if it shows none; `True` counts as 1."""
    if cell in _TRUTH:
        return _TRUTH[cell]
    try:
        value = float(cell)
    except ValueError:
        return None
    return None if value != value else value  # noqa: PLR0124 - not-a-number


def same(cell: str) -> tuple[int, float | str]:
    """Returns what two cells have in common if they are the same value: 1 and 1.0 are, 1e-3 and 0.001 are."""
    value = number(cell)
    return (TEXT, cell) if value is None else (NUMBER, value)


def as_text(cell: str) -> tuple[int, float | str]:
    """Returns a sort key that takes the cell as text, whatever it shows."""
    return (TEXT, cell)


SortKey = Callable[[str], tuple[int, float | str]]
