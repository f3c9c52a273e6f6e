"""Shares of queries with personal data, found and leaked, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from ianvs_collab.metrics import plugins


def answer(where: str, found: Any = None, sent: Any = None) -> dict[str, Any]:
    content: dict[str, Any] = {"completion": "x", "where": where}
    return content if found is None else {**content, "pii": {"found": found, "sent": sent}}


def both(y_pred: list[Any]) -> tuple[Any, Any]:
    functions = plugins("privacy")
    return functions["PII Rate"]([], y_pred), functions["Leaked PII Rate"]([], y_pred)


def test_queries_are_counted_not_pieces() -> None:
    edge, cloud = answer("edge", 3, 0), answer("cloud", 4, 1)
    clean, leaky = answer("cloud", 0, 0), answer("cloud", 1, 1)
    y_pred = [[False, edge, edge, None], [True, cloud, None, cloud], clean, leaky]
    assert both(y_pred) == (75, pytest.approx(200 / 3, abs=1e-3))


def test_queries_that_nobody_searched_do_not_count() -> None:
    assert both([answer("cloud", 1, 0), answer("cloud"), "a foreign answer"]) == (100, 0)
    assert both([answer("cloud")]) == (None, None)
    assert both([]) == (None, None)


def test_where_none_is_found_none_can_leak() -> None:
    assert both([answer("cloud", 0, 0)]) == (0, None)


def test_a_result_made_of_two_answers_is_read_from_its_parts() -> None:
    made = {"completion": "x"}
    assert both([[True, made, answer("edge"), answer("cloud", 2, 1)]]) == (100, 100)
    assert both([[True, made, answer("edge", 2, 0), None]]) == (100, 0)


def test_a_report_that_is_none_does_not_count() -> None:
    assert both([{"completion": "x", "pii": "many"}, {"completion": "x", "pii": {"found": 1}}]) == (None, None)
