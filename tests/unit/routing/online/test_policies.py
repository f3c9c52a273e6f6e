from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.online import Context, EpsilonGreedy, LinUCB, Pacer, ThompsonSampling
from ianvs_collab.routing.online.epsilon import worth_target
from ianvs_collab.routing.online.policy import Decision
from ianvs_collab.routing.online.ridge import RidgeScorer
from ianvs_collab.routing.online.router import make_policy

from .conftest import contexts_of, make_trace, qualities


def warm(policy, n=60, d=4, seed=0):
    rng = np.random.default_rng(seed)
    features = np.column_stack([np.ones(n), rng.normal(size=(n, d - 1))])
    quality = np.column_stack([0.5 - 0.2 * features[:, 1], 0.5 + 0.2 * features[:, 1]]).clip(0, 1)
    policy.warm_up(contexts_of(features), quality)
    return policy, contexts_of(features)


def quick(pacer, **settings):
    return EpsilonGreedy(pacer, scorer=RidgeScorer(components=2), **settings)


def queries_of(trace):
    return [Context(np.ones(1), query) for query in trace.queries()]


class TestPacer:
    def test_the_price_balances_the_books(self):
        pacer = Pacer(0.3, rate=0.01, price=0.2)
        rng = np.random.default_rng(0)
        actions = rng.integers(0, 2, 500)
        for action in actions:
            pacer.spend(int(action))
        assert (pacer.price - 0.2) / 0.01 == pytest.approx(actions.sum() - 0.3 * 500)

    def test_it_holds_the_share_where_the_worth_of_the_cloud_shifts(self):
        pacer, rng, actions = Pacer(0.4, rate=0.01), np.random.default_rng(0), []
        for step in range(4000):
            worth = rng.normal(0.0 if step < 2000 else 0.5, 0.2)
            actions.append(int(worth >= pacer.price))
            pacer.spend(actions[-1])
        assert np.mean(actions[:2000]) == pytest.approx(0.4, abs=0.02)
        assert np.mean(actions[2000:]) == pytest.approx(0.4, abs=0.04)

    def test_the_first_price_is_the_budgets_quantile(self):
        pacer = Pacer(0.25)
        pacer.start(np.arange(100.0))
        assert (np.arange(100.0) >= pacer.price).mean() == 0.25

    def test_without_a_budget_the_price_is_above_everything_and_finite(self):
        pacer = Pacer(0.0)
        pacer.start(np.array([0.1, 0.3]))
        assert 0.3 < pacer.price < math.inf

    def test_a_limit_never_pays_for_the_cloud(self):
        pacer = Pacer(0.9, at_most=True)
        pacer.start(np.array([-0.5, -0.4, 0.2]))
        assert pacer.price == 0
        pacer.spend(0)
        assert pacer.price == 0
        pacer.spend(1)
        assert pacer.price > 0

    def test_bad_settings(self):
        with pytest.raises(RouterError, match="cloud_share"):
            Pacer(1.5)
        with pytest.raises(RouterError, match="rate"):
            Pacer(rate=-1)


class TestLinear:
    def test_the_probability_of_thompson_sampling_is_that_of_sampled_coefficients(self):
        policy, contexts = warm(ThompsonSampling(Pacer(0.5), exploration=0.5))
        policy.pacer.price = 0.1
        rng = np.random.default_rng(1)
        edge, cloud = (rng.multivariate_normal(arm.theta, 0.25 * arm.inverse, 200_000) for arm in policy.arms)
        for context in contexts[:5]:
            sampled = np.mean((cloud - edge) @ context.features >= 0.1)
            exact = policy.explore(context, policy.advantage(context))
            assert exact == pytest.approx(sampled, abs=5 * math.sqrt(0.25 / 200_000))

    def test_without_exploration_both_are_greedy(self):
        for kind in (LinUCB, ThompsonSampling):
            policy, contexts = warm(kind(Pacer(0.5), exploration=0.0))
            rng = np.random.default_rng(0)
            for context in contexts:
                decision = policy.decide(context, rng)
                assert decision.action == decision.greedy
                assert decision.propensity == 1

    def test_linucb_prefers_what_it_knows_less(self):
        policy, contexts = warm(LinUCB(Pacer(0.5, rate=0), exploration=0.0))
        unsure = copy.deepcopy(policy)
        unsure.exploration = 3.0
        for _ in range(300):  # the edge's arm learns, the cloud's does not
            for one in (policy, unsure):
                one.update(contexts[0], Decision(0, 1.0, 0, 0.0), 0.5)
        policy.pacer.price = unsure.pacer.price = policy.advantage(contexts[0]) + 0.01
        assert policy.explore(contexts[0], policy.advantage(contexts[0])) == 0
        assert unsure.explore(contexts[0], unsure.advantage(contexts[0])) == 1

    def test_an_observation_teaches_only_the_model_that_answered(self):
        policy, contexts = warm(ThompsonSampling(Pacer(0.5)))
        before = copy.deepcopy(policy.arms)
        policy.update(contexts[0], Decision(1, 0.5, 1, 0.0), 0.0)
        np.testing.assert_array_equal(policy.arms[0].theta, before[0].theta)
        assert not np.array_equal(policy.arms[1].theta, before[1].theta)

    @pytest.mark.parametrize("kind", [LinUCB, ThompsonSampling])
    def test_propensities_are_the_frequencies_of_actions(self, kind):
        policy, contexts = warm(kind(Pacer(0.5, rate=0), floor=0.1))
        rng = np.random.default_rng(0)
        for context in contexts[:4]:
            drawn = [policy.decide(context, rng) for _ in range(3000)]
            share = np.mean([one.action for one in drawn])
            of_cloud = {round(one.propensity if one.action else 1 - one.propensity, 9) for one in drawn}
            assert len(of_cloud) == 1
            assert share == pytest.approx(of_cloud.pop(), abs=0.05)
            assert all(0.1 - 1e-9 <= one.propensity <= 0.9 + 1e-9 for one in drawn)

    def test_state_goes_round(self, tmp_path):
        policy, contexts = warm(ThompsonSampling(Pacer(0.5), discount=0.99))
        rng = np.random.default_rng(0)
        for context in contexts:
            policy.update(context, policy.decide(context, rng), 1.0)
        policy.save(tmp_path)
        twin = ThompsonSampling(Pacer(0.5), discount=0.99)
        twin.restore(tmp_path)
        one, other = np.random.default_rng(5), np.random.default_rng(5)
        assert [policy.decide(c, one) for c in contexts] == [twin.decide(c, other) for c in contexts]

    def test_damaged_states_are_refused(self, tmp_path):
        policy, _ = warm(LinUCB())
        with pytest.raises(RouterError, match="cannot be read"):
            policy.restore(tmp_path)
        (tmp_path / "policy.safetensors").write_bytes(b"torn")
        with pytest.raises(RouterError, match="cannot be read"):
            policy.restore(tmp_path)
        from ianvs_collab.routing.online.files import write_arrays

        write_arrays(tmp_path / "policy.safetensors", {"price": np.zeros(1)})
        with pytest.raises(RouterError, match="no state of a linear policy"):
            policy.restore(tmp_path)


class TestFrozen:
    @pytest.mark.parametrize("make", [LinUCB, ThompsonSampling, lambda pacer: quick(pacer, every=40)])
    def test_it_neither_explores_nor_learns_but_keeps_the_budget(self, make):
        trace = make_trace()
        policy = make(Pacer(0.5, rate=0.05))
        contexts = [Context(np.eye(4)[i % 4], query) for i, query in enumerate(trace.queries())]
        policy.warm_up(contexts, qualities(trace))
        policy.frozen = True
        advantages = [policy.advantage(context) for context in contexts]
        rng = np.random.default_rng(0)
        decisions = []
        for context in contexts:
            decisions.append(policy.decide(context, rng))
            policy.update(context, decisions[-1], 0.0)
        assert [policy.advantage(context) for context in contexts] == advantages
        assert all(one.action == one.greedy and one.propensity == 1 for one in decisions)
        assert np.mean([one.action for one in decisions]) == pytest.approx(0.5, abs=0.1)


class TestEpsilonGreedy:
    def test_it_explores_with_the_budgets_share(self):
        trace = make_trace()
        policy = quick(Pacer(0.25, rate=0), epsilon=0.4)
        policy.warm_up(queries_of(trace), qualities(trace))
        probabilities = {round(policy.explore(c, policy.advantage(c)), 9) for c in queries_of(trace)}
        assert probabilities == {0.1, 0.7}

    def test_pseudo_labels_are_unbiased(self):
        trace = make_trace(40)
        policy = quick(Pacer(0.5), every=10**9, window=10**6)
        policy.warm_up(queries_of(trace), qualities(trace))
        context, quality, rng = queries_of(trace)[0], (0.2, 0.9), np.random.default_rng(0)
        start = len(policy._seen)
        for _ in range(20_000):
            action = int(rng.random() < 0.3)
            policy.update(context, Decision(action, 0.3 if action else 0.7, 0, 0.0), quality[action])
        labels = [worth for _, worth in list(policy._seen)[start:]]
        assert np.mean(labels) == pytest.approx(0.7, abs=0.02)

    def test_refitting_follows_the_feedback(self):
        trace = make_trace(120, subjects=2)
        policy = quick(Pacer(0.5, rate=0), every=60, window=60)
        policy.warm_up(queries_of(trace), qualities(trace))
        contexts = queries_of(trace)
        assert policy.advantage(contexts[0]) > policy.advantage(contexts[1])
        for index in range(60):  # the world is turned round
            for action in (0, 1):
                right = float((index % 2 == 0) == (action == 0))
                policy.update(contexts[index], Decision(action, 0.5, 0, 0.0), right)
        assert policy.advantage(contexts[0]) < policy.advantage(contexts[1])

    def test_equal_labels_leave_the_scorer_as_it_is(self):
        trace = make_trace(60)
        policy = quick(Pacer(0.5), every=2, window=2)
        policy.warm_up(queries_of(trace), qualities(trace))
        policy._means[:] = 0.5
        before = policy.scorer
        for _ in range(2):
            policy.learn(queries_of(trace)[0], Decision(1, 1.0, 1, 0.0), 0.5)
        assert policy.scorer is before

    def test_state_goes_round(self, tmp_path):
        trace = make_trace(80)
        policy = quick(Pacer(0.5), every=7, window=50)
        policy.warm_up(queries_of(trace), qualities(trace))
        policy.update(queries_of(trace)[3], Decision(1, 0.5, 1, 0.0), 1.0)
        answer = Answer({"completion": "x"}, trace.queries()[0])
        policy._seen.append((answer, 0.5))
        policy.save(tmp_path)
        twin = quick(Pacer(0.5), every=7, window=50)
        twin.restore(tmp_path)
        kept = twin._seen[-1][0]
        assert isinstance(kept, Answer) and kept == answer and kept.query == answer.query
        policy._seen.pop()
        twin._seen.pop()
        for context in queries_of(trace)[:20]:
            one = policy.decide(context, np.random.default_rng(0))
            assert one == twin.decide(context, np.random.default_rng(0))
            for each in (policy, twin):
                each.update(context, one, 1.0)

    def test_damaged_states_are_refused(self, tmp_path):
        policy = EpsilonGreedy()
        with pytest.raises(RouterError, match="cannot be read"):
            policy.restore(tmp_path)
        (tmp_path / "policy.json").write_text('{"scorer": "other"}')
        with pytest.raises(RouterError, match="saved with the scorer 'other'"):
            policy.restore(tmp_path)
        (tmp_path / "policy.json").write_text('{"scorer": "online-ridge"}')
        with pytest.raises(RouterError, match="no state of this policy"):
            policy.restore(tmp_path)

    def test_any_worth_is_a_targets_expectation(self):
        gains = np.array([-3.0, 0.0, 0.5, 7.0])
        target = worth_target(gains)
        np.testing.assert_allclose(target.expected, gains)
        np.testing.assert_allclose(target.probabilities.sum(axis=1), 1)
        assert (target.probabilities >= 0).all()
        assert (np.diff(target.values) > 0).all()
        np.testing.assert_allclose(worth_target(np.zeros(2)).expected, 0)


def test_an_unfitted_or_torn_ridge_scorer_is_refused(tmp_path):
    with pytest.raises(RouterError, match="has not been trained"):
        RidgeScorer().scores([Query(query="x")])
    trace = make_trace(20)
    RidgeScorer(components=3).fit(trace.queries(), worth_target(qualities(trace) @ [-1, 1])).save(tmp_path)
    from ianvs_collab.routing.online.files import write_arrays

    write_arrays(tmp_path / "ridge.safetensors", {"theta": np.zeros(2)})
    with pytest.raises(RouterError, match="does not belong"):
        RidgeScorer().restore(tmp_path)


def test_policies_are_made_by_name():
    assert isinstance(make_policy("epsilon-greedy", "online-ridge", epsilon=0.3), EpsilonGreedy)
    with pytest.raises(RouterError, match="no policy 'ucb'"):
        make_policy("ucb")
    with pytest.raises(RouterError, match="no setting 'epsilon'"):
        make_policy("lin-ucb", epsilon=0.1)
    for name, setting in (
        ("thompson", {"exploration": -1}),
        ("thompson", {"floor": 0.5}),
        ("epsilon-greedy", {"epsilon": 0}),
        ("epsilon-greedy", {"window": 1}),
        ("epsilon-greedy", {"every": 0}),
    ):
        with pytest.raises(RouterError, match=next(iter(setting))):
            make_policy(name, **setting)
    for policy in (LinUCB(), EpsilonGreedy()):
        with pytest.raises(RouterError, match="at least one query"):
            policy.warm_up([], np.zeros((0, 2)))
