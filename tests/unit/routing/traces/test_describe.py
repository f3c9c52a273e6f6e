from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ianvs_collab.routing import RouterError
from ianvs_collab.routing.traces import Side, Trace, TraceRow
from ianvs_collab.routing.traces.correctness import read_correctness
from ianvs_collab.routing.traces.describe import describe, require_logprobs

Make = Callable[..., TraceRow]


def test_gains_and_losses_are_counted_by_subject(trace: Trace) -> None:
    found = describe(trace)
    whole = found.whole
    assert (whole.queries, whole.edge, whole.cloud) == (4, 0.5, 0.5)
    assert (whole.gain, whole.loss, whole.same) == (0.25, 0.25, 0.5)
    a, b = found.subjects
    assert (a.name, a.queries, a.gain, a.loss) == ("a", 2, 0.5, 0.0)
    assert (b.name, b.gain, b.loss) == ("b", 0.0, 0.5)
    table = found.table().splitlines()
    assert table[0].startswith("four: 4 queries, quality edge 0.500, cloud 0.500")
    assert table[-3].split() == ["a", "2", "0.500", "1.000", "0.500", "0.000", "0.500"]
    assert table[-1].split() == ["all", "4", "0.500", "0.500", "0.250", "0.250", "0.500"]


def test_queries_without_subjects_make_no_groups(row: Make) -> None:
    assert describe(Trace([row("a", 0, 1), row("b", 1, 1)])).subjects == ()


def test_a_sound_trace_has_no_warnings(row: Make) -> None:
    rows = [row(f"q{i}", float(i % 2), float(i % 3 > 0), subject="s") for i in range(30)]
    assert describe(Trace(rows)).warnings == ()


def test_a_subject_below_guessing_is_told(row: Make) -> None:
    broken = [row(f"x{i}", 1.0, 0.0, subject="broken") for i in range(10)]
    sound = [row(f"y{i}", float(i % 2), 1.0, subject="sound") for i in range(40)]
    (warning,) = describe(Trace([*broken, *sound])).warnings
    assert warning.startswith("broken: the cloud answers 0.0% of 10 rightly")
    assert describe(Trace([*broken[1:], *sound])).warnings == ()  # nine say too little


def test_graded_qualities_are_not_taken_for_guessing(row: Make) -> None:
    rows = [row(f"x{i}", -3.0 - i, -2.5, subject="free") for i in range(20)]
    assert not [text for text in describe(Trace(rows)).warnings if text.startswith("free")]


@pytest.mark.parametrize(
    ("pairs", "warning"),
    [
        ([(1, 1), (0, 0)], "both models have the same quality on every query"),
        ([(1, 1), (1, 0)], "the edge has quality 1 on every query"),
        ([(0, 1), (1, 1)], "the cloud has quality 1 on every query"),
        ([(1, 0), (1, 0), (0, 1)], "the cloud is not better than the edge overall"),
    ],
)
def test_what_cannot_teach_a_router_is_told(pairs: list[tuple[int, int]], warning: str, row: Make) -> None:
    warnings = describe(Trace([row(f"q{i}", *pair) for i, pair in enumerate(pairs)])).warnings
    assert any(text.startswith(warning) for text in warnings), warnings


def test_failed_queries_are_counted(row: Make) -> None:
    rows = [row(f"q{i}", i % 2, 1) for i in range(4)]
    rows[0] = replace(rows[0], cloud=Side(0.0, outcome="timeout"))
    assert any("1 queries got no answer from the cloud" in text for text in describe(Trace(rows)).warnings)


def test_repeated_texts_are_told(row: Make) -> None:
    rows = [row("a", 0, 1, text="same"), row("b", 1, 1, text="same"), row("c", 0, 0, text="other")]
    assert describe(Trace(rows)).warnings == ("1 queries repeat the text of another one; a split may part them",)


def test_the_flaw_of_the_published_trace_is_found(data_root: Path) -> None:
    found = describe(read_correctness(data_root / "traces" / "mmlu_mixtral_gpt4.csv", data_root / "mmlu"))
    flawed = [text for text in found.warnings if "less than guessing" in text]
    assert [text.partition(":")[0] for text in flawed] == ["high_school_mathematics"]
    assert round(found.whole.loss, 3) == 0.053


def test_a_reader_of_log_probabilities_is_told_which_queries_lack_them(row: Make) -> None:
    sure = replace(row("a"), edge=Side(1, logprobs=(-0.1,)))
    failed = replace(row("b"), edge=Side(0, outcome="error"))
    require_logprobs(Trace([sure, failed]), "ConfidenceRouter")
    with pytest.raises(RouterError, match=r"ConfidenceRouter needs .* 1 of 3 queries .*'c'"):
        require_logprobs(Trace([sure, failed, row("c")]), "ConfidenceRouter")
