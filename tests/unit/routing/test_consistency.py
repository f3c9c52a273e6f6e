"""Self-consistency: votes, seeds, and what they cost."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.inference import Answer, CloudParticipant, EdgeParticipant, Query
from ianvs_collab.link import Deployment, Device, Link, use_deployment
from ianvs_collab.metrics import plugins
from ianvs_collab.modelserver.types import Generation, SamplingParams
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.consistency import ConsistencyRouter

GREEDY = SamplingParams(logprobs=True)


class Moody:
    """Greedy it says what comes first; sampled it says what its seed says."""

    def __init__(self, made: Any, answers: Sequence[str]) -> None:
        self.made, self.answers, self.info, self.seeds = made, answers, made.info, []

    def generate(self, prompt: Any, params: SamplingParams, *, query_id: str | None = None) -> Generation:
        seed = 0 if params.greedy else params.seed
        if not params.greedy:
            self.seeds.append(seed)
        return replace(self.made.generation, text=self.answers[seed or 0])


def ask() -> Query:
    return Query(query_id="q", query="Capital?\nA. Rome\nB. Paris", choices={"A": "Rome", "B": "Paris"})


def edge(scripted: Any, *answers: str) -> tuple[EdgeParticipant, Moody]:
    server = Moody(scripted(times=(0.1, 0.2), logprobs=(-0.1, -0.1)), answers)
    return EdgeParticipant(server, GREEDY), server  # type: ignore[arg-type]


def test_the_share_of_agreeing_samples_decides(scripted: Any) -> None:
    participant, server = edge(scripted, "Paris", "Paris", "Rome", "Paris", "dunno")
    for agreement, hard in ((0.6, False), (0.61, True)):
        answer = copy.deepcopy(participant.answer(ask()))
        assert ConsistencyRouter(agreement, samples=5)(answer) is hard
        assert answer["sample_answers"] == ["B", "B", "A", "B", ""]
    assert server.seeds == [0, 1, 2, 3, 4] * 2


@given(st.lists(st.sampled_from(["A", "B", ""]), min_size=1, max_size=9), st.sampled_from(["A", "B"]))
def test_the_score_is_the_share_that_disagrees(votes: list[str], letter: str) -> None:
    answer = Answer({"answer": letter, "sample_answers": votes}, ask())
    assert ConsistencyRouter().score(answer) == pytest.approx(sum(vote != letter for vote in votes) / len(votes))


def test_an_answer_that_cannot_be_read_goes_to_the_cloud() -> None:
    assert ConsistencyRouter(0.0)(Answer({"answer": None, "sample_answers": ["", ""]}, ask()))


def test_recorded_samples_are_not_asked_for_again() -> None:
    assert ConsistencyRouter(0.5)(Answer({"answer": "A", "sample_answers": ["B", "A", "B"]}, ask()))


def test_the_user_waits_for_the_samples_and_sees_the_answer_as_a_whole(scripted: Any) -> None:
    use_deployment(Deployment(edge=Device(slowdown=2.0, power_w=5.0)))
    participant, _ = edge(scripted, *["Paris"] * 3)
    original = participant.answer(ask())
    shown = copy.deepcopy(original)
    assert not ConsistencyRouter(samples=3)(shown)
    waited = 2 * 0.2 * (1 + 3)
    total = shown["perf"]["end_to_end_latency"]
    assert waited < total < waited + 0.5
    assert shown["perf"]["time_to_first_token"] == total
    assert shown["perf"]["time_per_output_token"] == 0
    assert shown["perf"]["throughput"] == pytest.approx(2 / total)
    assert shown["energy"]["joules"] == pytest.approx(5.0 * total)
    assert [s["count"] for s in shown["timeline"]["spans"] if s["label"] == "sample"] == [3]
    assert shown["timeline"]["commits"] == [round(total, 6)] * 2
    assert original["perf"]["end_to_end_latency"] == pytest.approx(0.4)


def test_what_the_samples_cost_is_in_the_record_and_the_metrics(scripted: Any) -> None:
    participant, _ = edge(scripted, "Paris", "Rome", "Paris")
    original = participant.answer(ask())
    shown = copy.deepcopy(original)
    hard = ConsistencyRouter(samples=3)(shown)
    for record in (original, shown):
        assert record["samples"] == {
            "count": 3,
            "prompt_tokens": 60,
            "completion_tokens": 6,
            "seconds": pytest.approx(0.6),
        }
    y_pred = [[hard, shown, original, None]]
    assert plugins("cost")["Edge Prompt Tokens"]("B", y_pred) == 80
    assert plugins("cost")["Edge Completion Tokens"]("B", y_pred) == 8
    assert plugins("traffic")["Uplink Bytes"]("B", y_pred) == 0


def test_the_clouds_answer_comes_after_the_samples(scripted: Any) -> None:
    use_deployment(Deployment(link=Link(rtt_ms=100)))
    participant, _ = edge(scripted, "Paris", "Rome", "Rome")
    query = ask()
    answer = copy.deepcopy(participant.answer(query))
    assert ConsistencyRouter(samples=2, seed=1)(answer)
    cloud = CloudParticipant(scripted(times=(0.1,)), GREEDY).answer(query)
    assert 0.2 + 2 * 0.2 + 0.2 < cloud["perf"]["time_to_first_token"] < 1.5


def test_replayed_samples_take_no_time(scripted: Any) -> None:
    participant, server = edge(scripted, "Paris", "Paris")
    server.made = scripted(times=(), completion_tokens=3)
    answer = copy.deepcopy(participant.answer(ask()))
    assert not ConsistencyRouter(samples=2)(answer)
    assert answer["samples"]["seconds"] == 0
    assert answer["perf"]["end_to_end_latency"] is None


def test_the_samplers_settings_reach_the_model(scripted: Any) -> None:
    server = scripted("Paris")
    answer = EdgeParticipant(server, replace(GREEDY, max_tokens=7)).answer(ask())
    ConsistencyRouter(samples=1, temperature=0.7, top_p=0.9, seed=4)(answer)
    (_, params) = server.asked[-1]
    assert params == SamplingParams(max_tokens=7, temperature=0.7, top_p=0.9, seed=4, logprobs=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"agreement": 60}, "agreement must lie between 0 and 1, not 60"),
        ({"samples": 0}, "samples must be at least 1, not 0"),
        ({"temperature": 0}, "temperature must be above 0, not 0"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RouterError, match=message):
        ConsistencyRouter(**arguments)


def test_wrong_data(scripted: Any) -> None:
    with pytest.raises(RouterError, match="set hard_example_mining_mode: inference-then-mining"):
        ConsistencyRouter()(ask())
    with pytest.raises(RouterError, match="record it with --samples 5"):
        ConsistencyRouter().score(Answer({"answer": "A"}, ask()))
    with pytest.raises(RouterError, match="only if that is this project's EdgeModel"):
        ConsistencyRouter()(Answer({"answer": "A"}, ask()))
    with pytest.raises(RouterError, match="only if that is this project's EdgeModel"):
        ConsistencyRouter()(CloudParticipant(scripted("Paris"), GREEDY).answer(ask()))
