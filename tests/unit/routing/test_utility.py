"""Expected utility: rates with units, a route that follows the network, and expenses that are spent already."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ianvs_collab.link import Deployment, Device, Link, use_deployment
from ianvs_collab.link.deployment import Price
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.expenses import TypicalSide, expenses
from ianvs_collab.routing.traces import Side, Trace, TraceRow, read_trace, write_trace
from ianvs_collab.routing.utility import UtilityRouter

from .toys import toy_trace

SLOW_LINK = Deployment(name="slow", link=Link(rtt_ms=2000, uplink_mbps=0.1, downlink_mbps=0.1))
DEAR = Deployment(
    name="dear",
    edge=Device(power_w=5.0),
    cloud=Device(power_w=300.0, price_per_million_tokens=Price(prompt=1e6, completion=1e6)),
    link=Link(rtt_ms=100, uplink_mbps=1, downlink_mbps=1),
)
SUM, CAPITAL, RIDDLE = 0, 5, 4
"""Places of a query of each kind in the toy trace: the cloud is worth 100 points, 0 and -100."""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    write_trace(toy_trace(), tmp_path / "trace")
    return str(tmp_path / "trace")


@pytest.fixture
def make(folder: str) -> Callable[..., UtilityRouter]:
    def router(**arguments: Any) -> UtilityRouter:
        return UtilityRouter(**{"train_data": folder, "scorer": "toy-word", **arguments})

    return router


def test_where_nothing_has_a_price_the_gain_decides(make: Callable[..., UtilityRouter]) -> None:
    router, queries = make(), toy_trace(name="new").queries()
    assert router.scores(queries[:6]) == pytest.approx([100, 100, 100, 100, -100, 0])
    assert [router(query) for query in (queries[SUM], queries[CAPITAL], queries[RIDDLE])] == [True, False, False]


def test_the_route_changes_with_the_network(make: Callable[..., UtilityRouter]) -> None:
    router = make(per_second=30.0)  # a second is worth 30 points: 3.3 s are worth a right answer
    assert router(toy_trace().queries()[SUM])
    use_deployment(SLOW_LINK.model_copy(update={"link": SLOW_LINK.link.model_copy(update={"rtt_ms": 5000})}))
    assert not router(toy_trace().queries()[SUM])


def test_a_faster_cloud_is_asked_even_where_it_adds_nothing(make: Callable[..., UtilityRouter]) -> None:
    use_deployment(Deployment(edge=Device(slowdown=100.0)))
    capital = toy_trace().queries()[CAPITAL]
    assert make(per_second=1.0)(capital)
    assert not make()(capital)


def test_in_a_cascade_the_edges_time_is_spent_already(make: Callable[..., UtilityRouter]) -> None:
    use_deployment(Deployment(edge=Device(slowdown=100.0), cloud=Device(slowdown=2.0)))
    before, after = make(per_second=10.0), make(per_second=10.0, scorer="toy-answer")
    query, answer = toy_trace().queries()[CAPITAL], toy_trace().edge_answers()[CAPITAL]
    assert before(query)
    assert not after(answer)
    assert 100 * after._lesson.gain(after.scorer.scores([answer]))[0] == pytest.approx(-100 / 6)  # riddle or capital
    assert after.score(answer) < -100 / 6


RATES = st.fixed_dictionaries(
    {name: st.floats(0, 50) for name in ("per_currency", "per_second", "per_joule", "per_megabyte")}
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RATES, st.sampled_from(["first", "seconds"]), st.integers(0, 9))
def test_the_score_is_the_difference_of_both_utilities(
    folder: str, rates: dict[str, float], latency: str, place: int
) -> None:
    use_deployment(DEAR)
    trace, query = read_trace(folder), toy_trace().queries()[place]
    spent = {
        where: expenses(TypicalSide.of(trace, where), where, query["query"], DEAR)  # type: ignore[arg-type]
        for where in ("edge", "cloud")
    }

    def utility(where: str, points: float) -> float:
        one = spent[where]
        seconds = one.first if latency == "first" else one.seconds
        amounts = {"currency": one.currency, "second": seconds, "joule": one.joules, "megabyte": one.megabytes}
        return points - math.fsum(rates[f"per_{name}"] * (amount or 0.0) for name, amount in amounts.items())

    gain = {SUM: 100.0, CAPITAL: 0.0, RIDDLE: -100.0}.get(place, 100.0 if place < RIDDLE else 0.0)
    router = UtilityRouter(train_data=folder, scorer="toy-word", latency=latency, **rates)  # type: ignore[arg-type]
    assert router.score(query) == pytest.approx(utility("cloud", gain) - utility("edge", 0.0))


def test_scores_are_turned_into_points_by_what_they_were_worth(tmp_path: Path) -> None:
    rows = []
    for index in range(200):  # the word says how often the cloud helps: never, in every second, in every case
        kind = ("never", "often", "ever")[index % 3]
        right = {"never": 0, "often": (index // 3) % 2, "ever": 1}[kind]
        rows.append(TraceRow(f"q{index}", f"about {kind} {index}?", Side(0.0), Side(float(right)), subject="s"))
    write_trace(Trace(rows, "shares"), tmp_path / "shares")
    router = UtilityRouter(train_data=str(tmp_path / "shares"), scorer="toy-word")
    assert router.scores([row.query() for row in rows[:3]]) == pytest.approx([0, 50, 100], abs=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_second": -1}, "the rate of seconds must be 0 or more, not -1"),
        ({"per_second": -1, "latency": "first"}, "the rate of first must be 0 or more, not -1"),
        ({"per_joule": math.inf}, "the rate of joules must be 0 or more, not inf"),
        ({"per_currency": math.nan}, "the rate of currency must be 0 or more, not nan"),
        ({"latency": "p95"}, "latency must be 'seconds' or 'first', not 'p95'"),
        ({"scorer": "toy-wrod"}, "there is no scorer 'toy-wrod'"),
        ({"plaice": 2}, "has no setting 'plaice'; did you mean 'place'"),
        ({"train_data": "nowhere"}, "nowhere"),
    ],
)
def test_wrong_arguments(make: Callable[..., UtilityRouter], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RouterError, match=message):
        make(**arguments)


def test_a_scorer_of_answers_needs_answers(make: Callable[..., UtilityRouter]) -> None:
    with pytest.raises(RouterError, match="set hard_example_mining_mode: inference-then-mining"):
        make(scorer="toy-answer")(toy_trace().queries()[0])


def test_energy_that_cannot_be_told(make: Callable[..., UtilityRouter]) -> None:
    use_deployment(Deployment(name="powerless"))
    with pytest.raises(RouterError, match=r"give `cloud.power_w` in deployment 'powerless'"):
        make(per_joule=1.0)(toy_trace().queries()[0])


def test_a_trace_that_holds_correctness_alone(tmp_path: Path) -> None:
    bare = [TraceRow(row.query_id, row.text, Side(row.edge.quality), Side(row.cloud.quality)) for row in toy_trace()]
    write_trace(Trace(bare, "bare"), tmp_path / "bare")
    router = UtilityRouter(train_data=str(tmp_path / "bare"), scorer="toy-word", per_second=1.0)
    with pytest.raises(RouterError, match="trace 'bare' does not hold the tokens and compute seconds of the cloud"):
        router(toy_trace().queries()[0])
    assert UtilityRouter(train_data=str(tmp_path / "bare"), scorer="toy-word")(toy_trace().queries()[SUM])
