"""Distributions beside transformers' own warpers, and noise that both sides can make."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative.noise import fresh_seed, gumbel, uniforms
from ianvs_collab.speculative.sampling import draw, probabilities

# Few distinct values, so that ties are the rule.
LOGITS = st.lists(st.integers(-6, 6).map(lambda value: value / 2), min_size=2, max_size=12)


def by_transformers(logits: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    ids = torch.zeros(1, 1, dtype=torch.long)
    logits = TemperatureLogitsWarper(params.temperature)(ids, logits)
    if params.top_k:
        logits = TopKLogitsWarper(params.top_k)(ids, logits)
    if params.top_p < 1:
        logits = TopPLogitsWarper(params.top_p)(ids, logits)
    return logits.softmax(-1)


@given(
    LOGITS,
    st.sampled_from([0.3, 1.0, 2.5]),
    st.integers(0, 13),
    st.one_of(st.just(1.0), st.floats(0.01, 0.99)),
)
def test_probabilities_are_those_of_transformers(
    values: list[float], temperature: float, top_k: int, top_p: float
) -> None:
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p)
    logits = torch.tensor([values], dtype=torch.float64)
    before = np.sort(probabilities(logits, SamplingParams(temperature=temperature, top_k=top_k))).cumsum()
    # Where a sum ends within rounding of the nucleus' edge, either side may be right.
    assume((abs(before - (1 - top_p)) > 1e-9).all())
    np.testing.assert_allclose(probabilities(logits, params), by_transformers(logits, params).numpy(), atol=1e-12)


@pytest.mark.parametrize("top_p", [0.25, 0.5, 0.75])
def test_ties_on_the_edge_of_the_nucleus_fall_as_in_transformers(top_p: float) -> None:
    logits = torch.zeros(1, 4, dtype=torch.float64)  # four quarters, exactly
    params = SamplingParams(temperature=1.0, top_p=top_p)
    found = probabilities(logits, params)
    np.testing.assert_array_equal(found, by_transformers(logits, params).numpy())
    assert (found[0] > 0).sum() == 4 * top_p


def test_temperature_nought_is_the_first_most_probable_token() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]])
    assert probabilities(logits, SamplingParams()).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_a_tiny_temperature_neither_overflows_nor_changes_the_logits() -> None:
    logits = torch.tensor([[500.0, 499.0]])
    assert probabilities(logits, SamplingParams(temperature=1e-8)).tolist() == [[1, 0]]
    assert logits.tolist() == [[500.0, 499.0]]
    array = np.array([[1.0, 2.0]])
    probabilities(array, SamplingParams(temperature=0.5))
    assert array.tolist() == [[1.0, 2.0]]


@given(st.lists(st.sampled_from([0.0, 0.125, 0.5, 3.0]), min_size=1, max_size=9), st.floats(0, 1, exclude_max=True))
def test_a_draw_is_the_token_at_the_level(weights: list[float], level: float) -> None:
    assume(sum(weights) > 0)
    token = draw(np.array(weights), level)
    assert weights[token] > 0
    assert sum(weights[:token]) <= level * sum(weights) < sum(weights[: token + 1])


def test_a_level_that_rounds_up_to_the_end_gives_the_last_possible_token() -> None:
    assert draw(np.array([0.7, 0.1, 0.0]), np.nextafter(1, 0)) == 1
    assert draw(np.array([1e-320, 0.0]), np.nextafter(1, 0)) == 0


def test_noise_belongs_to_seed_and_position() -> None:
    assert uniforms(3, 7, 5).tolist() == uniforms(3, 7, 9)[:5].tolist()
    kinds = {tuple(uniforms(seed, position, 4)) for seed in (-1, 3, 2**63) for position in (0, 1, 2**40)}
    assert len(kinds) == 9
    # Written down, so that no library changes it unnoticed: edge and cloud may run different versions.
    assert uniforms(1, 0, 2).tolist() == [0.3035680343067587, 0.8487087496857769]


def test_noise_is_uniform_and_gumbel() -> None:
    levels = np.concatenate([uniforms(5, position, 64) for position in range(300)])
    assert levels.min() > 0
    assert levels.max() < 1
    assert stats.kstest(levels, "uniform").pvalue > 0.01
    noise = np.concatenate([gumbel(6, position, 64) for position in range(300)])
    assert stats.kstest(noise, "gumbel_r").pvalue > 0.01
    assert fresh_seed() != fresh_seed()
