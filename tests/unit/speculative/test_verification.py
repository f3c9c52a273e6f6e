"""The rules of verification, one decision at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative import SpeculativeError
from ianvs_collab.speculative.noise import uniforms
from ianvs_collab.speculative.sampling import probabilities
from ianvs_collab.speculative.verification import Draft, Greedy, Gumbel, Matching, Rejection, SampleMatch, replacement

HOT = SamplingParams(temperature=1.0)


class Levels(np.random.Generator):
    """Gives the numbers it is told to."""

    def __init__(self, *levels: float) -> None:
        super().__init__(np.random.PCG64(0))
        self._levels = list(levels)

    def random(self, *_: object, **__: object) -> float:  # type: ignore[override]
        return self._levels.pop(0)


def logits_of(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


@pytest.mark.parametrize(
    ("tokens", "accepted", "token"), [([1, 2], 2, 0), ([1, 0], 1, 2), ([0, 2], 0, 1), ([], 0, 1), ([1], 1, 2)]
)
def test_greedy_accepts_while_the_draft_is_the_best(tokens: list[int], accepted: int, token: int) -> None:
    logits = torch.tensor([[0.0, 5.0, 1.0], [0.0, 1.0, 1.25], [9.0, 1.0, 1.0]])[: len(tokens) + 1]
    verdict = Matching(Greedy()).verify(Draft(tokens), logits, 0)
    assert (verdict.accepted, verdict.token) == (accepted, token)
    assert verdict.margin == min([4.0, 0.25, 8.0][: accepted + 1])


def test_greedy_with_one_token_has_no_rival() -> None:
    assert Greedy().choose(torch.zeros(2, 1), 0).margins == [math.inf, math.inf]


def test_without_a_bonus_row_a_whole_draft_stands_alone() -> None:
    logits = logits_of([0.2, 0.8], [0.9, 0.1])
    assert Matching(Greedy()).verify(Draft([1, 0]), logits, 0).token is None
    assert Matching(Greedy()).verify(Draft([1, 1]), logits, 0).token == 0
    draft = Draft([1, 0], np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([0.5, 0.9]))
    verdict = Rejection(HOT, Levels(0.9, 0.9)).verify(draft, logits, 0)
    assert (verdict.accepted, verdict.token, verdict.row) == (2, None, None)


@pytest.mark.parametrize("kind", [Gumbel, SampleMatch])
@given(st.integers(0, 2**64), st.integers(0, 50))
def test_a_fixed_choice_depends_on_its_own_position_alone(
    kind: type[Gumbel] | type[SampleMatch], seed: int, first: int
) -> None:
    logits = torch.from_numpy(np.random.default_rng(seed % 1000).normal(0, 2, (4, 9)))
    together = kind(HOT, seed).choose(logits, first)
    apart = [kind(HOT, seed).choose(logits[i : i + 1], first + i) for i in range(4)]
    assert together.tokens == [choice.tokens[0] for choice in apart]
    assert together.margins == [choice.margins[0] for choice in apart]
    assert together.tokens == [kind(HOT, seed).take(logits[i], first + i) for i in range(4)]
    assert min(together.margins) >= 0


@pytest.mark.parametrize("kind", [Gumbel, SampleMatch])
def test_fixed_choices_over_many_positions_follow_the_distribution(kind: type[Gumbel] | type[SampleMatch]) -> None:
    p = np.array([0.5, 0.3, 0.15, 0.05, 0.0])
    logits = logits_of(list(p)).expand(4000, -1)
    counts = np.bincount(kind(HOT, 11).choose(logits, 0).tokens, minlength=5)
    assert counts[4] == 0
    assert abs(counts / 4000 - p).max() < 0.025  # 3 standard deviations


def test_a_certain_token_has_an_infinite_margin_with_gumbel() -> None:
    assert Gumbel(HOT, 1).choose(torch.zeros(1, 1), 0).margins == [math.inf]
    params = SamplingParams(temperature=1.0, top_k=1)
    assert Gumbel(params, 1).choose(torch.tensor([[0.0, 3.0]]), 0).margins == [math.inf]


def test_the_margin_of_sample_match_is_the_distance_to_the_next_token() -> None:
    rule = SampleMatch(HOT, 4)
    logits = logits_of([0.2, 0.3, 0.5])
    choice = rule.choose(logits, 0)
    level = float(uniforms(4, 0, 1)[0])
    ends = np.array([0.0, 0.2, 0.5, 1.0])
    assert choice.margins[0] == pytest.approx(abs(ends - level)[[choice.tokens[0], choice.tokens[0] + 1]].min())


def test_rejection_accepts_by_the_ratio() -> None:
    logits = logits_of([0.2, 0.8], [0.5, 0.5])
    rows = np.array([[0.5, 0.5]])
    draft = Draft([0], rows, np.array([0.5]))  # p/q = 0.4
    assert Rejection(HOT, Levels(0.39, 0.0)).verify(draft, logits, 0).accepted == 1
    verdict = Rejection(HOT, Levels(0.41, 0.0)).verify(draft, logits, 0)
    assert (verdict.accepted, verdict.token) == (0, 1)  # max(0, p - q) has only token 1
    assert verdict.margin == math.inf


def test_a_token_that_the_target_cannot_give_is_never_accepted() -> None:
    logits = logits_of([0.0, 1.0], [0.5, 0.5])
    for chosen in (1.0, 0.0):  # with q = 0 the ratio would be 0/0
        draft = Draft([0], np.array([[chosen, 1 - chosen]]), np.array([chosen]))
        assert Rejection(HOT, Levels(0.0, 0.0)).verify(draft, logits, 0).accepted == 0


def test_an_impossible_draft_of_a_possible_token_is_accepted_like_any_ratio_above_one() -> None:
    draft = Draft([0], np.array([[0.0, 1.0]]), np.array([0.0]))
    assert Rejection(HOT, Levels(0.999, 0.0)).verify(draft, logits_of([0.5, 0.5], [1.0, 0.0]), 0).accepted == 1


def test_the_replacement_comes_from_what_p_has_more_than_q() -> None:
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.8, 0.15, 0.05])
    assert [replacement(p, q, level) for level in (0.0, 0.49, 0.51, 0.99)] == [1, 1, 2, 2]
    assert replacement(p, p, 0.4) == 0  # nothing left: p itself


def test_the_split_form_sends_the_row_instead() -> None:
    logits = logits_of([0.2, 0.8], [0.5, 0.5])
    rule = Rejection(HOT, Levels(0.9), split=True)
    verdict = rule.verify(Draft([0], None, np.array([0.5])), logits, 0)
    assert (verdict.accepted, verdict.token) == (0, None)
    assert verdict.row is not None
    exact = probabilities(logits, HOT)[0]
    assert verdict.row.tolist() == exact.astype(np.float32).astype(np.float64).tolist()


def test_rejection_without_q_is_refused() -> None:
    with pytest.raises(SpeculativeError, match="dssd, quantised-q or full-q"):
        Rejection(HOT, Levels()).verify(Draft([0]), torch.zeros(2, 2), 0)
