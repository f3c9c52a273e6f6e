from __future__ import annotations

import numpy as np
import pytest

from ianvs_collab.routing import RouterError
from ianvs_collab.routing.online.offpolicy import RouteLog, cross_fitted, doubly_robust, ips, snips

ROUNDS = 400


def world(n=300, seed=0):
    """Qualities of both models, features that explain them, a logging policy and another one."""
    rng = np.random.default_rng(seed)
    features = np.column_stack([np.ones(n), rng.normal(size=n)])
    chances = np.column_stack([0.5 - 0.2 * np.tanh(features[:, 1]), 0.6 + 0.3 * np.tanh(features[:, 1])])
    quality = (rng.random((n, 2)) < chances).astype(float)
    logging = 0.15 + 0.7 * rng.random(n)
    target = (features[:, 1] > 0).astype(float)
    return features, quality, logging, target


def draw(quality, logging, rng):
    actions = (rng.random(len(logging)) < logging).astype(int)
    propensities = np.where(actions == 1, logging, 1 - logging)
    return RouteLog(actions, propensities, quality[np.arange(len(actions)), actions])


def simulate(estimate):
    features, quality, logging, target = world()
    truth = float(np.mean(target * quality[:, 1] + (1 - target) * quality[:, 0]))
    rng = np.random.default_rng(1)
    found = [estimate(draw(quality, logging, rng), target, features) for _ in range(ROUNDS)]
    return truth, np.array([one[0] for one in found]), np.mean([one[1] <= truth <= one[2] for one in found])


@pytest.mark.parametrize(
    "estimate",
    [
        lambda log, target, features: ips(log, target),
        lambda log, target, features: snips(log, target),
        lambda log, target, features: doubly_robust(log, target, cross_fitted(log, features)),
    ],
    ids=["ips", "snips", "dr"],
)
def test_estimates_are_unbiased_and_their_intervals_cover_the_truth(estimate):
    truth, values, covered = simulate(estimate)
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(ROUNDS) + 0.002
    assert covered >= 0.93


def test_ips_and_dr_are_exactly_unbiased():
    """Over all logs of three queries, weighted by their probabilities."""
    quality = np.array([[0.2, 0.9], [1.0, 0.0], [0.5, 0.4]])
    logging, target = np.array([0.3, 0.8, 0.5]), np.array([0.9, 0.25, 0.0])
    predicted = np.array([[0.9, 0.1], [0.3, 0.3], [0.0, 1.0]])  # wrong on purpose
    expected = {"ips": 0.0, "dr": 0.0}
    for number in range(8):
        actions = np.array([number >> bit & 1 for bit in range(3)])
        chances = np.where(actions == 1, logging, 1 - logging)
        log = RouteLog(actions, chances, quality[np.arange(3), actions])
        expected["ips"] += chances.prod() * ips(log, target).value
        expected["dr"] += chances.prod() * doubly_robust(log, target, predicted).value
    truth = np.mean(target * quality[:, 1] + (1 - target) * quality[:, 0])
    assert expected["ips"] == pytest.approx(truth)
    assert expected["dr"] == pytest.approx(truth)


def test_a_perfect_model_leaves_no_variance():
    _, quality, logging, target = world()
    truth = np.mean(target * quality[:, 1] + (1 - target) * quality[:, 0])
    log = draw(quality, logging, np.random.default_rng(3))
    assert doubly_robust(log, target, quality).value == pytest.approx(truth)


def test_the_logging_policy_itself_has_weight_one():
    _, quality, logging, _ = world()
    log = draw(quality, logging, np.random.default_rng(0))
    for estimate in (ips(log, logging), snips(log, logging)):
        assert estimate.value == pytest.approx(log.rewards.mean())
        assert estimate.effective_sample_size == pytest.approx(len(log))
        sem = log.rewards.std(ddof=1) / np.sqrt(len(log))
        assert estimate.high - estimate.value == pytest.approx(1.959964 * sem)


def test_effective_sample_size_is_kishs():
    log = RouteLog(np.array([1, 1, 0]), np.array([0.5, 0.25, 0.5]), np.ones(3))
    assert ips(log, np.ones(3)).effective_sample_size == pytest.approx((2 + 4) ** 2 / (4 + 16))


def test_cross_fitting_does_not_look_at_a_querys_own_reward():
    features, quality, logging, _ = world(40)
    log = draw(quality, logging, np.random.default_rng(0))
    before = cross_fitted(log, features)
    other = log.rewards.copy()
    other[7] = 1 - other[7]
    after = cross_fitted(RouteLog(log.actions, log.propensities, other), features)
    np.testing.assert_array_equal(before[7], after[7])
    assert not np.array_equal(before, after)


def test_bad_input_is_refused():
    good = {"actions": np.array([1, 0]), "propensities": np.array([0.5, 0.5]), "rewards": np.array([1.0, 0.0])}
    for change, message in (
        ({"rewards": np.array([1.0])}, "as many actions"),
        ({key: value[:0] for key, value in good.items()}, "as many actions"),
        ({"actions": np.array([2, 0])}, "1 .cloud. or 0"),
        ({"propensities": np.array([0.0, 0.5])}, "above 0"),
        ({"propensities": np.array([np.nan, 0.5])}, "above 0"),
        ({"rewards": np.array([np.nan, 0.0])}, "finite"),
    ):
        with pytest.raises(RouterError, match=message):
            RouteLog(**{**good, **change})
    log = RouteLog(**good)
    for bad in ([0.5], [0.5, 1.5], [np.nan, 0.5]):
        with pytest.raises(RouterError, match="a probability"):
            ips(log, bad)
    with pytest.raises(RouterError, match="says nothing about it"):
        snips(log, [0.0, 1.0])
    assert ips(log, [0.0, 1.0]).effective_sample_size == 0
    with pytest.raises(RouterError, match=r"shape \(2, 2\)"):
        doubly_robust(log, [1, 1], np.zeros((3, 2)))
    with pytest.raises(RouterError, match="cannot make 5 folds"):
        cross_fitted(log, np.ones((2, 1)))
    with pytest.raises(RouterError, match="confidence"):
        ips(log, [1, 1], confidence=1.0)
