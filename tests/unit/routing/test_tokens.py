"""Batches of token ids: nothing lost, nothing counted that is padding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.routing import RouterError
from ianvs_collab.routing.tokens import by_length, check_lengths, likelihoods, padded

ROWS = st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=9), min_size=1, max_size=7)


@given(st.lists(st.integers(0, 20), max_size=30), st.integers(1, 8))
def test_batches_hold_each_text_once_and_neighbours_in_length(lengths: list[int], size: int) -> None:
    batches = by_length(lengths, size)
    flat = [index for batch in batches for index in batch]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[index] for index in flat] == sorted(lengths)
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(0 < len(batch) <= size for batch in batches)


@given(ROWS)
def test_padding_is_on_the_right_and_masked(rows: list[list[int]]) -> None:
    ids, mask = padded(rows, 99, "cpu")
    assert ids.shape == mask.shape == (len(rows), max(map(len, rows)))
    assert [row[kept.bool()].tolist() for row, kept in zip(ids, mask, strict=True)] == rows
    assert mask.sum(dim=1).tolist() == [len(row) for row in rows]
    assert (ids[mask == 0] == 99).all()


@given(ROWS, st.booleans(), st.integers(0, 100))
def test_likelihoods_against_a_loop(rows: list[list[int]], mean: bool, seed: int) -> None:
    labels, counted = padded(rows, 0, "cpu")
    logits = torch.randn(*labels.shape, 51, generator=torch.Generator().manual_seed(seed))
    found = likelihoods(logits, labels, counted, mean=mean)
    for number, row in enumerate(rows):
        steps = logits[number].double().numpy()
        each = [steps[place][token] - math.log(np.exp(steps[place]).sum()) for place, token in enumerate(row)]
        assert found[number] == pytest.approx(math.fsum(each) / (len(row) if mean else 1), rel=1e-5)


def test_lists_that_do_not_belong_together() -> None:
    check_lengths(answers=[1, 2], references=[3, 4])
    with pytest.raises(RouterError, match="2 answers and 1 references do not belong together"):
        check_lengths(answers=[1, 2], references=[3])
