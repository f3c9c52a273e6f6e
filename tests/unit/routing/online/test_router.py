from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ianvs_collab.inference import Answer, Query
from ianvs_collab.records import Record, RecordWriter
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.online import FeedbackQueryProcessor, LifelongRouter
from ianvs_collab.routing.online.routelog import read_routes
from ianvs_collab.routing.online.stream import subject_blocks
from ianvs_collab.routing.scorer import Scorer, scorer

from .conftest import make_trace

POLICIES = ["lin-ucb", "thompson", "epsilon-greedy"]
NOISE = {"flip": 0.1, "feedback_probability": 0.7, "delay": 3, "seed": 5}


class Job:
    """What the engine does: asks the miner, lets a model answer, and keeps the result."""

    def __init__(self, count=60, failing=(), **noise):
        trace = make_trace(count, seed=7)
        texts = [f"{row.text}" for row in trace]
        data = SimpleNamespace(x=texts, y=["A"] * count, dataset_name="job", level_4=[row.subject for row in trace])
        self.queries = FeedbackQueryProcessor(**noise)(data).x
        self.quality = [(row.edge.quality, row.cloud.quality) for row in trace]
        self.failing = failing

    def ask(self, router, index):
        query = self.queries[index]
        hard = router(query)
        if index in self.failing:
            failed = {"outcome": "error", "answer": None}
            return [False, failed, failed, None]
        answer = Answer({"answer": "A" if self.quality[index][hard] else "B", "outcome": "ok"}, query)
        query.latest = (None, answer)
        return [hard, answer, None if hard else answer, answer if hard else None]

    def run(self, router, start=0, stop=None):
        results = [self.ask(router, index) for index in range(start, stop or len(self.queries))]
        router.cleanup()
        return results


def made(folder, policy="lin-ucb", **settings):
    if policy == "epsilon-greedy":
        settings = {"every": 20, "scorer": "test-subject", **settings}
    return LifelongRouter(train_data=folder, policy=policy, components=3, cloud_share=0.5, **settings)


@scorer("test-subject")
class SubjectMean(Scorer):
    """Mean worth of each subject; also learns from the length of answers if there are any."""

    def settings(self):
        return {}

    def fit(self, inputs, target):
        names = [Query.of(one)["subject"] for one in inputs]
        self.means = {
            name: float(np.mean([w for n, w in zip(names, target.expected, strict=True) if n == name]))
            for name in names
        }
        return self

    def scores(self, inputs):
        return np.array([self.means.get(Query.of(one)["subject"], 0.0) for one in inputs])

    def save(self, folder):
        (folder / "means.json").write_text(json.dumps(self.means))

    def restore(self, folder):
        self.means = json.loads((folder / "means.json").read_text())


@scorer("test-answer")
class AnswerScorer(SubjectMean):
    reads_answer = True


@pytest.mark.parametrize("policy", POLICIES)
def test_a_resumed_run_decides_as_an_uninterrupted_one(policy, trace_folder):
    whole = Job(failing={4, 21}, **NOISE)
    expected = whole.run(made(trace_folder, policy))
    recorded = [json.loads(json.dumps([result[0], dict(result[1]), None, None])) for result in expected]
    for stop in (1, 22, 37):
        again, router = Job(failing={4, 21}, **NOISE), made(trace_folder, policy)
        for index in range(stop):
            router.replay(again.queries[index], recorded[index])
        results = again.run(router, start=stop)
        assert [one[0] for one in results] == [one[0] for one in expected[stop:]]
        for one, other in zip(results, expected[stop:], strict=True):
            assert one[1].get("routing") == other[1].get("routing") or one[1]["outcome"] == "error"


def test_it_learns_from_what_users_say(trace_folder):
    """In the trace the cloud is better on even subjects; here the users of all say the cloud is wrong."""
    job, router = Job(200), made(trace_folder)
    fixed = made(trace_folder, learns=False)
    job.quality = [(1.0, 0.0)] * 200
    before = np.mean([router.policy.advantage(router._context(query)) for query in job.queries])
    job.run(router)
    after = np.mean([router.policy.advantage(router._context(query)) for query in job.queries])
    assert after < before - 0.2
    assert Job(200).run(fixed)
    assert np.mean([fixed.policy.advantage(fixed._context(q)) for q in job.queries]) == pytest.approx(before)


def test_it_never_looks_at_a_query_before_its_answer_was_shown(trace_folder):
    job, router = Job(3), made(trace_folder)
    router(job.queries[0])
    router(job.queries[1])  # the first query was never answered
    assert len(router._pending) == 1
    assert np.array_equal(router.policy.arms[0].theta, made(trace_folder).policy.arms[0].theta)


def test_it_keeps_the_budget_and_puts_its_time_on_the_timeline(trace_folder):
    job = Job(200)
    results = job.run(made(trace_folder, rate=0.02))
    assert np.mean([one[0] for one in results]) == pytest.approx(0.5, abs=0.1)
    assert all(query.timeline.busy_seconds("edge") > 0 for query in job.queries)
    assert all(type(one[0]) is bool for one in results)


def test_the_score_is_the_gain_beyond_the_price(trace_folder):
    router = made(trace_folder)
    even, odd = (Query(query="q about topic", subject=f"subject{n}") for n in (0, 1))
    assert router.score(even) > 0 > router.score(odd)
    assert router.scores([even, odd]).tolist() == [router.score(even), router.score(odd)]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_learned_can_be_taken_up_again(policy, trace_folder, tmp_path):
    router = made(trace_folder, policy, save_to=str(tmp_path / "kept"))
    Job(40).run(router)
    extra = {"every": 20, "scorer": "test-subject"} if policy == "epsilon-greedy" else {}
    twin = LifelongRouter(start_from=str(tmp_path / "kept"), policy=policy, cloud_share=0.5, **extra)
    assert [one[1]["routing"] for one in Job(30).run(twin)] == [one[1]["routing"] for one in Job(30).run(router)]


def test_a_frozen_twin_works_without_users(trace_folder):
    router = made(trace_folder, learns=False)
    assert [router(query) for query in make_trace(4).queries()] == [True, False, True, False]


def test_in_a_cascade_the_policy_sees_the_edges_answer(trace_folder):
    router = made(trace_folder, "epsilon-greedy", scorer="test-answer")
    job = Job(3)
    answers = [Answer({"answer": "A", "outcome": "ok"}, query) for query in job.queries]
    hard = router(answers[0])
    assert answers[0]["routing"]["action"] == int(hard)
    with pytest.raises(RouterError, match="inference-then-mining"):
        router(job.queries[1])
    again = made(trace_folder, "epsilon-greedy", scorer="test-answer")
    fresh = Job(3)
    again.replay(fresh.queries[0], [hard, dict(answers[0]), dict(answers[0]), None])
    again.replay(fresh.queries[1], [False, {"outcome": "timeout"}, {"outcome": "timeout"}, None])
    assert len(again._pending) == 1
    assert again._pending[0][2]._asdict() == answers[0]["routing"]


def test_a_record_of_another_router_is_noticed(trace_folder):
    job, router = Job(1), made(trace_folder, seed=1)
    recorded = Job(1).ask(made(trace_folder, seed=1), 0)
    with pytest.raises(RouterError, match="without --resume"):
        router.replay(job.queries[0], [not recorded[0], dict(recorded[1]), None, None])


def test_frozen_twins_can_be_resumed_without_users(trace_folder):
    router, query = made(trace_folder, learns=False), make_trace(1).queries()[0]
    router.replay(query, [True, {"answer": "A", "outcome": "ok"}, None, {}])
    assert not router._pending


def test_bad_settings_are_refused(trace_folder, tmp_path):
    with pytest.raises(RouterError, match="either train_data"):
        LifelongRouter()
    with pytest.raises(RouterError, match="either train_data"):
        LifelongRouter(train_data="a", start_from="b")
    with pytest.raises(RouterError, match="name another folder"):
        LifelongRouter(start_from=str(tmp_path / "x"), save_to=str(tmp_path / "y" / ".." / "x"))
    with pytest.raises(RouterError, match="FeedbackQueryProcessor"):
        made(trace_folder)(Query(query="x", subject="s"))
    with pytest.raises(RouterError, match="cannot be read"):
        LifelongRouter(start_from=str(tmp_path))


def test_the_records_of_a_run_are_a_log(trace_folder, tmp_path):
    job = Job(50, failing={2})
    results = job.run(made(trace_folder, "thompson", floor=0.1))
    path = tmp_path / "records.jsonl"
    with RecordWriter.open(path) as writer:
        for index, (query, result) in enumerate(zip(job.queries, results, strict=True)):
            outcome = result[1]["outcome"]
            writer.append(Record(index, query["query_id"], None, outcome, result, "A", None, 0.1))
        writer.append(Record(50, "by another router", None, "ok", [True, {"outcome": "ok"}, None, {}], "A", None, 0.1))
    ids, log = read_routes(path)
    assert ids == [query["query_id"] for index, query in enumerate(job.queries) if index != 2]
    assert log.actions.tolist() == [int(one[0]) for index, one in enumerate(results) if index != 2]
    assert log.rewards.tolist() == [job.quality[i][results[i][0]] for i in range(50) if i != 2]
    assert (log.propensities >= 0.1 - 1e-9).all() and len(set(log.propensities)) > 2


def test_records_without_routes_are_refused(tmp_path):
    with RecordWriter.open(tmp_path / "records.jsonl") as writer:
        writer.append(Record(0, "q", "edge", "ok", [False, {"answer": "A"}, {}, None], "A", None, 0.1))
    with pytest.raises(RouterError, match="holds no route"):
        read_routes(tmp_path / "records.jsonl")


def test_on_real_traces_the_lifelong_twin_wins_after_the_shift(data_root: Path):
    """A few deals of the subjects; the benchmark measures it with more."""
    from ianvs_collab.routing.online import Context, FeatureMap, LinUCB, Pacer, replay
    from ianvs_collab.routing.traces.correctness import read_correctness

    trace = read_correctness(data_root / "traces" / "mmlu_mixtral_gpt4.csv", data_root / "mmlu")
    quality, queries = np.column_stack([trace.quality("edge"), trace.quality("cloud")]), trace.queries()
    gains = []
    for seed in range(100, 104):
        stream = subject_blocks(trace.subjects, seed)
        features = FeatureMap(components=16).fit([queries[row] for row in stream.warm_up])
        shown = []
        for frozen in (False, True):
            policy, parts = LinUCB(Pacer(0.5)), []
            for rows in (stream.warm_up, stream.arriving):
                chosen = [queries[row] for row in rows]
                parts.append([Context(v, q) for v, q in zip(features.transform(chosen), chosen, strict=True)])
            policy.warm_up(parts[0], quality[stream.warm_up])
            policy.frozen = frozen
            replayed = replay(policy, parts[1], quality[stream.arriving], np.random.default_rng(seed))
            assert replayed.cloud_share == pytest.approx(0.5, abs=0.02)
            shown.append(replayed.part(len(stream.before)).shown.mean())
        gains.append(shown[0] - shown[1])
    assert np.mean(gains) > 0.004
