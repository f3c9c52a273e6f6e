from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.routing import RouterError
from ianvs_collab.routing.online import LinUCB, Pacer, ThompsonSampling, Users, replay, subject_blocks
from ianvs_collab.routing.online.policy import OnlinePolicy
from ianvs_collab.routing.online.prequential import oracle_actions, windowed

from .conftest import contexts_of


class Scripted(OnlinePolicy):
    """Does what it is told, and writes down what happens."""

    def __init__(self, actions):
        super().__init__(Pacer(0.5, rate=0.0, price=0.1))
        self.script, self.diary = iter(actions), []

    def advantage(self, context):
        return 1.0

    def explore(self, context, advantage):
        action = next(self.script)
        self.diary.append(("decide", action))
        return float(action)

    def learn(self, context, decision, reward):
        self.diary.append(("learn", reward))

    def warm_up(self, contexts, quality):
        raise AssertionError

    save = restore = warm_up


QUALITY = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])


def run(policy, users=None, quality=QUALITY, **options):
    return replay(policy, contexts_of(np.ones((len(quality), 1))), quality, np.random.default_rng(0), users, **options)


def test_it_tests_before_it_trains_and_shows_only_the_answer_given():
    policy = Scripted([0, 0, 1, 1])
    run(policy)
    learned = [reward for what, reward in policy.diary if what == "learn"]
    assert learned == [1.0, 0.0, 1.0, 1.0]
    assert [what for what, _ in policy.diary] == ["decide", "learn"] * 4


def test_late_feedback_arrives_that_many_queries_later_and_at_the_latest_at_the_end():
    policy = Scripted([0, 0, 1, 1])
    run(policy, Users(delay=2))
    assert [what for what, _ in policy.diary] == ["decide"] * 3 + ["learn", "decide"] + ["learn"] * 3
    assert [reward for what, reward in policy.diary if what == "learn"] == [1.0, 0.0, 1.0, 1.0]  # the oldest first


def test_nothing_is_learned_from_users_who_are_silent():
    policy = Scripted([0, 0, 1, 1])
    run(policy, Users(probability=0.0))
    assert policy.diary == [("decide", 0), ("decide", 0), ("decide", 1), ("decide", 1)]


def test_figures_of_a_replay_by_hand():
    policy = Scripted([0, 0, 1, 1])
    replayed = run(policy)
    assert replayed.actions.tolist() == [0, 0, 1, 1]
    assert replayed.greedy.tolist() == [1, 1, 1, 1]
    assert replayed.shown.tolist() == [1, 0, 1, 1]
    assert replayed.cloud_share == 0.5
    assert replayed.explored == 0.5
    # greedy: 0, 1, 1, 1 for the price 0.1 each; done: 1, 0 free, and 1, 1 for 0.1 each
    assert replayed.exploration_cost == pytest.approx(((3 - 0.4) - (3 - 0.2)) / 4)
    assert replayed.regret().tolist() == [0, 1, 1, 1]
    assert len(replayed.part(1)) == 3
    assert replayed.part(0, 2).shown.tolist() == [1, 0]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=7), st.integers(0, 7))
def test_the_oracle_is_the_best_of_all_routes_with_its_share(rows, count):
    quality = np.array(rows)
    count = min(count, len(rows))
    actions = oracle_actions(quality, count / len(rows))
    assert actions.sum() == count
    index = np.arange(len(rows))
    best = max(
        quality[index, np.isin(index, chosen).astype(int)].sum() for chosen in itertools.combinations(index, count)
    )
    assert quality[index, actions].sum() == pytest.approx(best)


def test_windows_cover_everything_once():
    assert windowed(np.arange(7.0), 3).tolist() == [1.0, 4.5]
    assert windowed(np.arange(2.0), 3).tolist() == [0.5]
    with pytest.raises(RouterError, match="window"):
        windowed(np.ones(3), 0)


def test_it_refuses_what_does_not_fit():
    with pytest.raises(RouterError, match="as many"):
        run(Scripted([]), quality=QUALITY[:0])


class TestUsers:
    def test_flips_and_silence_have_their_probabilities(self):
        users = Users(flip=0.2, probability=0.6, seed=3)
        said = [users.says(number, 1.0) for number in range(20_000)]
        spoken = [one for one in said if one is not None]
        assert len(spoken) / len(said) == pytest.approx(0.6, abs=0.02)
        assert np.mean(spoken) == pytest.approx(0.8, abs=0.02)

    def test_what_a_user_does_depends_on_the_query_and_not_on_the_answer(self):
        users = Users(flip=0.5, probability=0.5, seed=1)
        for number in range(50):
            right, wrong = users.says(number, 1.0), users.says(number, 0.0)
            assert (right is None) == (wrong is None)
            assert right is None or right == 1 - wrong
            assert right == users.says(number, 1.0)

    def test_without_noise_it_is_the_quality(self):
        assert Users().says(0, 0.3) == 0.3
        assert Users(probability=0.0).says(0, 0.3) is None

    def test_bad_settings(self):
        for bad in ({"flip": -0.1}, {"probability": 2}, {"delay": -1}):
            with pytest.raises(RouterError, match=next(iter(bad))):
                Users(**bad)


class TestStream:
    def test_blocks_share_no_subject_and_hold_every_row_once(self):
        subjects = np.array([f"s{i % 9}" for i in range(200)])
        stream = subject_blocks(subjects, seed=1, blocks=3, warm_up=0.5)
        rows = np.concatenate([stream.warm_up, stream.arriving])
        assert sorted(rows) == list(range(200))
        blocks = [
            set(subjects[np.concatenate([stream.warm_up, stream.before])]),
            *(set(subjects[b]) for b in stream.after),
        ]
        assert [len(block) for block in blocks] == [3, 3, 3]
        assert len(set.union(*blocks)) == 9
        assert len(stream.warm_up) == pytest.approx(len(stream.before), abs=1)

    def test_it_is_seeded(self):
        subjects = np.array(list("aabbccdd") * 5)
        one, same, other = (subject_blocks(subjects, seed, 2).arriving.tolist() for seed in (1, 1, 2))
        assert one == same != other

    def test_bad_input(self):
        with pytest.raises(RouterError, match="cannot make 3 blocks"):
            subject_blocks(np.array(["a", "b"]), 0, 3)
        with pytest.raises(RouterError, match="warm_up"):
            subject_blocks(np.array(["a", "b"] * 9), 0, 2, warm_up=1.0)


@pytest.mark.parametrize("kind", [LinUCB, ThompsonSampling])
def test_a_lifelong_policy_beats_its_frozen_twin_when_the_world_turns(kind):
    """Two kinds of queries; for the first half the cloud is right on one kind, then on the other."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, 1200)
    turned = np.where(np.arange(1200) < 600, kinds, 1 - kinds)
    quality = np.column_stack([1.0 - turned, turned.astype(float)])
    contexts, gains = contexts_of(np.eye(2)[kinds]), {}
    for frozen in (False, True):
        policy = kind(Pacer(0.5), discount=0.98)
        policy.warm_up(contexts[:100], quality[:100])
        policy.frozen = frozen
        replayed = replay(policy, contexts[100:], quality[100:], np.random.default_rng(1))
        assert replayed.part(0, 400).shown.mean() > 0.8
        gains[frozen] = replayed.part(700).shown.mean()
    assert gains[False] > gains[True] + 0.5


def test_a_replay_is_seeded():
    features, quality = np.random.default_rng(0).normal(size=(80, 3)), np.random.default_rng(1).random((80, 2))

    def once(seed):
        policy = ThompsonSampling(Pacer(0.5))
        policy.warm_up(contexts_of(features[:20]), quality[:20])
        return replay(policy, contexts_of(features[20:]), quality[20:], np.random.default_rng(seed), Users(flip=0.1))

    assert once(0).actions.tolist() == once(0).actions.tolist() != once(1).actions.tolist()
