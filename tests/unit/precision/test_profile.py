"""Measuring a portfolio: questions, turns, what is written, and what is told of variants that cannot be had."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.grading import ExtractorError
from ianvs_collab.link.deployment import Deployment
from ianvs_collab.link.deployment import Device as Machine
from ianvs_collab.precision import PrecisionError
from ianvs_collab.precision.profile import (
    Failure,
    Item,
    Measured,
    Plan,
    build_portfolio,
    measure,
    read_items,
    zoo_items,
)
from ianvs_collab.precision.profile import measuring as measuring_module
from ianvs_collab.precision.profile.energy import Rapl
from ianvs_collab.precision.profile.questions import items_sha256
from ianvs_collab.precision.profile.report import portfolio_table
from ianvs_collab.precision.variant import Variant

from .conftest import MakeVariant
from .toys import toy_portfolio

CHOICES = {"A": "Paris", "B": "Rome"}
ITEMS = [Item(f"q{place}", f"question {place} Paris", CHOICES, "AB"[place % 2]) for place in range(6)]
PLAN = Plan(load_timeout_s=60, answer_timeout_s=60)


def measured(name: str = "q4", **changes: Any) -> Measured:
    loaded = {
        "load_s": 0.5,
        "footprint": {"weight_bytes": 1000, "kv_bytes_per_token": 10},
        "revision": "r",
        "threads": 1,
        "rss_before_bytes": 50,
    }
    fields: dict[str, Any] = {
        "variant": Variant(name, "fake", "m"),
        "loaded": loaded,
        "seconds": [0.1, 0.3],
        "ttft": [0.05, 0.05],
        "tpot": [0.01],
        "right": [True, False, False],
        "unparsed": 1,
        "tokens": [(20, 5), (30, 7), (10, 3)],
        "peak_rss_bytes": 950,
        **changes,
    }
    return Measured(**fields)


def built(*found: Measured, deployment: Deployment | None = None, **changes: Any) -> Any:
    arguments: dict[str, Any] = {"function": "f", "data": {"source": "s"}, **changes}
    return build_portfolio(found, [], deployment or Deployment(), PLAN, **arguments)


def test_the_zoo_asks_what_is_in_no_other_split() -> None:
    items = zoo_items(34)
    known = Path("testenv/nano")
    asked = {item.prompt for item in items}
    for split in ("train_data", "test_data"):
        rows = (known / split / "data.jsonl").read_text("utf-8").splitlines()
        assert not asked & {json.loads(row)["query"] for row in rows}
    assert len(asked) == 34
    assert items[0].messages == [{"role": "user", "content": items[0].prompt}]
    with pytest.raises(PrecisionError, match="612 calibration questions, so 613"):
        zoo_items(613)


def test_questions_of_a_folder() -> None:
    folder = Path("testenv/nano/test_data")
    items = read_items(folder, 5)
    rows = [json.loads(line) for line in (folder / "data.jsonl").read_text("utf-8").splitlines()[:5]]
    assert [item.prompt for item in items] == [row["query"] for row in rows]
    assert [item.answer for item in items] == [row["response"] for row in rows]
    assert items == read_items(folder / "metadata.json", 5)
    assert items_sha256(items) != items_sha256(items[:4])
    with pytest.raises(PrecisionError, match="at least one"):
        read_items(folder, 0)
    with pytest.raises(PrecisionError, match="no such file"):
        read_items("nowhere/metadata.json", 3)


def test_options_are_read_from_the_prompt_where_no_row_holds_them(tmp_path: Path) -> None:
    row = {"prompt": "Be brief. ", "query": "Where?\nA. Paris\nB. Rome\nAnswer:", "response": "B", "explanation": ""}
    (tmp_path / "data.jsonl").write_text(json.dumps(row | {"level_3_dim": "en", "level_4_dim": "x"}) + "\n")
    (tmp_path / "metadata.json").write_text("{}")
    (item,) = read_items(tmp_path, 9)
    assert item.prompt == "Be brief. Where?\nA. Paris\nB. Rome\nAnswer:"
    assert item.choices == CHOICES
    assert item.letter("It is Rome.", "option-text") == "B"


def test_variants_are_measured_turn_and_turn_about(fakes: MakeVariant) -> None:
    lines: list[str] = []
    variants = [fakes("good", seconds=0.002), fakes("silent", text="I do not know."), fakes("absent", backend="broken")]
    found, failures = measure(variants, ITEMS, replace(PLAN, rounds=2), lines.append)
    assert [each.variant.name for each in found] == ["good", "silent"]
    good, silent = found
    assert good.right == [True, False] * 3
    assert (good.unparsed, silent.unparsed) == (0, 6)
    assert not any(silent.right)
    assert len(good.seconds) == len(good.ttft) == 12
    assert min(good.seconds) >= 0.002
    assert good.ttft[0] == 0.001
    assert good.tpot[0] == pytest.approx(0.001)
    assert good.tokens == [(5, 3)] * 6
    assert good.peak_rss_bytes > 1_000_000
    assert [each.variant for each in failures] == ["absent"]
    assert "no such model" in failures[0].reason
    assert [line.split(":")[0] for line in lines] == ["good", "silent", "absent"]


def test_turns_are_short(fakes: MakeVariant, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    ask = measuring_module._Bench._ask

    def noting(self: Any, worker: Any, variant: Variant, item: Item) -> Any:
        order.append(variant.name)
        return ask(self, worker, variant, item)

    monkeypatch.setattr(measuring_module._Bench, "_ask", noting)
    measure([fakes("a"), fakes("b")], ITEMS, PLAN)
    assert "".join(order) == "ab" + "aaaabbbb" + "aabb"


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"die_at": 4}, "ended with status 7; its last words: out of luck"),
        ({"fail_at": 3}, "the prompt is too long"),
        ({"timed": False}, "back-end 'fake' tells no times"),
        ({"threads": 2}, "runs on 2 threads"),
    ],
)
def test_a_variant_that_fails_is_listed_and_the_others_go_on(
    fakes: MakeVariant, plan: dict[str, object], reason: str
) -> None:
    found, failures = measure([fakes("bad", **plan), fakes("good")], ITEMS, replace(PLAN, clock="cpu"))
    assert [each.variant.name for each in found] == ["good"]
    assert len(found[0].right) == 6
    assert len(failures) == 1
    assert reason in failures[0].reason


def test_an_answer_of_one_token_has_no_time_per_token(fakes: MakeVariant) -> None:
    (found,), _ = measure([fakes(tokens=1)], ITEMS[:2], PLAN)
    assert len(found.ttft) == 2
    assert not found.tpot


def test_what_cannot_be_measured_is_refused_before_the_work(fakes: MakeVariant) -> None:
    with pytest.raises(PrecisionError, match="there is none"):
        measure([fakes()], [], PLAN)
    with pytest.raises(ExtractorError, match="option-text"):
        measure([fakes()], ITEMS, replace(PLAN, extractor="option-txt"))
    for wrong in ({"rounds": 0}, {"max_tokens": 0}):
        with pytest.raises(PrecisionError, match="at least 1"):
            Plan(**wrong)


def rapl_folder(root: Path, energy: int, wrap: int = 999) -> Path:
    package = root / "intel-rapl:0"
    package.mkdir(parents=True, exist_ok=True)
    (root / "intel-rapl:0:0").mkdir(exist_ok=True)  # a part of the package, which must not count twice
    (package / "energy_uj").write_text(f"{energy}\n")
    (package / "max_energy_range_uj").write_text(f"{wrap}\n")
    return package


def test_energy_is_read_from_counters_that_wrap_around(tmp_path: Path) -> None:
    rapl_folder(tmp_path, 900)
    rapl = Rapl.find(tmp_path)
    assert rapl is not None
    joules = rapl.start()
    rapl_folder(tmp_path, 950)
    assert joules() == pytest.approx(50e-6)
    rapl_folder(tmp_path, 100)
    assert joules() == pytest.approx(200e-6)


def test_no_energy_where_no_counter_can_be_read(tmp_path: Path) -> None:
    assert Rapl.find(tmp_path / "nowhere") is None
    rapl_folder(tmp_path, 5).joinpath("energy_uj").write_text("closed")
    assert Rapl.find(tmp_path) is None


def test_energy_of_answers_is_measured_where_it_can_be(fakes: MakeVariant, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counter:
        def start(self) -> Any:
            return lambda: 2.0

    monkeypatch.setattr(measuring_module.Rapl, "find", Counter)
    (found,), _ = measure([fakes()], ITEMS[:3], PLAN)
    assert found.joules == 6.0


def test_a_portfolio_scales_times_to_the_device_and_says_so() -> None:
    deployment = Deployment(
        name="house",
        edge=Machine(slowdown=4.0, power_w=6),
        cloud=Machine(price_per_million_tokens={"prompt": 100, "completion": 1000}),
    )
    portfolio = built(measured(), deployment=deployment)
    edge, cloud = portfolio.pairs
    assert (edge.variant, edge.device, cloud.device) == ("q4", "edge", "cloud")
    assert edge.service_seconds == pytest.approx((0.4, 1.2))
    assert cloud.service_seconds == (0.1, 0.3)
    assert edge.ttft_seconds == pytest.approx((0.2, 0.2))
    assert edge.tpot_seconds == pytest.approx((0.04,))
    assert (edge.correct, edge.answered, edge.unparsed) == (1, 3, 1)
    assert edge.memory_bytes == 1000 + 10 * 37
    assert (edge.weight_bytes, edge.kv_bytes_per_token, edge.peak_rss_bytes, edge.load_seconds) == (1000, 10, 950, 0.5)
    assert (edge.energy_joules, edge.energy_source) == (pytest.approx(6 * 0.8), "modelled")
    assert (cloud.energy_joules, cloud.energy_source) == (None, "unavailable")
    assert cloud.price == pytest.approx((20 * 100 + 5 * 1000) / 1e6)
    assert portfolio.origin == "measured"
    assert portfolio.provenance["slowdown"] == {"edge": 4.0, "cloud": 1.0}
    assert portfolio.provenance["left_out"] == {}


def test_measured_energy_belongs_to_the_machine_that_measured() -> None:
    deployment = Deployment(edge=Machine(slowdown=2.0, power_w=6), cloud=Machine(power_w=100))
    edge, cloud = built(measured(joules=9.0), deployment=deployment).pairs
    assert (edge.energy_joules, edge.energy_source) == (pytest.approx(6 * 0.4), "modelled")
    assert (cloud.energy_joules, cloud.energy_source) == (4.5, "measured")


def test_memory_decides_what_a_device_gets() -> None:
    small = Deployment(edge=Machine(memory_gb=2e-6))
    portfolio = built(measured("a"), measured("b"), deployment=small)
    assert [str(pair) for pair in portfolio.pairs] == ["a on edge", "a on cloud", "b on cloud"]
    assert portfolio.provenance["left_out"] == {
        "b on edge": "needs 1370 bytes, and of 2000 bytes 1370 are taken by those before it"
    }
    assert "Left out: b on edge: needs 1370 bytes" in portfolio_table(portfolio)
    assert [device.memory_bytes for device in portfolio.devices] == [2000, None]
    tiny = Machine(memory_gb=1e-6)
    with pytest.raises(PrecisionError, match="no variant fits"):
        built(measured(), deployment=Deployment(edge=tiny, cloud=tiny))


def test_places_choose_and_order() -> None:
    portfolio = built(measured("a"), measured("b"), places={"edge": ["b", "gone"], "cloud": []})
    assert [str(pair) for pair in portfolio.pairs] == ["b on edge"]
    assert [device.name for device in portfolio.devices] == ["edge"]


def test_memory_without_a_footprint_is_what_the_process_grew_by() -> None:
    bare = measured()
    bare.loaded["footprint"] = None
    (pair, _) = built(bare).pairs
    assert (pair.memory_bytes, pair.weight_bytes) == (900, None)


def test_no_portfolio_of_nothing() -> None:
    with pytest.raises(PrecisionError, match="no variant could be measured.*q4: too large"):
        build_portfolio([], [Failure("q4", "too large")], Deployment(), PLAN, function="f", data={})


def test_a_made_up_portfolio_is_shown_without_what_it_lacks() -> None:
    table = portfolio_table(toy_portfolio())
    assert table.count("\n") == 4
    assert "| q4 on edge | 0.600 [0.502, 0.691] | 800.0, 1160.0 | - | - | 0.00 | - | - | 2 (modelled) |" in table
