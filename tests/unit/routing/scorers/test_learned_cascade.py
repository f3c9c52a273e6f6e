"""The learned cascade and the features of answers it looks at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorers.answer_features import FEATURES, QUANTILES, answer_features
from ianvs_collab.routing.scorers.learned_cascade import LearnedCascade
from ianvs_collab.routing.target import Target

from .lessons import WORTH, answered, ask, lesson

QUESTION = "What is 12 + 7?\nA. 19\nB. the sun\nC. 21"


def reply(
    completion: str = "It is 19.", answer: str | None = "A", logprobs: Any = (-0.1, -2.0, -0.3), **more: Any
) -> Answer:
    query = Query(query_id="q", query=QUESTION, choices={"A": "19", "B": "the sun", "C": "21"}, subject="s", shots=0)
    content = {"completion": completion, "answer": answer, "outcome": "ok" if answer else "unparsed"}
    return Answer({**content, "logprobs": None if logprobs is None else list(logprobs), **more}, query)


def features(answer: Answer) -> dict[str, float]:
    return dict(zip(FEATURES, answer_features([answer], "learned-cascade")[0].tolist(), strict=True))


@given(st.lists(st.floats(-20, 0), min_size=1, max_size=30))
def test_certainty_is_summed_up_as_numpy_would(logprobs: list[float]) -> None:
    found, given_logprobs = features(reply(logprobs=logprobs)), np.array(logprobs)
    expected = {
        "tokens": np.log1p(len(logprobs)),
        "mean": given_logprobs.mean(),
        "sum": given_logprobs.sum(),
        "spread": given_logprobs.std(),
        "first": logprobs[0],
        "last": logprobs[-1],
        "place of the lowest": logprobs.index(min(logprobs)) / len(logprobs),
        "second lowest": sorted([*logprobs, 0.0])[1],
        "margin of the lowest": sorted([*logprobs, 0.0])[1] - min(logprobs),
        **{f"quantile {level}": np.quantile(given_logprobs, level) for level in QUANTILES},
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_the_wording_is_compared_with_question_and_options() -> None:
    found = features(reply("What is 12 + 7? It is 19, not 21."))
    assert found["options named"] == 2
    assert found["option in words"] == found["option is a number"] == 1
    assert found["words from the question"] == pytest.approx(7 / 9)  # also "is" and "19", which stand in it
    assert (found["place of the option"], found["options"]) == (0, 3)
    assert found["question characters"] == pytest.approx(np.log1p(len(QUESTION)))
    assert found["question digits"] == pytest.approx(7 / len(QUESTION))


def test_an_answer_that_names_no_option_is_seen_to_name_none() -> None:
    found = features(reply("Who knows?", None))
    assert (found["unparsed"], found["option in words"], found["place of the option"]) == (1, 0, -1)
    assert features(reply("", "A"))["words from the question"] == 0


def test_characters_of_scripts_without_spaces_are_words() -> None:
    query = Query(query_id="q", query="天空是什么颜色？", choices={})
    found = features(Answer({"completion": "天空是蓝色", "answer": None, "logprobs": [-1.0]}, query))
    assert found["words from the question"] == pytest.approx(4 / 5)


@pytest.mark.parametrize("logprobs", [None, []])
def test_without_log_probabilities_the_message_says_how_to_get_them(logprobs: list | None) -> None:
    with pytest.raises(RouterError, match=r"needs log-probabilities .* `logprobs: {values: \[true\]}`"):
        answer_features([reply(logprobs=logprobs)], "learned-cascade")
    with pytest.raises(RouterError, match="'learned-cascade' needs log-probabilities"):
        LearnedCascade().fit([reply(logprobs=logprobs)] * 2, Target("delta", np.eye(3)[[0, 2]], WORTH))


def test_it_learns_where_uncertainty_begins_to_matter() -> None:
    """Only answers of middling certainty gain: no straight line can say that."""
    rng = np.random.default_rng(0)
    levels = rng.uniform(-6, 0, 300)
    answers = [reply(logprobs=[level] * 3) for level in levels]
    gains = (levels > -4) & (levels < -2)
    target = Target("gain", np.column_stack([~gains, gains]).astype(float), np.array([0.0, 1.0]))
    asked = [reply(logprobs=[level] * 3) for level in (-5.5, -3, -0.5)]
    low, middle, high = LearnedCascade(regularisation=1.0).fit(answers, target).scores(asked)
    assert middle > max(low, high) + 0.5
    straight = LearnedCascade(knots=0, regularisation=1.0).fit(answers, target).scores(asked)
    assert straight[1] < 0.7


def test_queries_instead_of_answers_are_refused_with_the_mode_to_set() -> None:
    queries, target = lesson(12)
    with pytest.raises(RouterError, match="set hard_example_mining_mode: inference-then-mining"):
        LearnedCascade().fit(queries, target)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"knots": -1}, "knots must be 0 or more"),
        ({"regularisation": 0}, "regularisation above 0, not 4 and 0"),
        ({"query_scorer": "learned-cascade"}, "query_scorer 'learned-cascade' reads answers; name one of questions"),
        ({"query_scorer": "nothing"}, "there is no scorer 'nothing'"),
        ({"query_scorer": "tfidf", "query_settings": {"x": 1}}, "has no setting 'x'"),
    ],
)
def test_a_setting_that_cannot_work_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RouterError, match=message):
        LearnedCascade(**settings)


def test_a_question_scorer_is_one_feature_more_and_its_training_scores_are_out_of_fold() -> None:
    """Texts that occur once can be known by heart, but say nothing about others."""
    rng = np.random.default_rng(0)
    queries = [ask(f"word{n} word{n}") for n in range(120)]
    gains = rng.random(120) < 0.5
    target = Target("gain", np.column_stack([~gains, gains]).astype(float), np.array([0.0, 1.0]))
    answers = [answered(query) for query in queries]
    known = {"min_texts": 1, "regularisation": 100.0}
    scores = LearnedCascade(query_scorer="tfidf", query_settings=known).fit(answers, target).scores(answers)
    assert np.ptp(scores) < 0.4  # were they learned from its scores for seen queries, they would be 0 and 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"knots": 3}, "does not fit these settings"), ({"query_scorer": "subject-prior"}, "does not fit these settings")],
)
def test_a_cascade_with_other_settings_is_not_taken(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    queries, target = lesson(30)
    LearnedCascade().fit([answered(query) for query in queries], target).save(tmp_path)
    with pytest.raises(RouterError, match=message):
        LearnedCascade(**settings).restore(tmp_path)


def test_a_cascade_on_other_features_is_not_taken(tmp_path: Path) -> None:
    queries, target = lesson(30)
    LearnedCascade().fit([answered(query) for query in queries], target).save(tmp_path)
    facts = tmp_path / "learned.json"
    facts.write_text(facts.read_text().replace("unparsed", "parsed"))
    with pytest.raises(RouterError, match="does not fit these settings"):
        LearnedCascade().restore(tmp_path)
    arrays = load_file(tmp_path / "learned.safetensors")
    facts.write_text(facts.read_text().replace("parsed", "unparsed"))
    save_file({**arrays, "mean": arrays["mean"][1:]}, tmp_path / "learned.safetensors")
    with pytest.raises(RouterError, match="does not fit these settings"):
        LearnedCascade().restore(tmp_path)
