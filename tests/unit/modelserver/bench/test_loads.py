"""Loads that cannot be run are refused; arrivals have the rate, the spread and the seed they are asked for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ianvs_collab.modelserver import ModelServerError
from ianvs_collab.modelserver.bench import Load, read_arrivals, schedule

MANY = 20_000


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"kind": "poison", "rate": 1.0}, "there is no load 'poison'; give one of single"),
        ({"kind": "poisson"}, "'poisson' needs --rate"),
        ({"kind": "bursty", "rate": 1.0}, "'bursty' needs --burstiness"),
        ({"kind": "concurrency"}, "'concurrency' needs --concurrency"),
        ({"kind": "trace"}, "'trace' needs --arrivals"),
        ({"kind": "single", "rate": 1.0}, "--rate means nothing to the load 'single'"),
        ({"kind": "poisson", "rate": 1.0, "burstiness": 2.0}, "--burstiness means nothing"),
        ({"kind": "offline", "concurrency": 3}, "--concurrency means nothing"),
        ({"kind": "concurrency", "concurrency": 0}, "at least 1, not 0"),
        ({"kind": "constant", "rate": 0.0}, "above 0, not 0.0"),
        ({"kind": "constant", "rate": math.inf}, "above 0, not inf"),
        ({"kind": "bursty", "rate": 1.0, "burstiness": -1.0}, "--burstiness must be a number above 0"),
        ({"kind": "trace", "arrivals": ()}, "is empty"),
        ({"kind": "trace", "arrivals": (0.0, 2.0, 1.0)}, r"arrival 3 is at 1\.0 s, after one at 2\.0 s"),
        ({"kind": "trace", "arrivals": (-1.0,)}, "0 or more"),
        ({"kind": "trace", "arrivals": (math.nan,)}, "arrival 1 is at nan"),
    ],
)
def test_a_load_that_cannot_be_run_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ModelServerError, match=complaint):
        Load(**given)


@pytest.mark.parametrize(
    ("load", "words", "in_flight", "open_loop"),
    [
        (Load("single"), "closed loop, one request at a time", 1, False),
        (Load("concurrency", concurrency=4), "closed loop, 4 requests at once", 4, False),
        (Load("offline"), "offline, all requests at once", None, False),
        (Load("poisson", rate=2.5), "poisson arrivals, 2.5 a second", None, True),
        (Load("constant", rate=2.0), "constant arrivals, 2 a second", None, True),
        (Load("bursty", rate=2.0, burstiness=0.25), "bursty arrivals, 2 a second, burstiness 0.25", None, True),
        (Load("trace", arrivals=(0.0, 1.0)), "arrivals from a file", None, True),
    ],
)
def test_a_load_says_what_it_is(load: Load, words: str, in_flight: int | None, open_loop: bool) -> None:
    assert (load.describe(), load.in_flight, load.open_loop) == (words, in_flight, open_loop)


@pytest.mark.parametrize(
    ("load", "gaps"),
    [
        (Load("poisson", rate=5.0), stats.expon(scale=1 / 5)),
        (Load("bursty", rate=5.0, burstiness=0.25), stats.gamma(0.25, scale=1 / (5 * 0.25))),
        (Load("bursty", rate=5.0, burstiness=8.0), stats.gamma(8.0, scale=1 / (5 * 8.0))),
    ],
)
def test_gaps_have_their_distribution(load: Load, gaps: Any) -> None:
    found = np.diff(schedule(load, MANY, seed=3), prepend=0.0)
    assert stats.kstest(found, gaps.cdf).pvalue > 0.01
    assert found.mean() == pytest.approx(1 / 5, rel=0.05)
    assert found.std() / found.mean() == pytest.approx(1 / math.sqrt(load.burstiness or 1), rel=0.05)


@given(rate=st.floats(0.01, 1e4), count=st.integers(1, 50))
def test_constant_arrivals_are_a_period_apart(rate: float, count: int) -> None:
    found = schedule(Load("constant", rate=rate), count, seed=0)
    assert found == pytest.approx([(index + 1) / rate for index in range(count)])


@settings(max_examples=30)
@given(
    kind=st.sampled_from(["poisson", "bursty"]),
    rate=st.floats(0.01, 1e3),
    seed=st.integers(0, 99),
    count=st.integers(2, 60),
)
def test_a_schedule_is_its_seeds_and_ascends(kind: Any, rate: float, seed: int, count: int) -> None:
    load = Load(kind, rate=rate, burstiness=0.5 if kind == "bursty" else None)
    found = schedule(load, count, seed)
    assert found == sorted(found)
    assert found[0] >= 0
    assert schedule(load, count, seed) == found
    assert schedule(load, count, seed + 1) != found
    assert schedule(load, count - 1, seed) == found[:-1]
    faster = Load(kind, rate=2 * rate, burstiness=load.burstiness)
    assert schedule(faster, count, seed) == pytest.approx([at / 2 for at in found])


def test_arrivals_of_a_file_are_taken_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "arrivals.txt"
    file.write_text("# seconds\n0\n\n0.5\n0.5\n 2.25 \n")
    load = Load("trace", arrivals=read_arrivals(file))
    assert schedule(load, 3, seed=1) == [0.0, 0.5, 0.5]
    with pytest.raises(ModelServerError, match="has 4 of 5 requests; lower --requests"):
        schedule(load, 5, seed=1)


def test_a_file_of_arrivals_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "arrivals.txt"
    file.write_text("0\nsoon\n")
    with pytest.raises(ModelServerError, match=r"arrivals\.txt:2: 'soon' is not a number"):
        read_arrivals(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelServerError, match="cannot be read as text"):
        read_arrivals(file)
    with pytest.raises(ModelServerError, match="cannot be read as text"):
        read_arrivals(tmp_path / "absent")
