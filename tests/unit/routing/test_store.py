"""A router's folder: what comes back is what went in, and what is no such folder is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.labels import target_of
from ianvs_collab.routing.scorer import make_scorer
from ianvs_collab.routing.store import StoredRouter, load_router, save_router, trace_digest

from .toys import toy_trace


@pytest.fixture
def router() -> StoredRouter:
    trace = toy_trace()
    scorer = make_scorer("toy-word", place=1).fit(trace.queries(), target_of(trace, "delta"))
    return StoredRouter(scorer, "delta", {"trace": "toy", "queries": 100})


def test_what_comes_back_is_what_went_in(router: StoredRouter, tmp_path: Path) -> None:
    save_router(router.calibrated(0.25, {"budget": "at most 40 %", "value": 0.4}), tmp_path / "r")
    back = load_router(tmp_path / "r")
    assert (back.label, back.training, back.threshold) == ("delta", router.training, 0.25)
    assert back.calibration == {"budget": "at most 40 %", "value": 0.4}
    queries = toy_trace(30, seed=3).queries()
    assert back.scorer.scores(queries).tolist() == router.scorer.scores(queries).tolist()
    assert back.scorer.settings() == {"place": 1}


def test_the_card_says_what_it_is(router: StoredRouter, tmp_path: Path) -> None:
    save_router(router, tmp_path / "r")
    card = (tmp_path / "r" / "README.md").read_text()
    assert "# Router `toy-word`" in card and "| queries | 100 |" in card and "no threshold yet" in card
    save_router(router.calibrated(0.5, {"drift": 0.012345}), tmp_path / "r")
    card = (tmp_path / "r" / "README.md").read_text()
    assert "Its threshold is 0.5." in card and "| drift | 0.01235 |" in card


def test_saving_again_replaces_and_leaves_nothing_else(router: StoredRouter, tmp_path: Path) -> None:
    save_router(router, tmp_path / "r")
    save_router(router, tmp_path / "r")
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_somebody_elses_folder_is_not_touched(router: StoredRouter, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RouterError, match="holds no router; name a new folder"):
        save_router(router, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory; `ianvs router train` makes routers"),
        ("{", "damaged"),
        ("[]", "does not describe a router of this program"),
        ('{"format": "something else"}', "does not describe a router of this program"),
        ('{"format": "ianvs-collab router", "version": 99}', "has version 99 of the format and this program reads 1"),
        ('{"format": "ianvs-collab router", "version": 1}', "damaged"),
    ],
)
def test_what_is_no_router_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "router.json").write_text(content)
    with pytest.raises(RouterError, match=message):
        load_router(tmp_path)


def test_a_scorer_that_is_gone_or_broken_is_named(router: StoredRouter, tmp_path: Path) -> None:
    save_router(router, tmp_path / "r")
    (tmp_path / "r" / "scorer" / "means.json").unlink()
    with pytest.raises(RouterError, match=r"means\.json"):
        load_router(tmp_path / "r")
    about = json.loads((tmp_path / "r" / "router.json").read_text())
    (tmp_path / "r" / "router.json").write_text(json.dumps({**about, "scorer": "toy-wort"}))
    with pytest.raises(RouterError, match="no scorer 'toy-wort'; did you mean 'toy-word'"):
        load_router(tmp_path / "r")


def test_the_digest_tells_traces_apart() -> None:
    trace = toy_trace()
    assert trace_digest(trace) == trace_digest(toy_trace())
    assert len({trace_digest(one) for one in (trace, trace.subset(range(99)), trace.subset(range(99, -1, -1)))}) == 3
