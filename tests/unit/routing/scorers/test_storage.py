"""What scorers learn, on disk: it comes back as it was, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorers.storage import read_learned, reading, write_learned

_numbers = arrays.arrays(np.float64, arrays.array_shapes(max_dims=3), elements=st.floats(-1e300, 1e300))
_facts = st.dictionaries(st.text(), st.lists(st.text(), max_size=3), max_size=3)


@settings(deadline=None, max_examples=25)
@given(_numbers, _facts)
def test_numbers_and_words_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, numbers: np.ndarray, facts: dict[str, list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("learned")
    write_learned(folder, {"a": numbers.T}, facts)
    found, words = read_learned(folder, {"a": numbers.ndim})
    assert found["a"].dtype == np.float64
    assert found["a"].tolist() == numbers.T.tolist()
    assert words == facts


@pytest.mark.parametrize(
    ("array", "facts", "shapes", "message"),
    [
        (np.ones(2), {}, {"a": 2}, "'a' has 1 dimensions, not 2"),
        (np.ones(2), {}, {"b": 1}, "KeyError"),
        (np.array([1.0, np.nan]), {}, {"a": 1}, "'a' holds values that are no finite numbers"),
        (np.array([np.inf]), {}, {"a": 1}, "no finite numbers"),
        (np.ones(2), [1, 2], {"a": 1}, "learned.json must hold an object"),
    ],
)
def test_what_does_not_fit_is_named_with_its_folder(
    array: np.ndarray, facts: object, shapes: dict[str, int], message: str, tmp_path: Path
) -> None:
    write_learned(tmp_path, {"a": array}, facts)  # type: ignore[arg-type]
    with pytest.raises(RouterError, match=message) as refused, reading(tmp_path):
        read_learned(tmp_path, shapes)
    assert str(tmp_path) in str(refused.value)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RouterError, match="No such file.*nowhere.*train the router again"), reading(tmp_path):
        read_learned(tmp_path / "nowhere", {})
