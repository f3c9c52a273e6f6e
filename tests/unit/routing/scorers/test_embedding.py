"""Scorers on sentence embeddings, each against the plain form of what it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from ianvs_collab.modelserver import ModelServerError
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.crossfit import out_of_fold
from ianvs_collab.routing.scorers import embedding
from ianvs_collab.routing.scorers.embedding import (
    EmbeddingBoosting,
    EmbeddingLogistic,
    EmbeddingNeighbours,
    EmbeddingSubjectLogistic,
)
from ianvs_collab.routing.scorers.prior import SubjectPrior

from .lessons import ask, lesson, tiny_encoder

ASKED = [*lesson(12, 3)[0], ask("Nothing of the kind", "unheard of")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_encoder(tmp_path_factory.mktemp("encoder")))


def embedded(model: str, queries: list) -> np.ndarray:
    return EmbeddingLogistic(model, cache=False).embed(queries)


def one_hot(given: list, names: list[str]) -> np.ndarray:
    return np.array([[query["subject"] == name for name in names] for query in given], dtype=float)


@pytest.mark.parametrize("subject", [False, True])
def test_logistic_regression_is_scikit_learns_on_the_embedding(model: str, subject: bool) -> None:
    queries, target = lesson(60)
    names = sorted({query["subject"] for query in queries}) if subject else []
    rows, asked = (np.hstack([embedded(model, some), one_hot(some, names)]) for some in (queries, ASKED))
    reference = LogisticRegression(C=0.5, max_iter=1000).fit(rows, target.probabilities.argmax(axis=1))
    kind = EmbeddingSubjectLogistic if subject else EmbeddingLogistic
    scores = kind(model, cache=False, regularisation=0.5).fit(queries, target).scores(ASKED)
    np.testing.assert_allclose(scores, reference.predict_proba(asked) @ target.values, atol=1e-6)


@pytest.mark.parametrize("same_subject", [0.0, 0.2])
def test_neighbours_are_those_of_a_search_through_all(
    model: str, same_subject: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_QUERIES_AT_ONCE", 5)
    queries, target = lesson(60)
    known, asked = embedded(model, queries), embedded(model, ASKED)
    expected = []
    for vector, query in zip(asked, ASKED, strict=True):
        likeness = [
            float(vector @ other) + same_subject * (query["subject"] == one["subject"])
            for other, one in zip(known, queries, strict=True)
        ]
        nearest = sorted(range(60), key=lambda index: -likeness[index])[:7]
        expected.append(np.average(target.expected[nearest], weights=[likeness[index] for index in nearest]))
    scorer = EmbeddingNeighbours(model, cache=False, neighbours=7, same_subject=same_subject).fit(queries, target)
    np.testing.assert_allclose(scorer.scores(ASKED), expected, atol=1e-5)


def test_with_all_training_queries_as_neighbours_the_score_is_their_weighted_mean(model: str) -> None:
    queries, target = lesson(12)
    scores = EmbeddingNeighbours(model, cache=False, neighbours=12, same_subject=0).fit(queries, target).scores(ASKED)
    weights = np.maximum(embedded(model, ASKED) @ embedded(model, queries).T, 1e-6)
    np.testing.assert_allclose(scores, weights @ target.expected / weights.sum(axis=1), atol=1e-5)


@pytest.mark.parametrize("subject", [False, True])
def test_boosting_is_scikit_learns_on_main_directions_and_a_prior_that_has_not_seen_the_query(
    model: str, subject: bool
) -> None:
    queries, target = lesson(60)
    for number, query in enumerate(queries):  # so few of each that a query's own label would tell in its prior
        query["subject"] = f"subject {number % 21}"
    asked_queries = [*ASKED, *queries]
    pca = PCA(4, svd_solver="covariance_eigh").fit(embedded(model, queries))
    rows, asked = (pca.transform(embedded(model, some)) for some in (queries, asked_queries))
    if subject:
        rows = np.column_stack([rows, out_of_fold(SubjectPrior(), queries, target, seed=1)])
        asked = np.column_stack([asked, SubjectPrior().fit(queries, target).scores(asked_queries)])
    reference = HistGradientBoostingRegressor(
        max_iter=6,
        max_leaf_nodes=8,
        learning_rate=0.05,
        min_samples_leaf=5,
        early_stopping=False,
        random_state=1,
    ).fit(rows, target.expected)
    scorer = EmbeddingBoosting(
        model, False, 4, trees=6, leaves=8, learning_rate=0.05, min_leaf=5, subject=subject, seed=1
    )
    np.testing.assert_allclose(scorer.fit(queries, target).scores(asked_queries), reference.predict(asked), atol=1e-6)


def test_too_few_queries_for_the_settings_are_refused_with_their_number(model: str) -> None:
    queries, target = lesson(12)
    with pytest.raises(RouterError, match="13 neighbours are asked for and there are 12 training queries"):
        EmbeddingNeighbours(model, cache=False, neighbours=13).fit(queries, target)
    with pytest.raises(RouterError, match="12 training queries .* need 14 queries"):
        EmbeddingBoosting(model, cache=False, dimensions=2, min_leaf=7).fit(queries, target)
    with pytest.raises(RouterError, match="embeddings of 32 numbers; .* need 33 queries and 33 numbers"):
        EmbeddingBoosting(model, cache=False, dimensions=33, min_leaf=1).fit(*lesson(40))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EmbeddingLogistic(regularisation=-1.0), "embedding-lr: regularisation must be above 0, not -1.0"),
        (lambda: EmbeddingSubjectLogistic(regularisation=0), "embedding-subject-lr: regularisation must be above 0"),
        (lambda: EmbeddingNeighbours(neighbours=0), "neighbours must be at least 1, not 0"),
    ],
)
def test_a_setting_out_of_its_range_is_named(make: object, message: str) -> None:
    with pytest.raises(RouterError, match=message):
        make()  # type: ignore[operator]


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelServerError, match="nowhere"):
        EmbeddingLogistic(str(tmp_path / "nowhere")).fit(*lesson(6))


@pytest.mark.parametrize(
    ("make", "field", "change"),
    [
        (lambda m: EmbeddingLogistic(m, False), "intercepts", lambda array: array[1:]),
        (lambda m: EmbeddingLogistic(m, False), "values", lambda array: array * np.nan),
        (lambda m: EmbeddingNeighbours(m, False, 5), "worth", lambda array: array[1:]),
        (lambda m: EmbeddingNeighbours(m, False, 5), "known", lambda array: array[0]),
        (lambda m: EmbeddingBoosting(m, False, 4, trees=3, min_leaf=5), "components", lambda array: array[1:]),
        (lambda m: EmbeddingBoosting(m, False, 4, trees=3, min_leaf=5), "features", lambda array: array + 9),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(
    make: object, field: str, change: object, model: str, tmp_path: Path
) -> None:
    make(model).fit(*lesson(60)).save(tmp_path)  # type: ignore[operator]
    arrays = load_file(tmp_path / "learned.safetensors")
    save_file({**arrays, field: change(arrays[field])}, tmp_path / "learned.safetensors")  # type: ignore[operator]
    with pytest.raises(RouterError, match="train the router again"):
        make(model).restore(tmp_path)  # type: ignore[operator]


def test_all_questions_go_through_the_encoder_as_one_batch(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = EmbeddingLogistic(model, cache=False).fit(*lesson(60))
    sizes = []
    encode = embedding.Embedder.embed
    monkeypatch.setattr(
        embedding.Embedder, "embed", lambda own, texts: (sizes.append(len(texts)), encode(own, texts))[1]
    )
    scorer.scores(ASKED)
    assert sizes == [len(ASKED)]
