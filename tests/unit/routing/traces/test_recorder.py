from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from ianvs_collab.inference import Query
from ianvs_collab.inference.participants import CloudParticipant, EdgeParticipant
from ianvs_collab.link import wire
from ianvs_collab.modelserver.types import Generation, ModelInfo, ModelTimeoutError, Prompt, SamplingParams
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.traces.recorder import Recorder, Sampling

TEXT = "Example?\nA. x\nB. y\nAnswer: A\n\nWhich?\nA. Paris\nB. Rome\nAnswer:"


def query(**fields: Any) -> Query:
    given = {"query_id": "q", "query": TEXT, "messages": [{"role": "user", "content": TEXT}], "shots": 1}
    return Query({**given, "choices": {"A": "Paris", "B": "Rome"}, "subject": "s", "language": "en", **fields})


@dataclass
class Drawer:
    """Answers greedily with its first text, and draws from its texts by the seed."""

    texts: Sequence[str]
    asked: list[tuple[Prompt, SamplingParams, str | None]] = field(default_factory=list)
    info: ModelInfo = field(default_factory=lambda: ModelInfo("drawer", "test"))

    def generate(self, prompt: Prompt, params: SamplingParams, *, query_id: str | None = None) -> Generation:
        self.asked.append((prompt, params, query_id))
        text = self.texts[0] if params.greedy else self.texts[(params.seed or 0) % len(self.texts)]
        return Generation(text, 7, 2, (0.1000001, 0.3), logprobs=(-0.123456, -0.00001) if params.logprobs else None)

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[Generation]:
        return [self.generate(prompt, params) for prompt in prompts]

    def close(self) -> None: ...


def ends(edge: Any, cloud: Any) -> tuple[EdgeParticipant, CloudParticipant]:
    return EdgeParticipant(edge, SamplingParams(max_tokens=5)), CloudParticipant(cloud, SamplingParams(max_tokens=9))


def test_a_row_holds_what_both_models_made_of_a_query() -> None:
    row = Recorder(*ends(Drawer(["It is Rome."]), Drawer(["Paris"]))).row(query(), "A")
    assert (row.query_id, row.subject, row.language, row.gold) == ("q", "s", "en", "A")
    assert row.text == "Which?\nA. Paris\nB. Rome\nAnswer:"  # without the solved example
    assert (row.edge.quality, row.edge.answer, row.edge.completion) == (0.0, "B", "It is Rome.")
    assert (row.cloud.quality, row.cloud.answer) == (1.0, "A")
    assert (row.edge.prompt_tokens, row.edge.completion_tokens) == (7, 2)
    assert (row.edge.prefill_seconds, row.edge.total_seconds) == (0.1, 0.3)
    assert row.edge.logprobs == (-0.1235, 0.0)
    assert str(row.edge.logprobs) == "(-0.1235, 0.0)"  # no negative zero


def test_the_request_is_measured_with_the_whole_prompt_and_the_models_own_decoding() -> None:
    row = Recorder(*ends(Drawer(["x"]), Drawer(["y"]))).row(query(), "A")
    messages = [{"role": "user", "content": TEXT}]
    assert row.request_bytes == len(wire.chat_request(messages, SamplingParams(max_tokens=9), "drawer"))


def test_a_recording_leaves_no_mark_on_the_query() -> None:
    asked = query()
    Recorder(*ends(Drawer(["x"]), Drawer(["y"]))).row(asked, "A")
    assert asked.timeline.events == []


def test_models_are_asked_with_log_probabilities_and_their_own_decoding() -> None:
    edge, cloud = Drawer(["x"]), Drawer(["y"])
    Recorder(*ends(edge, cloud)).row(query(), "A")
    assert edge.asked == [([{"role": "user", "content": TEXT}], SamplingParams(max_tokens=5, logprobs=True), "q")]
    assert cloud.asked[0][1] == SamplingParams(max_tokens=9, logprobs=True)


def test_an_answer_that_names_no_option_is_unparsed_and_wrong() -> None:
    side = Recorder(*ends(Drawer(["no idea"]), Drawer(["Paris"]))).row(query(), "A").edge
    assert (side.quality, side.answer, side.outcome) == (0.0, None, "unparsed")


def test_samples_are_drawn_with_seeds_of_their_own() -> None:
    edge, cloud = Drawer(["Paris", "Rome", "no idea"]), Drawer(["Paris", "Rome", "no idea"])
    row = Recorder(*ends(edge, cloud), Sampling(9, temperature=0.5, seed=3)).row(query(), "A")
    drawn = [params for _, params, _ in edge.asked[1:]] + [params for _, params, _ in cloud.asked[1:]]
    assert {params.temperature for params in drawn} == {0.5}
    assert len({params.seed for params in drawn}) == 18
    assert set(row.edge.sample_answers) == {"A", "B", ""}
    assert row.edge.samples == tuple(float(letter == "A") for letter in row.edge.sample_answers)


@pytest.mark.parametrize("other", [Sampling(3, seed=1), Sampling(3, seed=0)])
def test_the_same_seed_draws_the_same_samples(other: Sampling) -> None:
    seeds = [Sampling(3, seed=1).seed_of("edge", "q", number) for number in range(3)]
    assert (seeds == [other.seed_of("edge", "q", number) for number in range(3)]) == (other.seed == 1)


@pytest.mark.parametrize(
    ("error", "outcome"), [(ValueError("broken"), "error"), (ModelTimeoutError("slow"), "timeout")]
)
def test_a_model_that_fails_is_wrong_and_the_other_is_still_asked(error: Exception, outcome: str) -> None:
    class Broken(Drawer):
        def generate(self, *args: Any, **kwargs: Any) -> Generation:
            raise error

    told: list[str] = []
    row = Recorder(*ends(Broken(["x"]), Drawer(["Paris"])), Sampling(2)).row(query(), "A", told.append)
    assert (row.edge.outcome, row.edge.quality, row.edge.samples) == (outcome, 0.0, (0.0, 0.0))
    assert row.edge.sample_answers == ("", "")
    assert row.cloud.quality == 1.0
    assert told == [f"edge model: {type(error).__name__}: {error}"]


def test_a_back_end_that_measures_nothing_leaves_times_and_log_probabilities_out() -> None:
    class Replayed(Drawer):
        def generate(self, *args: Any, **kwargs: Any) -> Generation:
            return Generation("Paris", 7, 1)

    side = Recorder(*ends(Replayed([]), Replayed([]))).row(query(), "A").edge
    assert (side.prefill_seconds, side.total_seconds, side.logprobs) == (None, None, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sampling(2, temperature=0.0), "sampled answers need a temperature above 0, not 0.0"),
        (lambda: Sampling(2, temperature=float("nan")), "temperature above 0, not nan"),
        (lambda: Sampling(-1), "samples must be a whole number from 0 up, not -1"),
    ],
)
def test_samples_that_would_all_be_alike_are_refused(make: Callable[[], Sampling], message: str) -> None:
    with pytest.raises(RouterError, match=message):
        make()
