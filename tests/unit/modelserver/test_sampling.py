"""The sampler against transformers' own filters, against the distribution it claims, and against its seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from ianvs_collab.modelserver import SamplingParams
from ianvs_collab.modelserver.backends.sampling import distribution, logprobs_of, make_chooser

rows_of_logits = st.lists(
    st.lists(st.floats(-20, 20, width=32), min_size=12, max_size=12, unique=True), min_size=1, max_size=4
)


@example([[0.0, 0.75, 4.609136308448229e-35, 1.1754943508222875e-38, *range(-8, 0)]], 0.3, 2, 0.9)
@given(rows_of_logits, st.sampled_from([0.3, 1.0, 2.5]), st.integers(0, 14), st.sampled_from([0.05, 0.5, 0.9, 1.0]))
def test_filters_are_those_of_transformers(rows: list, temperature: float, top_k: int, top_p: float) -> None:
    logits = torch.tensor(rows)
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    expected = expected.softmax(-1)
    found = distribution(logits, SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p))
    # A token exactly on the edge of the nucleus may fall on either side by rounding, and tokens that differ in the
    # last bit count as equally probable here; so the comparison is of rows whose kept sets agree, which are nearly
    # all.
    same = ((found > 0) == (expected > 0)).all(-1)
    torch.testing.assert_close(found[same], expected[same], atol=1e-5, rtol=1e-4)
    for index in (~same).nonzero().flatten().tolist():
        changed = (found[index] > 0) != (expected[index] > 0)
        mass = logits[index].div(temperature).softmax(-1)[changed]
        assert changed.sum() <= 2 or torch.allclose(mass, mass[0]), mass  # of any number of equals, any may be kept


@given(rows_of_logits)
def test_the_most_probable_token_is_chosen_greedily_and_by_the_narrowest_filters(rows: list) -> None:
    logits = torch.tensor(rows)
    greedy = make_chooser(SamplingParams(), len(rows))(logits)
    assert greedy.tolist() == [row.index(max(row)) for row in rows]
    for narrow in ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-30}):
        params = SamplingParams(**{"temperature": 1.0, "seed": 0, **narrow})
        chosen = make_chooser(params, len(rows))(logits)
        for row, token in zip(rows, chosen.tolist(), strict=True):
            assert row[token] == pytest.approx(max(row), abs=1e-4)


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -torch.inf]])
    params = SamplingParams(temperature=1.0, seed=7)
    draw = make_chooser(params, 1)
    draws = 20_000
    counts = torch.zeros(4, dtype=torch.float64)
    for _ in range(draws):
        counts[draw(logits)] += 1
    expected = logits.softmax(-1)[0].double() * draws
    assert counts[3] == 0
    chi_square = ((counts - expected)[:3] ** 2 / expected[:3]).sum()
    assert chi_square < 13.8  # 2 degrees of freedom, p = 0.001; the seed makes it the same every time


def test_a_seed_repeats_its_draws_and_another_does_not() -> None:
    logits = torch.zeros(1, 1000)

    def draws(seed: int | None) -> list[int]:
        draw = make_chooser(SamplingParams(temperature=1.0, seed=seed), 1)
        return [int(draw(logits)) for _ in range(20)]

    assert draws(3) == draws(3)
    assert draws(3) != draws(4)
    assert draws(None) != draws(None)


def test_a_row_draws_the_same_alone_and_in_company() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 50, generator=generator)
    params = SamplingParams(temperature=1.0, seed=5)
    together = make_chooser(params, 3)(logits).tolist()
    alone = [int(make_chooser(params, 1)(logits[index : index + 1])) for index in range(3)]
    assert together == alone


def test_log_probabilities_are_of_the_unchanged_distribution() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    tokens = torch.tensor([0, 2])
    expected = logits.log_softmax(-1)[[0, 1], tokens]
    torch.testing.assert_close(logprobs_of(logits, tokens), expected)
