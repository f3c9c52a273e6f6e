from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.precision import Averages, Mix, PrecisionError, capacity, least_cost

from .toys import random_portfolio, toy_pair, toy_portfolio


def test_capacity_by_hand() -> None:
    assert capacity(toy_portfolio()) == pytest.approx(1 / 0.8 + 1 / 0.5)
    assert capacity(toy_portfolio(), sizes=Mix((1.0, 3.0), (0.5, 0.5))) == pytest.approx((1 / 0.8 + 1 / 0.5) / 2)
    assert capacity(toy_portfolio(), Averages(accuracy=0.9)) == pytest.approx(2.0)
    # e joules at most: x of the requests go to the cloud, and (1 - x)·2 + x·20 = 4
    assert capacity(toy_portfolio(), Averages(energy=4.0)) == pytest.approx(1 / (0.8 * 8 / 9))


def test_least_cost_by_hand() -> None:
    # at rate 2 the edge is full with 1.25 requests a second, the rest goes to the cloud
    assert least_cost(toy_portfolio(), 2.0) == pytest.approx((1.25 * 0.1 + 0.75 * 1.0) / 2)
    assert least_cost(toy_portfolio(), 0.1) == pytest.approx(0.1)
    assert least_cost(toy_portfolio(), 0.1, cost="energy") == pytest.approx(2.0)
    # half of the answers at 70 % and half at 90 % make 80 %
    assert least_cost(toy_portfolio(), 0.1, Averages(accuracy=0.8)) == pytest.approx(0.55)


def test_large_requests_go_where_they_are_cheap() -> None:
    # accuracy counts requests, price counts work: the small half goes to the cloud, the large half stays
    sizes = Mix((0.5, 1.5), (0.5, 0.5))
    assert least_cost(toy_portfolio(), 0.1, Averages(accuracy=0.8), sizes) == pytest.approx(0.5 * 0.5 + 0.5 * 1.5 * 0.1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), load=st.floats(0.2, 0.95))
def test_no_random_mix_is_better(seed: int, load: float) -> None:
    portfolio, rng = random_portfolio(seed), np.random.default_rng(seed)
    rate, names = load * capacity(portfolio), [device.name for device in portfolio.devices]
    least = least_cost(portfolio, rate)
    for shares in rng.dirichlet(np.full(len(portfolio.pairs), 0.5), size=300):
        busy = np.zeros(len(names))
        for share, pair in zip(shares, portfolio.pairs, strict=True):
            busy[names.index(pair.device)] += rate * share * pair.mean_seconds
        if busy.max() <= 1:
            assert shares @ [pair.price for pair in portfolio.pairs] >= least - 1e-9


def test_what_cannot_be() -> None:
    with pytest.raises(PrecisionError, match="lower the rate or relax"):
        least_cost(toy_portfolio(), 4.0)
    with pytest.raises(PrecisionError, match="lower the rate or relax"):
        capacity(toy_portfolio(), Averages(accuracy=0.95))
    with pytest.raises(PrecisionError, match="has no energy"):
        capacity(toy_portfolio(toy_pair(energy_joules=None, energy_source="unavailable")), Averages(energy=1.0))
