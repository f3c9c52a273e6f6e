from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ianvs_collab.precision import Device, Pair, Portfolio, PrecisionError, read_portfolio, write_portfolio
from ianvs_collab.statistics import wilson

from .toys import toy_pair, toy_portfolio

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
FINITE = st.floats(0, 1e12, allow_nan=False)


@st.composite
def portfolios(draw: st.DrawFn) -> Portfolio:
    devices = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    places = draw(st.lists(st.tuples(NAMES, st.sampled_from(devices)), min_size=1, max_size=5, unique_by=" on ".join))
    return Portfolio(
        function=draw(NAMES),
        origin=draw(st.sampled_from(["measured", "synthetic"])),
        devices=tuple(Device(name=name, memory_bytes=draw(st.none() | st.just(10**9))) for name in devices),
        pairs=tuple(_pair(draw, *place) for place in places),
        provenance=draw(st.dictionaries(NAMES, st.none() | st.integers() | NAMES, max_size=2)),
    )


def _pair(draw: st.DrawFn, variant: str, device: str) -> Pair:
    answered = draw(st.integers(1, 1000))
    energy = draw(st.none() | FINITE)
    return Pair(
        variant=variant,
        device=device,
        service_seconds=tuple(draw(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=5))),
        correct=draw(st.integers(0, answered)),
        answered=answered,
        memory_bytes=draw(st.integers(0, 10**8)),
        energy_joules=energy,
        energy_source="unavailable" if energy is None else draw(st.sampled_from(["measured", "modelled"])),
        price=draw(FINITE),
    )


@settings(max_examples=40, deadline=None)
@given(portfolio=portfolios())
def test_what_is_written_is_read_back(portfolio: Portfolio, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("codec") / "portfolio.json"
    write_portfolio(portfolio, path)
    assert read_portfolio(path) == portfolio
    assert [entry.name for entry in path.parent.iterdir()] == ["portfolio.json"]


@given(
    content=st.binary(max_size=50) | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_no_rubbish_is_read_and_none_crashes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("codec") / "portfolio.json"
    path.write_bytes(content)
    with pytest.raises(PrecisionError, match="portfolio"):
        read_portfolio(path)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("pairs", 0, "service_seconds"), [], "pairs.0.service_seconds"),
        (("pairs", 0, "service_seconds"), [0.0], "pairs.0.service_seconds.0"),
        (("pairs", 0, "service_seconds"), ["1"], "pairs.0.service_seconds.0"),
        (("pairs", 0, "correct"), 101, "q4 on edge: correct \\(101\\) exceeds answered \\(100\\)"),
        (("pairs", 0, "unparsed"), 41, "correct and unparsed together exceed answered \\(100\\)"),
        (("pairs", 0, "correct"), True, "pairs.0.correct"),
        (("pairs", 0, "energy_joules"), None, "energy_joules is None but energy_source is 'modelled'"),
        (("pairs", 0, "energy_source"), "guessed", "pairs.0.energy_source"),
        (("pairs", 0, "price"), -1, "pairs.0.price"),
        (("pairs", 0, "device"), "egde", "there is no device 'egde'; devices has edge, cloud"),
        (("pairs", 1, "variant"), "q4", "the pair 'q4 on edge' is there twice"),
        (("pairs", 0, "speed"), 3, "pairs.0.speed: no such field"),
        (("pairs", 0, "memory_bytes"), 950, "the variants on edge need 1050 bytes together, but it has 1000"),
        (("devices", 1, "name"), "edge", "the device 'edge' is there twice"),
        (("version",), 2, "version"),
        (("format",), "a poem", "format"),
        (("origin",), "dreamt", "origin"),
    ],
)
def test_errors_name_the_field(tmp_path: Path, where: tuple[str | int, ...], value: object, message: str) -> None:
    content = json.loads(toy_portfolio().model_dump_json())
    place = content
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(content))
    with pytest.raises(PrecisionError, match=message) as caught:
        read_portfolio(path)
    assert "broken.json" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PrecisionError, match="nowhere.json.*No such file"):
        read_portfolio(tmp_path / "nowhere.json")


def test_infinity_is_no_service_time(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(toy_portfolio().model_dump_json().replace("0.8", "Infinity", 1))
    with pytest.raises(PrecisionError):
        read_portfolio(path)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.json"
    write_portfolio(toy_portfolio(), path)
    before = path.read_bytes()

    def broken(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("ianvs_collab.precision.codec.os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_portfolio(toy_portfolio(toy_pair()), path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_accuracy_comes_with_an_interval() -> None:
    pair = toy_pair(correct=70, answered=100)
    assert pair.accuracy == pytest.approx(0.7)
    assert pair.accuracy_interval() == wilson(70, 100)
    assert pair.mean_seconds == pytest.approx(1.0)
    assert str(pair) == "q4 on edge"


def test_portfolios_do_not_change() -> None:
    with pytest.raises(ValidationError):
        toy_portfolio().function = "another"  # type: ignore[misc]
    assert toy_portfolio().variants == ["q4", "q8", "f32"]
    assert toy_portfolio().occupied_bytes("edge") == 200
