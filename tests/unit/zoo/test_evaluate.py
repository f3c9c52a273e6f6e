from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.zoo.card import parameters_of, table, write_card
from ianvs_collab.zoo.checkpoint import WEIGHTS
from ianvs_collab.zoo.evaluate import LONGEST_ANSWER, Score, complete, grade, load_model, scores
from ianvs_collab.zoo.generate import balanced
from ianvs_collab.zoo.tokenizer import load_tokenizer


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_the_accuracy_and_stays_in_range(counts) -> None:
    score = Score(*counts)
    low, high = score.interval
    assert 0 <= low <= score.accuracy + 1e-9
    assert score.accuracy - 1e-9 <= high <= 1


def test_the_interval_is_wilsons() -> None:
    low, high = Score(8, 10).interval  # Agresti and Coull 1998 give (0.49, 0.94) for 8 of 10
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)


def test_grading_takes_the_option_that_the_completion_names() -> None:
    questions = balanced("test", 1, seed=5)
    assert all(grade(questions, [q.completion for q in questions]))
    wrong = [next(text for text in q.choices.values() if text != q.choices[q.answer]) for q in questions]
    assert not any(grade(questions, wrong))
    assert not any(grade(questions, [""] * len(questions)))


def test_scores_are_counted_by_group() -> None:
    questions = balanced("test", 2, seed=5)
    right = [question.language == "zh" for question in questions]
    assert scores(questions, right, lambda q: q.language) == {
        "zh": Score(len(questions) // 2, len(questions) // 2),
        "en": Score(0, len(questions) // 2),
    }


def test_completions_keep_the_order_of_the_prompts_and_do_not_depend_on_the_batch() -> None:
    model, tokenizer = load_model(WEIGHTS / "edge")
    prompts = [question.prompt for question in balanced("test", 1, seed=6)]
    together = complete(model, tokenizer, prompts, batch_size=16)
    assert together == [complete(model, tokenizer, [prompt])[0] for prompt in prompts]
    assert complete(model, tokenizer, []) == []


def test_every_completion_fits_into_the_longest_answer() -> None:
    tokenizer = load_tokenizer()
    longest = max(len(tokenizer(question.target)["input_ids"]) for question in balanced("test", 30, seed=1))
    assert longest < LONGEST_ANSWER


def test_a_card_states_what_was_measured(tmp_path: Path) -> None:
    questions = balanced("test", 2, seed=5)
    right = [question.subject == "addition" for question in questions]
    folder = tmp_path / "edge"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((WEIGHTS / "edge" / name).read_bytes())
    loss = tmp_path / "loss.csv"
    loss.write_text("step,tokens,minutes,loss\n1,2000000,3.0,1.5\n")
    overall = write_card(folder, "edge", questions, {1: [False] * len(right), 2: right}, loss)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert overall == Score(4, len(questions))
    assert "| addition | 100.0% | 51.0% to 100.0% | 4 of 4 |" in card
    assert "2.0 million" in card
    assert f"| exit after layer 1 | 0.0% | 0.0% to 5.3% | 0 of {len(questions)} |" in card
    assert f"{parameters_of(folder):,} parameters" in card
    assert json.loads((folder / "evaluation.json").read_text())["addition"] == {"right": 4, "total": 4}
    assert (folder / "loss.csv").read_text() == loss.read_text()
    assert "million tokens seen" in (folder / "loss.svg").read_text(encoding="utf-8")


def test_a_table_has_a_row_for_each_group() -> None:
    lines = table("subject", {"a": Score(1, 4), "b": Score(2, 4)}).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| a | 25.0% |")


@pytest.mark.parametrize("name", ["edge", "cloud"])
def test_parameters_are_counted_in_the_file(name) -> None:
    model, _ = load_model(WEIGHTS / name)
    assert parameters_of(WEIGHTS / name) == sum(parameter.numel() for parameter in model.parameters())
