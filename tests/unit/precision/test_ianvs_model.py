"""The Ianvs module: what it measures, what it shares, what it serves, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ianvs_collab.link import Deployment, use_deployment
from ianvs_collab.metrics.memory import METRICS, memory, process_memory
from ianvs_collab.precision import PrecisionError, read_portfolio, write_portfolio
from ianvs_collab.precision.ianvs import MultiPrecision, calibrating, model
from ianvs_collab.precision.variant import Variant

from . import fake_worker
from .conftest import MakeVariant
from .toys import toy_pair, toy_portfolio

QUESTION = "Where is the Louvre?\nA. Paris\nB. Rome\nAnswer:"


class Data(SimpleNamespace):
    """What is used of Ianvs's data sources."""


def data(count: int = 6) -> Data:
    return Data(x=[f"{place}. {QUESTION}" for place in range(count)], y=["A"] * count, dataset_name="toy")


class Fake(fake_worker.FakeServer):
    """Answers in this process as the fake worker does in its own."""

    closed: list[str] = []

    def generate(self, prompt: Any, params: Any, *, query_id: str | None = None) -> Any:
        return super().generate(prompt, params)

    def close(self) -> None:
        self.closed.append(self.info.model)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch, fakes: MakeVariant, tmp_path: Path) -> Any:
    """Made-up models, in the workers and in this process; `broken` cannot be loaded."""
    plans: dict[str, dict[str, Any]] = {"good": {}, "bad": {"text": "It is Rome."}, "broken": {}}

    def prepare(name: str, names: Any, prompts: Any, threads: int | None = None) -> Any:
        assert prompts
        made = [
            Variant(each, "broken" if each == "broken" else "fake", json.dumps(plans[each] | {"of": each}))
            for each in names
        ]
        return made, {}

    def load(backend: str, name: str, **_: Any) -> Any:
        return Fake(backend, name)

    monkeypatch.setattr(calibrating, "prepare_variants", prepare)
    monkeypatch.setattr(calibrating, "_measured", {})
    monkeypatch.setattr(model, "load_model", load)
    monkeypatch.setattr(Fake, "closed", [])
    yield
    use_deployment(Deployment(name="this-machine"))


@pytest.fixture
def house(tmp_path: Path) -> str:
    file = tmp_path / "house.yaml"
    file.write_text("edge: {slowdown: 4.0, power_w: 6}\ncloud: {power_w: 100}\nlink: {rtt_ms: 10}\n")
    return str(file)


def run(tmp_path: Path, asked: Data, **settings: Any) -> tuple[MultiPrecision, list[Any]]:
    one = MultiPrecision(calibration=4, **settings)
    assert one.preprocess() is None  # type: ignore[func-returns-value]
    one.train(data())
    file = one.save(str(tmp_path / "out"))
    one.load(file)
    return one, one.predict(asked)


def test_a_portfolio_is_measured_and_queries_are_served(tmp_path: Path, house: str) -> None:
    one, answers = run(tmp_path, data(40), variants="good,bad", deployment=house, orchestrator="round-robin", load=0.5)
    portfolio = read_portfolio(tmp_path / "out" / "portfolio.json")
    assert [str(pair) for pair in portfolio.pairs] == ["good on edge", "bad on edge", "good on cloud", "bad on cloud"]
    assert [pair.accuracy for pair in portfolio.pairs] == [1.0, 0.0] * 2
    assert portfolio.provenance["data"]["questions"] == 4  # type: ignore[index, call-overload]
    assert [answer["answer"] for answer in answers] == ["A", "B"] * 20
    assert [answer["where"] for answer in answers] == (["edge"] * 2 + ["cloud"] * 2) * 10
    arrivals = [answer["orchestration"]["arrival_s"] for answer in answers]
    assert arrivals == sorted(arrivals)
    assert {answer["memory"]["bytes"] for answer in answers} == {sum(pair.memory_bytes for pair in portfolio.pairs)}
    assert answers[0]["energy"]["source"] == "modelled"
    assert memory([], answers) == round(portfolio.occupied_bytes("edge") * 2 / 1e6, 3)
    peak = process_memory([], answers)
    assert peak is not None and peak > 4
    assert sorted(Fake.closed) == sorted({Fake.closed[0], Fake.closed[1]})
    assert one.portfolio == portfolio


def test_test_cases_share_what_was_measured(tmp_path: Path, house: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    measure = calibrating.measure

    def counting(*given: Any) -> Any:
        calls.append(1)
        return measure(*given)

    monkeypatch.setattr(calibrating, "measure", counting)
    for settings in ({"orchestrator": "min-cost"}, {"variant": "good", "device": "edge", "load": 0}):
        run(tmp_path, data(3), variants="good,bad", deployment=house, **settings)
    assert len(calls) == 1
    run(tmp_path, data(3), variants="good", deployment=house, load=0)
    assert len(calls) == 2


def test_one_variant_alone(tmp_path: Path, house: str) -> None:
    one, answers = run(tmp_path, data(5), variants="good,bad", deployment=house, variant="bad", device="edge", load=0)
    assert {answer["orchestration"]["variant"] for answer in answers} == {"bad"}
    assert {answer["where"] for answer in answers} == {"edge"}
    assert {answer["orchestration"]["waited_s"] for answer in answers} == {0.0}
    assert one.portfolio is not None
    assert [device.name for device in one.portfolio.devices] == ["edge"]


def test_what_is_left_out_is_told_where_it_is_missed(tmp_path: Path) -> None:
    with pytest.raises(
        PrecisionError, match="no broken on cloud; it has good on edge, good on cloud; left out were .*no such model"
    ):
        run(tmp_path, data(2), variants="good,broken", variant="broken")


def test_a_portfolio_that_was_measured_beforehand(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    write_portfolio(toy_portfolio(toy_pair("good", "edge"), toy_pair("bad", "cloud")), file)
    _, answers = run(tmp_path, data(4), portfolio=str(file), orchestrator="round-robin", arrivals="bursty")
    assert [answer["answer"] for answer in answers] == ["A", "B"] * 2
    assert answers[0]["memory"] == {"bytes": 200, "peak_rss_bytes": None}
    assert process_memory([], answers) is None
    with pytest.raises(PrecisionError, match="no good on cloud; it has good on edge, bad on cloud$"):
        run(tmp_path, data(2), portfolio=str(file), variant="good")


def test_held_out_questions_of_the_zoo(tmp_path: Path) -> None:
    one, _ = run(tmp_path, data(2), variants="good", calibration_data="zoo", orchestrator="round-robin")
    assert one.portfolio is not None
    assert one.portfolio.provenance["data"]["source"] == "zoo"  # type: ignore[index, call-overload]


def test_plain_texts_are_served_too(tmp_path: Path) -> None:
    one = MultiPrecision(variants="good", calibration=2, orchestrator="round-robin")
    one.train(data())
    one.load(None)
    assert [answer["answer"] for answer in one.predict([QUESTION])] == ["A"]


def test_hard_constraints_refuse(tmp_path: Path) -> None:
    _, answers = run(tmp_path, data(2), variants="good,bad", min_accuracy=0.5, orchestrator="join-shortest-queue")
    assert {answer["orchestration"]["variant"] for answer in answers} == {"good"}
    _, answers = run(tmp_path, data(2), variants="bad", min_accuracy=0.5, orchestrator="join-shortest-queue")
    assert {answer["outcome"] for answer in answers} == {"error"}
    assert {tuple(answer["memory"]) for answer in answers} == {("bytes", "peak_rss_bytes")}


def test_what_cannot_be_served(tmp_path: Path) -> None:
    relay = tmp_path / "relay.yaml"
    relay.write_text("tier: relay\n")
    with pytest.raises(PrecisionError, match="tier 'relay'; lines before devices"):
        MultiPrecision(deployment=str(relay))
    for wrong in ({"arrivals": "weekly"}, {"load": -1.0}):
        with pytest.raises(PrecisionError, match="poisson or bursty"):
            MultiPrecision(**wrong)
    for bad in ({"calibration_data": "test"}, {"calibration": 0}):
        with pytest.raises(PrecisionError, match="calibration_data is 'train' or 'zoo'"):
            MultiPrecision(**bad)
    with pytest.raises(PrecisionError, match="no portfolio yet"):
        MultiPrecision().save(str(tmp_path / "out"))
    with pytest.raises(PrecisionError, match="hold no questions"):
        MultiPrecision(variants="good").train(None)


def test_a_variant_that_is_gone_when_it_is_to_be_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = MultiPrecision(variants="good", calibration=2)
    one.train(data())
    one.load(None)
    monkeypatch.setattr(calibrating, "prepare_variants", lambda *_: ([], {"good": "the disk is full"}))
    with pytest.raises(PrecisionError, match="good: the disk is full"):
        one.predict(data(1))


def test_memory_where_nobody_tells() -> None:
    assert list(METRICS) == ["Memory", "Process Memory"]
    assert memory([], [{"completion": "A"}]) is None
    told = [{"completion": "A", "memory": {"bytes": 2_000_000}}, {"completion": "A", "memory": {"bytes": 1}}]
    assert memory([], told) == 2.0
