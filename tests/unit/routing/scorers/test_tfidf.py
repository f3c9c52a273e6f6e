"""Words and letters: the features are scikit-learn's, and so are the slopes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorers import ngrams
from ianvs_collab.routing.scorers.ngrams import NgramFeatures, letter_ngrams
from ianvs_collab.routing.scorers.tfidf import Tfidf
from ianvs_collab.routing.scorers.tfidf_subject import TfidfSubject

from .lessons import ask, lesson, soft

TEXTS = ["What is 3 + 4?", "What is NOT a cat?\nA. dog", "Straße ÉCOLE 学校 x", "", "a a a a, b", "which is what?"]


def vectorizer(min_texts: int) -> FeatureUnion:
    common = {"sublinear_tf": True, "min_df": min_texts}
    words = TfidfVectorizer(token_pattern=r"(?u)\w+|[^\w\s]", ngram_range=(1, 2), **common)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), **common)
    return FeatureUnion([("words", words), ("letters", letters)])


_texts = st.text(st.sampled_from("abAB é学 .,+1\n?'"), max_size=40)


@settings(deadline=None, max_examples=60)
@given(st.lists(_texts, min_size=2, max_size=8), st.lists(_texts, max_size=4), st.integers(1, 2))
def test_the_features_are_those_of_scikit_learn(texts: list[str], unseen: list[str], min_texts: int) -> None:
    try:
        reference = vectorizer(min_texts).fit(texts)
    except ValueError:  # scikit-learn wants terms of both kinds
        return
    features = NgramFeatures.fit(texts, min_texts)
    asked = [*texts, *unseen]
    assert len(features) == reference.transform([""]).shape[1]
    np.testing.assert_allclose(features.matrix(asked).toarray(), reference.transform(asked).toarray(), atol=1e-12)


def test_a_router_equals_scikit_learns_pipeline() -> None:
    queries, target = lesson(90)
    texts = [query["query"] for query in queries]
    reference = make_pipeline(vectorizer(2), LogisticRegression(C=0.3, tol=1e-3))
    reference.fit(texts, target.probabilities.argmax(axis=1))
    asked = [*lesson(12, 3)[0], ask("Nothing of the kind")]
    expected = reference.predict_proba([query["query"] for query in asked]) @ target.values
    np.testing.assert_allclose(Tfidf(regularisation=0.3).fit(queries, target).scores(asked), expected, atol=1e-6)


def test_remembered_words_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    features = NgramFeatures.fit(TEXTS, 1)
    before = features.matrix(TEXTS).toarray()
    monkeypatch.setattr(ngrams, "_REMEMBERED_WORDS", 2)
    small = NgramFeatures.fit(TEXTS, 1)
    assert np.array_equal(small.matrix(TEXTS * 2).toarray(), np.vstack([before, before]))
    assert len(small._of_word) <= 2


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a", [" a", "a ", " a "]),
        ("ab", [" a", "ab", "b ", " ab", "ab ", " ab "]),
        ("abc", [" a", "ab", "bc", "c ", " ab", "abc", "bc ", " abc", "abc "]),
    ],
)
def test_letter_groups_have_a_blank_at_either_end(word: str, expected: list[str]) -> None:
    assert letter_ngrams(word) == expected


def test_texts_without_a_recurring_term_are_refused() -> None:
    queries, target = [ask("one"), ask("two")], lesson(3)[1].subset(np.array([0, 1]))
    with pytest.raises(RouterError, match="no word or letter group occurs in 3 of the 2 training questions"):
        Tfidf(min_texts=3).fit(queries, target)


def test_a_vocabulary_and_weights_of_different_number_do_not_go_together() -> None:
    with pytest.raises(ValueError, match=r"1 \+ 1 terms and 3 weights"):
        NgramFeatures(["a"], [" a"], np.ones(3))


def test_a_penalty_that_is_none_is_refused() -> None:
    with pytest.raises(RouterError, match="regularisation must be above 0, not 0"):
        Tfidf(regularisation=0)
    with pytest.raises(RouterError, match="penalty must be above 0, own and level 0 or more, not 1.0, -1, 0.5"):
        TfidfSubject(penalty=1.0, own=-1)


@pytest.mark.parametrize(("penalty", "own", "level"), [(1.0, 2.0, 0.5), (5.0, 0.5, 0.0), (2.0, 0.0, 0.0)])
def test_slopes_are_those_of_a_ridge_regression_on_features_copied_for_each_subject(
    penalty: float, own: float, level: float
) -> None:
    queries, target = lesson(45)
    target = soft(target)
    asked = [*lesson(12, 7)[0], ask("What is 3 + 4?", "unheard of")]
    features = NgramFeatures.fit([query["query"] for query in queries])
    names = sorted({query["subject"] for query in queries})

    def augmented(given: list) -> np.ndarray:
        shared = features.matrix([query["query"] for query in given]).toarray()
        inside = np.array([[query["subject"] == name for name in names] for query in given], dtype=float)
        copies = [np.sqrt(own) * inside[:, [n]] * shared for n in range(len(names))]
        return np.hstack([shared, *copies, np.sqrt(level) * inside])

    rows, worth = augmented(queries), target.expected
    gram = rows.T @ rows + penalty * np.eye(rows.shape[1])
    slopes = np.linalg.solve(gram, rows.T @ (worth - worth.mean()))
    expected = worth.mean() + augmented(asked) @ slopes
    scorer = TfidfSubject(penalty=penalty, own=own, level=level).fit(queries, target)
    np.testing.assert_allclose(scorer.scores(asked), expected, atol=1e-3)
    assert np.ptp(expected) > 0.05


def test_the_same_words_may_mean_different_things_in_two_subjects() -> None:
    _, target = lesson(3)
    gain, loss = np.eye(3)[2], np.eye(3)[0]
    queries = [ask(word, subject) for subject in ("x", "y") for word in ("red", "blue")] * 20
    labels = np.array([gain, loss, loss, gain] * 20)
    scorer = TfidfSubject(penalty=0.1, min_texts=1).fit(queries, type(target)("delta", labels, target.values))
    assert np.sign(scorer.scores(queries[:4])).tolist() == [1, -1, -1, 1]


def test_slopes_that_do_not_converge_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ianvs_collab.routing.scorers.tfidf_subject.cg", lambda operator, right, **_: (np.zeros(len(right)), 1)
    )
    with pytest.raises(RouterError, match="did not converge; penalty 7.0 is too small for 12 queries"):
        TfidfSubject(penalty=7.0).fit(*lesson(12))


@pytest.mark.parametrize("kind", [Tfidf, TfidfSubject])
def test_a_vocabulary_of_another_training_is_refused(kind: type, tmp_path: Path) -> None:
    kind().fit(*lesson(45)).save(tmp_path)
    facts = json.loads((tmp_path / "learned.json").read_text())
    other = {**facts, "words": facts["words"][1:]}
    (tmp_path / "learned.json").write_text(json.dumps(other))
    with pytest.raises(RouterError, match="train the router again"):
        kind().restore(tmp_path)


@pytest.mark.parametrize("kind", [Tfidf, TfidfSubject])
def test_slopes_of_another_training_are_refused(kind: type, tmp_path: Path) -> None:
    folders = [tmp_path / "small", tmp_path / "large"]
    for folder, count in zip(folders, (12, 45), strict=True):
        folder.mkdir()
        kind().fit(*lesson(count)).save(folder)
    arrays, others = (load_file(folder / "learned.safetensors") for folder in folders)
    save_file({**others, "weights": arrays["weights"]}, folders[0] / "learned.safetensors")
    with pytest.raises(RouterError, match="train the router again"):
        kind().restore(folders[0])


def test_a_subject_without_terms_has_its_level_alone() -> None:
    queries, target = lesson(45)
    empty = [ask("", "silent")] * 5
    labels = np.vstack([target.probabilities, np.tile([0.0, 0.0, 1.0], (5, 1))])
    scorer = TfidfSubject(penalty=1.0).fit([*queries, *empty], type(target)("delta", labels, target.values))
    said, silent = scorer.scores([ask("What is 3 + 4?", "silent"), ask("What is 3 + 4?")])
    assert said - silent == pytest.approx(scorer.scores([ask("", "silent")])[0] - scorer.scores([ask("")])[0])
    assert said > silent
