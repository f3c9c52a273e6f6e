"""What the features see in questions, and what they must not be moved by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.inference import Query
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.features import GROUPS, feature_names, parts_of, question_features

CALCULATION = "Calculate the force on a 2 kg mass at 5 m/s² in 1998.\nA. 10 N\nB. 20 N\nC. 2.5 N\nD. 0.4 N"
STATEMENTS = (
    "Statement 1 | Every group is abelian. Statement 2 | Every field is a ring.\n"
    "A. True, True\nB. False, False\nC. True, False\nD. False, True"
)
CASE = (
    'A 45-year-old man tells the court "I did it". Which of the following is NOT a defence?\n'
    "A. Yes, because he slept\nB. No, because he knew\nC. None of the above\nD. All of the above"
)
RECALL = "The capital of France is\nA. Paris\nB. Rome\nC. Bonn\nD. Bern"


def features(text: str, **keys: object) -> dict[str, float]:
    row = question_features([Query(query=text, **keys)])[0]
    return dict(zip(feature_names(), row.tolist(), strict=True))


def test_a_query_is_taken_apart_where_its_options_begin() -> None:
    parts = parts_of(Query(query=RECALL))
    assert (parts.stem, parts.options) == ("The capital of France is", ("Paris", "Rome", "Bonn", "Bern"))


def test_a_line_of_the_stem_that_looks_like_an_option_stays_in_the_stem() -> None:
    text = "A. Smith wrote it. Who reviewed it?\n" + "A. Jones\nB. Brown"
    parts = parts_of(Query(query=text, choices={"A": "Jones", "B": "Brown"}))
    assert parts.stem == "A. Smith wrote it. Who reviewed it?"


def test_options_that_the_text_does_not_show_leave_the_text_whole() -> None:
    parts = parts_of(Query(query="Which one?", choices={"A": "x", "B": "y"}))
    assert (parts.stem, parts.options) == ("Which one?", ("x", "y"))


def test_solved_examples_are_not_looked_at() -> None:
    few = Query(query=f"{CALCULATION}\nAnswer: A\n\n{RECALL}", shots=1)
    assert np.array_equal(question_features([few]), question_features([Query(query=RECALL)]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            CALCULATION,
            {
                "numbers.numeric_options": 1.0,
                "numbers.calculate": 1.0,
                "numbers.unit": 1.0,
                "numbers.year": 1.0,
                "numbers.stem_numbers": np.log1p(3),
                "logic.negation": 0.0,
            },
        ),
        (
            STATEMENTS,
            {
                "logic.statements": 1.0,
                "options.truth_options": 1.0,
                "options.paired_options": 1.0,
                "options.same_beginning": 1.0,
                "options.option_overlap": (4 * 0.5 + 1) / 6,
                "numbers.numeric_options": 0.0,
            },
        ),
        (
            CASE,
            {
                "scene.patient": 1.0,
                "scene.court": 1.0,
                "scene.quotation": 1.0,
                "logic.shouted_negation": 1.0,
                "form.which_of_the": 1.0,
                "form.ends_question": 1.0,
                "options.yes_no_options": 0.5,
                "options.reasoned_options": 0.5,
                "options.all_or_none": 1.0,
                "options.of_the_above": 1.0,
            },
        ),
        (
            RECALL,
            {
                "size.stem_words": np.log1p(5),
                "size.option_characters": np.log1p(17),
                "options.one_word_options": 1.0,
                "options.capital_options": 1.0,
                "options.options": 4.0,
                "form.ends_open": 1.0,
                "numbers.digit_share": 0.0,
                "style.names": 1 / 9,
            },
        ),
    ],
    ids=["calculation", "statements", "case", "recall"],
)
def test_kinds_of_questions_are_told_apart(text: str, expected: dict[str, float]) -> None:
    seen = features(text)
    assert {name: seen[name] for name in expected} == pytest.approx(expected)


def test_identical_options_overlap_wholly_and_have_no_spread() -> None:
    seen = features("Which?\nA. red fox\nB. red fox")
    assert (seen["options.option_overlap"], seen["options.length_spread"]) == (1.0, 0.0)


@given(st.text(max_size=300), st.lists(st.text(max_size=40), max_size=6))
def test_any_text_has_finite_features_of_one_width(text: str, options: list[str]) -> None:
    query = Query(query=text, choices=dict(zip("ABCDEF", options, strict=False)))
    table = question_features([query])
    assert table.shape == (1, len(feature_names()))
    assert np.isfinite(table).all()


@given(st.permutations(["Paris", "Rome", "Bonn, or Bern", "12 km"]))
def test_the_order_of_the_options_changes_nothing(options: list[str]) -> None:
    shown = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCD", options, strict=True))
    reference = question_features([Query(query="Which?\nA. Paris\nB. Rome\nC. Bonn, or Bern\nD. 12 km")])
    assert np.allclose(question_features([Query(query=f"Which?\n{shown}")]), reference)


def test_subject_and_gold_answer_are_not_read() -> None:
    assert features(RECALL) == features(RECALL, subject="geography", gold="A", query_id="x")


def test_a_batch_is_its_queries_one_by_one_also_when_asked_again() -> None:
    queries = [Query(query=text) for text in (CALCULATION, STATEMENTS, CASE, RECALL, CASE)]
    alone = np.vstack([question_features([query]) for query in queries])
    for _ in range(2):
        assert np.array_equal(question_features(queries), alone)


def test_groups_are_columns_of_the_whole() -> None:
    query, names = Query(query=CASE), feature_names()
    for group in GROUPS:
        chosen = [names.index(name) for name in feature_names([group])]
        assert all(names[index].startswith(f"{group}.") for index in chosen)
        assert np.array_equal(question_features([query], [group]), question_features([query])[:, chosen])


@given(st.lists(st.sampled_from(list(GROUPS)), min_size=1, unique=True), st.lists(st.text(max_size=80), min_size=2))
def test_a_batch_has_the_columns_of_the_groups_asked_for_in_their_order(groups: list[str], texts: list[str]) -> None:
    queries = [Query(query=text) for text in texts]
    alone = np.vstack([question_features([query], groups) for query in queries])
    assert np.array_equal(question_features(queries, groups), alone)


@given(st.text(max_size=200), st.text(max_size=40), st.text(max_size=40))
def test_features_depend_on_nothing_but_the_question(text: str, subject: str, gold: str) -> None:
    bare = question_features([Query(query=text, choices={"A": "x", "B": "y"})])
    dressed = Query(
        query=text, choices={"A": "x", "B": "y"}, subject=subject, gold=gold, query_id=gold, language=subject
    )
    assert np.array_equal(question_features([dressed]), bare)


def test_no_queries_have_no_rows() -> None:
    assert question_features([]).shape == (0, len(feature_names()))
    assert question_features([], ["logic", "size"]).shape == (0, len(feature_names(["logic", "size"])))


@pytest.mark.parametrize("groups", [[], ["colour"], ["size", "size"]])
def test_wrong_groups_are_named_with_those_there_are(groups: list[str]) -> None:
    with pytest.raises(RouterError, match=r"size, form, logic, numbers, options, scene, style, each once"):
        feature_names(groups)
