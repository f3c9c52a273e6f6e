from __future__ import annotations

import numpy as np
import pytest

from ianvs_collab.precision import PrecisionError, Requirements
from ianvs_collab.precision.requirements import ACCURACY, BUSY, DEADLINE, MEMORY, Screen
from ianvs_collab.precision.tables import Tables

from .toys import toy_pair, toy_portfolio

EVERY = np.array([True, True, True])


def judge(
    wanted: Requirements, backlog: tuple[float, float] = (0.0, 0.0), size: float = 1.0, eligible: np.ndarray = EVERY
) -> tuple[list[bool], int]:
    screen = Screen(Tables.of(toy_portfolio(), quantile=1.0), [wanted], eligible)
    allowed, refused = screen.check(np.array([0]), np.array([backlog]), np.array([size]))
    return allowed[0].tolist(), int(refused[0])


@pytest.mark.parametrize(
    ("wanted", "backlog", "size", "expected"),
    [  # the pairs are 60, 70 and 90 % accurate and take at most 1.2, 1.95 and 0.75 s; 800 and 900 bytes are free
        (Requirements(), (9.0, 9.0), 1.0, ([True, True, True], 0)),
        (Requirements(min_accuracy=0.7), (0.0, 0.0), 1.0, ([False, True, True], 0)),
        (Requirements(min_accuracy=0.91), (0.0, 0.0), 1.0, ([False] * 3, ACCURACY)),
        (Requirements(min_accuracy=0.9, confident=True), (0.0, 0.0), 1.0, ([False] * 3, ACCURACY)),
        (Requirements(min_accuracy=0.8, confident=True), (0.0, 0.0), 1.0, ([False, False, True], 0)),
        (Requirements(memory_bytes=801), (0.0, 0.0), 1.0, ([False, False, True], 0)),
        (Requirements(memory_bytes=901), (0.0, 0.0), 1.0, ([False] * 3, MEMORY)),
        (Requirements(memory_bytes=901, min_accuracy=0.95), (0.0, 0.0), 1.0, ([False] * 3, MEMORY)),
        (Requirements(deadline_s=1.3), (0.0, 0.0), 1.0, ([True, False, True], 0)),
        (Requirements(deadline_s=1.3), (0.2, 0.0), 1.0, ([False, False, True], 0)),
        (Requirements(deadline_s=1.3), (0.2, 0.6), 1.0, ([False] * 3, BUSY)),
        (Requirements(deadline_s=0.7), (0.0, 0.0), 1.0, ([False] * 3, DEADLINE)),
        (Requirements(deadline_s=0.7), (0.0, 0.0), 0.5, ([True, False, True], 0)),
        (Requirements(deadline_s=0.7, min_accuracy=0.95), (0.0, 0.0), 1.0, ([False] * 3, ACCURACY)),
    ],
)
def test_hard_constraints(
    wanted: Requirements, backlog: tuple[float, float], size: float, expected: tuple[list[bool], int]
) -> None:
    assert judge(wanted, backlog, size) == expected


def test_pairs_that_a_policy_does_not_use_do_not_count() -> None:
    edge_only = np.array([True, True, False])
    assert judge(Requirements(min_accuracy=0.8), eligible=edge_only) == ([False] * 3, ACCURACY)
    assert judge(Requirements(memory_bytes=850), eligible=edge_only) == ([False] * 3, MEMORY)


def test_no_limit_is_no_limit() -> None:
    screen = Screen(
        Tables.of(toy_portfolio(toy_pair(), memory=None)), [Requirements(memory_bytes=10**18)], np.array([True])
    )
    assert screen.check(np.array([0]), np.zeros((1, 1)), np.ones(1))[1].tolist() == [0]


def test_several_classes_at_once() -> None:
    classes = [Requirements(), Requirements(min_accuracy=0.8), Requirements(deadline_s=0.1)]
    screen = Screen(Tables.of(toy_portfolio()), classes, EVERY)
    allowed, refused = screen.check(np.array([2, 1, 0, 1]), np.zeros((4, 2)), np.ones(4))
    assert refused.tolist() == [DEADLINE, 0, 0, 0]
    assert allowed.sum(axis=1).tolist() == [0, 1, 3, 1]


@pytest.mark.parametrize(
    "wrong", [{"min_accuracy": 1.1}, {"min_accuracy": -0.1}, {"deadline_s": 0.0}, {"memory_bytes": -1}]
)
def test_impossible_requirements(wrong: dict[str, float]) -> None:
    with pytest.raises(PrecisionError, match=next(iter(wrong))):
        Requirements(**wrong)  # type: ignore[arg-type]
