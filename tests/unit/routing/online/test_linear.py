from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from ianvs_collab.routing import RouterError
from ianvs_collab.routing.online.linear import LinearArm


def brute_force(features, rewards, ridge, discount):
    """The definition: rank-one terms of weight discount^age, and a ridge that is renewed one coordinate a step."""
    d = features.shape[1]
    matrix, target = ridge * np.eye(d), np.zeros(d)
    for step, (x, r) in enumerate(zip(features, rewards, strict=True)):
        matrix, target = matrix * discount, target * discount
        matrix[step % d, step % d] += ridge * (1 - discount**d)
        matrix += np.outer(x, x)
        target += r * x
    return matrix, target


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 6),
    st.integers(1, 40),
    st.sampled_from([1.0, 0.99, 0.8]),
    st.floats(0.1, 10),
    st.integers(0, 1000),
)
def test_updates_of_rank_one_equal_the_whole_regression(d, n, discount, ridge, seed):
    rng = np.random.default_rng(seed)
    features, rewards = rng.normal(size=(n, d)), rng.random(n)
    arm = LinearArm(d, ridge, discount)
    for x, r in zip(features, rewards, strict=True):
        arm.observe(x, r)
    matrix, target = brute_force(features, rewards, ridge, discount)
    np.testing.assert_allclose(arm.inverse, np.linalg.inv(matrix), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(arm.theta, np.linalg.solve(matrix, target), rtol=1e-6, atol=1e-8)


def test_fitting_at_once_and_one_by_one_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    features, rewards = rng.normal(size=(50, 4)), rng.random(50)
    once, stepwise = LinearArm(4, 2.0), LinearArm(4, 2.0)
    once.fit(features, rewards)
    for x, r in zip(features, rewards, strict=True):
        stepwise.observe(x, r)
    np.testing.assert_allclose(once.theta, Ridge(alpha=2.0, fit_intercept=False).fit(features, rewards).coef_)
    np.testing.assert_allclose(stepwise.theta, once.theta)
    np.testing.assert_allclose(stepwise.inverse, once.inverse)


def test_the_ridge_never_fades():
    arm = LinearArm(8, 2.0, 0.9)
    for _ in range(1000):
        arm.fade()
    variances = np.diag(arm.inverse)
    assert (variances >= 1 / 2.0 - 1e-9).all()
    assert (variances <= 1 / (2.0 * 0.9**8) + 1e-9).all()


def test_forgetting_follows_a_change():
    keeps, forgets = LinearArm(1), LinearArm(1, discount=0.9)
    for arm in (keeps, forgets):
        for step in range(200):
            arm.observe(np.ones(1), float(step >= 100))
    assert keeps.theta[0] < 0.6
    assert forgets.theta[0] > 0.85


def test_state_goes_round_and_counts_turns():
    arm = LinearArm(3, discount=0.9)
    for step in range(5):
        arm.observe(np.eye(3)[step % 3], 1.0)
    twin = LinearArm(3, discount=0.9)
    twin.restore(arm.state())
    for one in (arm, twin):
        one.observe(np.ones(3), 0.0)
    np.testing.assert_array_equal(arm.inverse, twin.inverse)
    np.testing.assert_array_equal(arm.theta, twin.theta)


def test_bad_settings_and_states_are_refused():
    for bad in ({"ridge": 0.0}, {"discount": 0.0}, {"discount": 1.1}):
        with pytest.raises(RouterError, match=next(iter(bad))):
            LinearArm(2, **bad)
    with pytest.raises(RouterError, match="3 features and the router 2"):
        LinearArm(2).restore(LinearArm(3).state())
