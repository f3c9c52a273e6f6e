"""The strategies as Ianvs modules: all that decode greedily answer as the target alone, and each tells how."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.inference import Query
from ianvs_collab.modelserver import ModelServerError, SamplingParams
from ianvs_collab.records import Record
from ianvs_collab.speculative import SpeculativeError
from ianvs_collab.speculative.ianvs import (
    CloudAlone,
    ColocatedSpeculation,
    EdgeAlone,
    NotMined,
    SelfDesigned,
    SpeculativeModel,
    TargetModel,
    TransformersAssisted,
    TransformersLookup,
    current_target,
)
from ianvs_collab.speculative.ianvs.transformers_server import AssistedServer, TokenTimes
from ianvs_collab.speculative.remote import EXTENSION
from ianvs_collab.testcase.plugins import load_class
from ianvs_collab.zoo.export import test_questions as nano_questions

Run = Callable[..., list[list[Any]]]
GREEDY_STRATEGIES: dict[str, Callable[..., SelfDesigned]] = {
    "synchronous": SpeculativeModel,
    "pre-draft": lambda **d: SpeculativeModel(pipelining="pre-draft", draft_length=3, **d),
    "asynchronous": lambda **d: SpeculativeModel(pipelining="asynchronous", draft_length=3, window=3, **d),
    "measured": lambda **d: SpeculativeModel(draft_length="measured", **d),
    "early-exit": lambda **d: SpeculativeModel(drafter="early-exit", layers=8, **d),
    "prompt-lookup": lambda **d: SpeculativeModel(drafter="prompt-lookup", pipelining="asynchronous", **d),
    "colocated": ColocatedSpeculation,
    "assisted": TransformersAssisted,
    "lookup": TransformersLookup,
}
PLUGINS = {
    "speculative_model": "SpeculativeModel",
    "edge_alone": "EdgeAlone",
    "cloud_alone": "CloudAlone",
    "colocated_speculation": "ColocatedSpeculation",
    "transformers_assisted": "TransformersAssisted",
    "transformers_lookup": "TransformersLookup",
}


@cache
def prompts() -> list[str]:
    return [row.prompt for row in nano_questions()[:4]]


def queries(count: int) -> list[Query]:
    return [
        Query(query_id=f"q{index}", query=text, messages=[{"role": "user", "content": text}])
        for index, text in enumerate(prompts()[:count])
    ]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What modules tell Sedna by the environment is forgotten after each test."""
    for name in ("BACKEND_TYPE", "model_path"):
        monkeypatch.setenv(name, "")


@pytest.fixture
def target() -> Iterator[TargetModel]:
    made = TargetModel(fused=False)
    yield made
    made.cleanup()


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A deployment with a round trip that no computing hides."""
    path = tmp_path_factory.mktemp("deployments") / "far.yaml"
    path.write_text("link: {rtt_ms: 200, uplink_mbps: 50, downlink_mbps: 50}\n")
    return str(path)


@pytest.fixture(scope="module")
def alone(far: str) -> Iterator[list[dict[str, Any]]]:
    """What the cloud alone answers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BACKEND_TYPE", "model_path"):
            patch.setenv(name, "")
        target, strategy = TargetModel(fused=False), CloudAlone(deployment=far, share=False, max_tokens=32)
        yield [strategy.predict(query)[1] for query in queries(2)]
        strategy.cleanup()
        target.cleanup()


@pytest.fixture
def run(target: TargetModel) -> Run:
    """Asks a strategy some questions, as Ianvs does."""

    def ask(strategy: SelfDesigned, count: int = 2) -> list[list[Any]]:
        strategy.load()
        try:
            return [strategy.predict(data=query, mining_mode="self-design") for query in queries(count)]
        finally:
            strategy.cleanup()

    return ask


@pytest.mark.parametrize("name", GREEDY_STRATEGIES)
def test_a_greedy_strategy_answers_as_the_cloud_alone(
    run: Run, far: str, alone: list[dict[str, Any]], name: str
) -> None:
    found = run(GREEDY_STRATEGIES[name](deployment=far, max_tokens=32))
    for reference, (hard, answer, _, cloud) in zip(alone, found, strict=True):
        assert hard is True
        assert answer["completion"] == reference["completion"]
        assert answer["usage"] == reference["usage"]
        assert cloud is answer
        assert set(answer) == {*reference, "speculation"}
        commits = answer["timeline"]["commits"]
        assert len(commits) == answer["usage"]["completion_tokens"]
        assert commits == sorted(commits)
        perf = answer["perf"]
        assert perf["time_to_first_token"] > 0.2
        assert perf["end_to_end_latency"] == pytest.approx(commits[-1], abs=1e-5)
        assert perf["throughput"] == pytest.approx(len(commits) / perf["end_to_end_latency"])
        assert answer["where"] == "cloud"
        assert answer["link"]["round_trips"] >= 1


@pytest.mark.parametrize("pipelining", ["synchronous", "asynchronous"])
def test_an_answer_tells_of_its_drafts(run: Run, far: str, pipelining: str) -> None:
    for _, answer, edge, _ in run(SpeculativeModel(deployment=far, pipelining=pipelining, draft_length=4)):
        told = answer["speculation"]
        assert (told["drafter"], told["mode"], told["protocol"]) == ("model", "greedy", "ids")
        assert (told["pipelining"], told["place"], told["draft_length"]) == (pipelining, "edge", 4)
        assert told["committed"] + told["streamed"] == answer["usage"]["completion_tokens"]
        assert told["acceptance"] == told["stood"] / told["offered"]
        assert 0 < told["accepted"] <= told["drafted"]
        assert 1 <= told["rounds"] <= answer["link"]["round_trips"]
        assert told["smallest_margin"] > 0
        wire, link = told["wire_bytes"], answer["link"]
        assert (wire["uplink"], wire["downlink"]) == (link["uplink_bytes"], link["downlink_bytes"])
        assert 0 < told["prompt_bytes"] + told["payload_bytes"]["uplink"] < wire["uplink"]
        assert 0 < told["payload_bytes"]["downlink"] < wire["downlink"]
        total = wire["uplink"] + wire["downlink"]
        assert told["bytes_per_token"] == total / answer["usage"]["completion_tokens"]
        assert edge["usage"]["completion_tokens"] == told["drafted"]
        assert edge["usage"]["prompt_tokens"] == answer["usage"]["prompt_tokens"]
        assert edge["link"] == {"uplink_bytes": 0, "downlink_bytes": 0, "round_trips": 0}


def test_a_record_keeps_all_of_it(run: Run, far: str) -> None:
    (result,) = run(SpeculativeModel(deployment=far), 1)
    record = Record(0, "q0", "cloud", "ok", result, "A", None, 1.0)
    read = Record.from_line(record.to_line())
    assert not read.lossy
    assert read.result == result
    assert copy.deepcopy(result) == result


def test_speculation_at_one_place_crosses_the_link_as_the_cloud_alone_does(
    run: Run, far: str, alone: list[dict[str, Any]]
) -> None:
    colocated = run(ColocatedSpeculation(deployment=far, max_tokens=32))
    assert [answer["link"] for _, answer, *_ in colocated] == [answer["link"] for answer in alone]
    for _, answer, edge, _ in colocated:
        assert edge is None
        assert answer["speculation"]["place"] == "cloud"
        assert "payload_bytes" not in answer["speculation"]
        assert {span["resource"] for span in answer["timeline"]["spans"]} == {"uplink", "cloud", "downlink"}
        assert answer["perf"]["end_to_end_latency"] > 0.2


def test_within_the_cloud_drafts_cross_no_link(target: TargetModel, far: str) -> None:
    strategy = ColocatedSpeculation(deployment=far)
    strategy.predict(queries(1)[0])
    decoding = strategy._participant.server.latest  # type: ignore[union-attr]
    crossed = [event for event in decoding.timeline.events if event.resource in ("uplink", "downlink")]
    assert len(crossed) > 2
    assert sum(event.end - event.start for event in crossed) < 1e-3
    strategy.cleanup()


def test_a_round_trip_costs_each_round_once_more(target: TargetModel, tmp_path: Path) -> None:
    """With the computing of both runs subtracted, what is left of a synchronous query is its round trips."""
    for rtt in (100, 300):
        path = tmp_path / f"rtt-{rtt}.yaml"
        path.write_text(f"link: {{rtt_ms: {rtt}, uplink_mbps: 100000, downlink_mbps: 100000}}\n")
        strategy = SpeculativeModel(deployment=str(path), draft_length=4)
        (query,) = queries(1)
        _, answer, *_ = strategy.predict(query)
        strategy.cleanup()
        trips, timeline = answer["link"]["round_trips"], query.timeline
        busy = timeline.busy_seconds("edge") + timeline.busy_seconds("cloud")
        waited = answer["perf"]["end_to_end_latency"] - trips * rtt / 1000
        assert 0 < waited < busy + 1e-3  # reading the prompt at both sides overlaps; all else does not


def test_the_edge_alone_asks_nobody(run: Run, far: str) -> None:
    for hard, answer, edge, cloud in run(EdgeAlone(deployment=far, options={"fused": False})):
        assert (hard, cloud) == (False, None)
        assert edge is answer
        assert answer["where"] == "edge"
        assert answer["link"] == {"uplink_bytes": 0, "downlink_bytes": 0, "round_trips": 0}
        assert "speculation" not in answer


@pytest.mark.parametrize("kind", [CloudAlone, EdgeAlone])
def test_answers_of_one_model_alone_are_shared_between_test_cases(run: Run, kind: type[SelfDesigned]) -> None:
    (_, first, *_), (_, second, *_) = run(kind(max_tokens=7), 1)[0], run(kind(max_tokens=7), 1)[0]
    assert (first["shared"], second["shared"]) == (False, True)
    assert first["completion"] == second["completion"]


@pytest.mark.parametrize(
    ("mode", "protocol"),
    [("rejection", "quantised-q"), ("rejection", "dssd"), ("gumbel", "ids"), ("sample-match", "ids")],
)
def test_a_seed_fixes_what_is_sampled(run: Run, mode: str, protocol: str) -> None:
    def once() -> list[str]:
        strategy = SpeculativeModel(mode=mode, protocol=protocol, temperature=0.9, top_k=50, seed=3, max_tokens=24)
        return [answer["completion"] for _, answer, *_ in run(strategy, 2)]

    assert once() == once()


def test_sampling_of_transformers_is_seeded_too(run: Run) -> None:
    def once(seed: int) -> list[str]:
        strategy = TransformersAssisted(temperature=5.0, seed=seed, max_tokens=12)
        return [answer["completion"] for _, answer, *_ in run(strategy, 2)]

    assert once(1) == once(1)
    assert once(1) != once(2)
    (_, answer, *_) = run(TransformersAssisted(temperature=0.5, max_tokens=4), 1)[0]
    assert answer["speculation"]["mode"] == "rejection"


def test_transformers_tokens_are_timed_as_they_are_verified(target: TargetModel) -> None:
    strategy = TransformersAssisted(draft_length=4, confidence=0.0)
    for query in queries(2):
        _, answer, *_ = strategy.predict(query)
        server, told = strategy._participant.server, answer["speculation"]  # type: ignore[union-attr]
        generation = server.generate(query["messages"], strategy.params)
        assert generation.text == answer["completion"]
        assert len(generation.token_times) == generation.completion_tokens == told["committed"]
        assert len(set(generation.token_times)) == told["rounds"] < told["committed"]
        assert generation.duration >= generation.token_times[-1] > generation.token_times[0] > 0  # type: ignore[operator]
    strategy.cleanup()


def test_a_streamer_leaves_the_prompt_out() -> None:
    torch = pytest.importorskip("torch")
    times = TokenTimes(0.0)
    for tokens in ([[1, 2, 3]], [[4, 5]], [6]):
        times.put(torch.tensor(tokens))
    times.end()
    assert times.rounds == 2
    assert len(times.times) == 3
    assert times.times[0] == times.times[1] < times.times[2]


def test_too_long_a_query_is_refused_by_transformers_as_well(run: Run) -> None:
    with pytest.raises(ModelServerError, match="context of 512; shorten the prompt"):
        run(TransformersLookup(max_tokens=500), 1)


def test_assisted_generation_needs_models_of_transformers(target: TargetModel) -> None:
    class Other:
        vocabulary, context, layers, end_tokens = 8, None, 1, frozenset({7})

    with pytest.raises(ModelServerError, match="needs models of `backend: transformers`"):
        AssistedServer(target.server(), Other())  # type: ignore[arg-type]


def test_servers_complete_batches_one_by_one_and_say_how_they_decode(target: TargetModel) -> None:
    stepper, params = target.stepper(), SamplingParams(max_tokens=8)
    assisted = AssistedServer(target.server(), stepper, prompt_lookup_num_tokens=4)
    prompts = [query["query"] for query in queries(2)]
    texts = [one.text for one in assisted.generate_batch(prompts, params)]
    assert texts == [assisted.generate(prompt, params).text for prompt in prompts]
    assert assisted.info.extra["decoding"] == "transformers"
    assert assisted.info != target.server().info
    assisted.close()
    strategy = ColocatedSpeculation(max_tokens=8)
    strategy.load()
    colocated = strategy._participant.server  # type: ignore[union-attr]
    assert [one.text for one in colocated.generate_batch(prompts, params)] == texts
    assert colocated.info.extra["decoding"] == "speculative"
    colocated.close()
    strategy.cleanup()


def test_a_second_sample_leaves_the_timeline_alone(target: TargetModel) -> None:
    strategy = SpeculativeModel()
    (query,) = queries(1)
    _, answer, *_ = strategy.predict(query)
    participant, latest = query.latest  # type: ignore[misc]
    assert latest is answer
    events = len(query.timeline.events)
    again = participant.generate(query, SamplingParams(max_tokens=3))
    assert again.completion_tokens == 3
    assert answer["completion"].startswith(again.text.strip())
    assert len(query.timeline.events) == events
    strategy.cleanup()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"drafter": "oracle"}, "there is no drafter 'oracle'; choose one of aligned, early-exit, model"),
        ({"gama": 3}, "drafter 'model' knows no gama; its options are: confidence"),
        ({"drafter": "retrieval"}, "drafter 'retrieval' needs corpus; its options are: corpus, field, longest"),
        ({"draft_length": 0}, "draft_length is a number from 1 on, or 'measured', not 0; without drafts"),
        ({"draft_length": -1}, "not -1"),
        ({"draft_length": True}, "not True"),
        ({"draft_length": "5"}, "not '5'"),
        ({"draft_length": 1000}, "draft_length must be 0"),
        ({"draft_length": "measured", "pipelining": "pre-draft"}, "needs a fixed draft_length"),
        ({"pipelining": "parallel"}, "there is no pipelining 'parallel'"),
        ({"pipelining": "asynchronous", "drafter": "suffix"}, "drafter 'suffix' cannot take back .* early-exit, model"),
        ({"pipelining": "asynchronous", "drafter": "aligned"}, "drafter 'aligned' cannot take back"),
        ({"window": 0}, "window must be 1 to 32"),
        ({"stream": 0}, "stream must be at least 1"),
        ({"mode": "exact"}, "there is no mode 'exact'"),
        ({"protocol": "json"}, "there is no protocol 'json'"),
        ({"protocol": "dssd"}, "mode 'greedy' does not go with protocol 'dssd'; use ids"),
        ({"mode": "rejection", "temperature": 0.5}, "mode 'rejection' does not go with protocol 'ids'"),
        ({"mode": "gumbel"}, "mode 'gumbel' does not go with temperature 0"),
        ({"temperature": 0.5}, "mode 'greedy' does not go with temperature 0.5"),
        ({"protocol_options": {"top": 3}}, "protocol 'ids' has no such option"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"deployment": "nowhere.yaml"}, "deployment 'nowhere.yaml'"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_is_loaded(
    arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        SpeculativeModel(**arguments)


@pytest.mark.parametrize(
    ("kind", "arguments", "complaint"),
    [
        (ColocatedSpeculation, {"pipelining": "pre-draft"}, "nothing to pipeline"),
        (TransformersAssisted, {"draft_length": 0}, "draft_length is at least 1"),
        (TransformersAssisted, {"confidence": 1.0}, "confidence from 0 to below 1"),
        (TransformersAssisted, {"schedule": "wild"}, "not 20, 0.4 and 'wild'"),
        (TransformersLookup, {"longest": 0}, "draft_length and longest are at least 1"),
    ],
)
def test_baselines_refuse_as_well(kind: type[SelfDesigned], arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SpeculativeError, match=complaint):
        kind(**arguments)


@pytest.mark.parametrize("mode", ["mining-then-inference", "inference-then-mining"])
def test_another_mining_mode_is_refused_wherever_it_is_met(target: TargetModel, mode: str) -> None:
    complaint = "write `hard_example_mining_mode: self-design` into the test environment"
    with pytest.raises(SpeculativeError, match=complaint):
        SpeculativeModel().predict(queries(1)[0], mining_mode=mode)
    with pytest.raises(SpeculativeError, match=complaint):
        target.inference(queries(1)[0], post_process=None, mining_mode=mode)
    with pytest.raises(SpeculativeError, match=complaint):
        NotMined()(queries(1)[0])


def test_the_target_in_force_is_the_one_made_last_until_it_is_cleaned_up() -> None:
    first = TargetModel(fused=False)
    second = TargetModel(fused=False)
    assert current_target() is second
    first.cleanup()
    assert current_target() is second
    second.cleanup()
    second.cleanup()
    with pytest.raises(SpeculativeError, match="let the `cloudmodel` of the algorithm file be the TargetModel"):
        SpeculativeModel().predict(queries(1)[0])


@pytest.mark.parametrize("tier", ["relay", "namespaces", "real"])
@pytest.mark.parametrize("kind", [ColocatedSpeculation, TransformersAssisted, TransformersLookup])
def test_what_works_on_the_model_itself_refuses_a_link_that_is_there(
    target: TargetModel, tmp_path: Path, kind: type[SelfDesigned], tier: str
) -> None:
    path = tmp_path / "there.yaml"
    path.write_text(f"tier: {tier}\n")
    strategy = kind(deployment=str(path))
    with pytest.raises(SpeculativeError, match=f"deployment 'there' has tier '{tier}', .* write `tier: virtual`"):
        strategy.predict(queries(1)[0])


def test_the_cloud_alone_may_be_behind_a_link_that_is_there(
    target: TargetModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    class Started:
        def __init__(self, *arguments: Any, extensions: list[str]) -> None:
            started.append((*arguments, extensions))

        def close(self) -> None:
            started.append("closed")

    monkeypatch.setattr("ianvs_collab.inference.emulated.EmulatedCloud", Started)
    path = tmp_path / "there.yaml"
    path.write_text("tier: relay\n")
    strategy = CloudAlone(deployment=str(path), share=False)
    strategy.load()
    assert isinstance(strategy._participant.server, Started)  # type: ignore[union-attr]
    strategy.cleanup()
    target.cleanup()
    assert started == [(strategy.deployment, "transformers", "zoo:cloud", {"fused": False}, [EXTENSION]), "closed"]


def test_a_model_that_cannot_be_loaded_says_so_at_every_query(target: TargetModel) -> None:
    strategy = SpeculativeModel(draft_model="no/such/folder")
    for _ in range(2):
        with pytest.raises(ModelServerError, match="no/such/folder"):
            strategy.predict(queries(1)[0])
    strategy.cleanup()


def test_cleaning_up_closes_the_draft_model_and_the_target(target: TargetModel) -> None:
    strategy = SpeculativeModel()
    strategy.load()
    participant = strategy._participant
    strategy.cleanup()
    target.cleanup()
    with pytest.raises(ModelServerError, match="closed"):
        participant.answer(queries(1)[0])  # type: ignore[union-attr]


@pytest.mark.parametrize(("file", "name"), PLUGINS.items())
def test_the_plug_in_files_register_their_strategy(repository: Path, target: TargetModel, file: str, name: str) -> None:
    folder = repository / "testalgorithms" / "speculative_decoding"
    made = load_class(str(folder / f"{file}.py"), "general", name)(max_tokens=4)
    assert load_class(str(folder / "target_model.py"), "general", "TargetModel") is TargetModel
    assert load_class(str(folder / "not_mined.py"), "hard_example_mining", "NotMined") is NotMined
    result = made.predict(data=queries(1)[0], mining_mode="self-design")
    made.cleanup()
    assert len(result) == 4
    assert all(result[index] is None or isinstance(result[index]["usage"]["total_tokens"], int) for index in (2, 3))
    assert math.isfinite(result[1]["perf"]["end_to_end_latency"])
