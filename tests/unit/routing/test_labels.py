from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.routing import RouterError
from ianvs_collab.routing.labels import LABELS, make_target, spread, target_of
from ianvs_collab.routing.traces import Side, Trace, TraceRow

EDGE = [1.0, 0.0, 1.0, 0.0]
CLOUD = [1.0, 1.0, 0.0, 0.0]
QUALITIES = st.integers(0, 6).map(lambda n: n / 4)


def trace(rows: list[tuple[Side, Side]]) -> Trace:
    return Trace([TraceRow(f"q{i}", "text", edge, cloud) for i, (edge, cloud) in enumerate(rows)])


@pytest.mark.parametrize(
    ("name", "worth"),
    [("det", [0, 1, 0, 0]), ("gain", [0, 1, 0, 0]), ("delta", [0, 1, -1, 0]), ("trans", [0, 1, 0, 0])],
)
def test_labels_of_right_and_wrong_answers(name: str, worth: list[int]) -> None:
    target = make_target(name, EDGE, CLOUD)
    assert target.expected.tolist() == worth
    assert target.probabilities.sum(axis=1).tolist() == [1, 1, 1, 1]
    assert target.values.tolist() == sorted(target.values)


def test_epsilon_forgives_the_edge_a_small_lag() -> None:
    edge, cloud = [0.5, 0.5, 0.5], [0.6, 0.75, 0.4]
    assert make_target("det", edge, cloud).expected.tolist() == [1, 1, 0]
    assert make_target("det", edge, cloud, eps=0.2).expected.tolist() == [0, 1, 0]


def test_a_margin_makes_small_differences_the_same() -> None:
    edge, cloud = [0.5, 0.5, 0.5], [0.6, 0.75, 0.0]
    assert make_target("delta", edge, cloud, margin=0.2).expected.tolist() == [0, 1, -1]
    assert make_target("gain", edge, cloud, margin=0.2).expected.tolist() == [0, 1, 0]


SAMPLES = st.lists(st.lists(QUALITIES, min_size=1, max_size=4), min_size=2, max_size=6)


@given(edge=SAMPLES, cloud=SAMPLES)
def test_probabilities_are_over_all_pairs_of_samples(edge: list[list[float]], cloud: list[list[float]]) -> None:
    size = min(len(edge), len(cloud))
    edge, cloud = edge[:size], cloud[:size]
    pairs = [list(product(here, there)) for here, there in zip(edge, cloud, strict=True)]
    expected = {
        "prob": [np.mean([s < c for s, c in row]) for row in pairs],
        "gain": [np.mean([c > s for s, c in row]) for row in pairs],
        "delta": [np.mean([c > s for s, c in row]) - np.mean([c < s for s, c in row]) for row in pairs],
    }
    for name, worth in expected.items():
        given_ = {"edge_samples": edge, "cloud_samples": cloud}
        if np.ptp(worth) < 1e-12:
            with pytest.raises(RouterError, match="same label"):
                make_target(name, [0] * size, [0] * size, **given_)
        else:
            target = make_target(name, [0] * size, [0] * size, **given_)
            assert target.expected == pytest.approx(worth)


@given(edge=SAMPLES, cloud=SAMPLES)
def test_trans_takes_the_gap_that_spreads_the_labels_most(edge: list[list[float]], cloud: list[list[float]]) -> None:
    size = min(len(edge), len(cloud))

    def labels(t: float) -> list[float]:
        rows = zip(edge[:size], cloud[:size], strict=True)
        return [float(np.mean([s >= c - t for s, c in product(here, there)])) for here, there in rows]

    def by_hand(t: float) -> float:
        y = labels(t)
        return sum(abs(a - b) for a in y for b in y) / size**2

    best = max(by_hand(t) for t in np.linspace(0, 2, 41))  # all qualities are multiples of 1/4
    try:
        target = make_target("trans", [0] * size, [0] * size, edge_samples=edge[:size], cloud_samples=cloud[:size])
    except RouterError:
        assert best == pytest.approx(0)
        return
    t = float(target.name.removeprefix("trans(t=").removesuffix(")"))
    assert by_hand(t) == pytest.approx(best)
    assert 1 - target.expected == pytest.approx(labels(t))


def test_trans_helps_where_the_cloud_is_nearly_always_better() -> None:
    rng = np.random.default_rng(0)
    edge, cloud = rng.normal(0, 1, (200, 5)), rng.normal(4, 1, (200, 5))
    zeros = np.zeros(200)
    given_ = {"edge_samples": edge, "cloud_samples": cloud}
    prob, trans = (make_target(name, zeros, zeros, **given_) for name in ("prob", "trans"))
    assert spread(trans.expected) > 5 * spread(prob.expected)


def test_a_coarse_grid_is_evenly_spaced() -> None:
    edge, cloud = np.zeros(50), np.linspace(0.02, 1, 50)
    assert make_target("trans", edge, cloud, grid=3).name == "trans(t=0.5)"


@given(st.lists(QUALITIES, min_size=1, max_size=12))
def test_spread_is_the_mean_absolute_difference_of_all_pairs(labels: list[float]) -> None:
    expected = np.mean([abs(a - b) for a in labels for b in labels])
    assert spread(np.array(labels)) == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize("name", sorted(set(LABELS) - {"trans"}))
def test_equal_labels_are_refused(name: str) -> None:
    with pytest.raises(RouterError, match=f"'{name}': all 3 queries have the same label"):
        make_target(name, [1, 0, 1], [1, 0, 1], edge_samples=None if name == "det" else [[1], [0], [1]])


def test_a_trans_label_that_no_t_can_spread_is_refused() -> None:
    with pytest.raises(RouterError, match="all 2 queries have the same label"):
        make_target("trans", [1, 1], [0, 0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gian", {}, "no label 'gian'; labels are det, prob, trans, gain, delta"),
        ("det", {"margin": 1}, "'det' has no option 'margin'; it has eps"),
        ("prob", {"eps": 1}, "'prob' has no option 'eps'; it has none"),
        ("det", {"eps": -0.1}, "eps must be a number from 0 up, not -0.1"),
        ("gain", {"margin": "a"}, "margin must be a number from 0 up, not 'a'"),
        ("trans", {"grid": 1}, "grid must be a whole number from 2 up, not 1"),
        ("trans", {"grid": 2.5}, "grid must be a whole number from 2 up, not 2.5"),
        ("prob", {}, "'prob' needs repeated samples"),
        ("delta", {"edge_samples": [[1]]}, "1 rows of edge samples do not fit 4 queries"),
        ("delta", {"cloud_samples": [[1], [1], [], [1]]}, "query 2: cloud samples must be one or more finite numbers"),
        ("delta", {"cloud_samples": [[1], [1], [np.nan], [1]]}, "query 2: cloud samples"),
        ("delta", {"cloud_samples": [1, 1, 1, 1]}, "query 0: cloud samples"),
    ],
)
def test_a_wrong_label_or_option_is_named(name: str, options: dict, message: str) -> None:
    with pytest.raises(RouterError, match=message):
        make_target(name, EDGE, CLOUD, **options)


@pytest.mark.parametrize(
    ("edge", "cloud", "message"),
    [
        ([1, 0], [1], r"shapes \(2,\) and \(1,\)"),
        ([[1]], [[0]], "one length"),
        ([], [], "no query"),
        ([1, np.inf], [0, 0], "query 1: the edge's quality must be a finite number, not inf"),
        ([1, 0], [np.nan, 0], "query 0: the cloud's quality"),
    ],
)
def test_wrong_qualities_are_named(edge: list, cloud: list, message: str) -> None:
    with pytest.raises(RouterError, match=message):
        make_target("delta", edge, cloud)


def test_a_trace_is_labelled_by_its_answers_or_its_samples() -> None:
    rows = [
        (Side(1.0, samples=(0.0, 1.0)), Side(1.0, samples=(1.0, 1.0))),
        (Side(0.0, samples=(0.0, 0.0)), Side(1.0, samples=(1.0, 1.0))),
    ]
    given_ = trace(rows)
    assert target_of(given_, "delta").expected.tolist() == [0, 1]
    assert target_of(given_, "delta", sampled=True).expected.tolist() == [0.5, 1]
    assert target_of(given_, "prob").expected.tolist() == [0.5, 1]
    assert target_of(given_, "trans").name == "trans(t=0)"


def test_a_side_without_samples_stands_with_its_one_answer() -> None:
    rows = [(Side(1.0, samples=(0.0, 1.0)), Side(1.0)), (Side(0.0, samples=(0.0, 0.0)), Side(1.0))]
    assert target_of(trace(rows), "prob").expected.tolist() == [0.5, 1]


def test_samples_that_are_missing_are_named() -> None:
    sampled, bare = (Side(1.0, samples=(1.0,)), Side(0.0)), (Side(0.0), Side(0.0))
    with pytest.raises(RouterError, match="1 queries, 'q1' for one, have no edge samples"):
        target_of(trace([sampled, bare]), "prob")
    with pytest.raises(RouterError, match="needs repeated samples"):
        target_of(trace([bare, bare]), "prob")
    with pytest.raises(RouterError, match="no repeated samples"):
        target_of(trace([bare, bare]), "delta", sampled=True)


def test_labels_of_a_subset_are_a_subset_of_the_labels() -> None:
    target = make_target("delta", EDGE, CLOUD)
    assert target.subset(np.array([2, 1])).expected.tolist() == [-1, 1]
