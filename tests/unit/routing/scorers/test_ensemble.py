"""Ensembles: means of ranks among queries that the members had not seen, and means of worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from ianvs_collab.modelserver.embedding_model import SentenceEncoder
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.crossfit import out_of_fold
from ianvs_collab.routing.scorer import make_scorer
from ianvs_collab.routing.scorers.ensemble import MeanEnsemble, RankEnsemble, quantile_curve

from .lessons import ask, lesson, tiny_encoder

MEMBERS = ["subject-prior", {"scorer": "tfidf", "min_texts": 1}]
ASKED = [*lesson(12, 3)[0], ask("Nothing of the kind", "unheard of")]


@given(st.lists(st.sampled_from([-1.5, 0.0, 0.25, 1.0, 7.0]), min_size=1, max_size=30))
def test_a_rank_is_the_share_below_and_half_the_share_of_equals(scores: list[float]) -> None:
    distribution = np.array(scores)
    points, ranks = quantile_curve(distribution)
    assert points.tolist() == sorted(set(scores))
    by_hand = [(distribution < point).mean() + (distribution == point).mean() / 2 for point in points]
    np.testing.assert_allclose(ranks, by_hand)


def test_the_score_is_the_mean_quantile_among_the_members_out_of_fold_scores() -> None:
    queries, target = lesson(60)
    ensemble = RankEnsemble(MEMBERS, folds=3, seed=4).fit(queries, target)
    ranks = []
    for name, settings in (("subject-prior", {}), ("tfidf", {"min_texts": 1})):
        unseen = out_of_fold(make_scorer(name, **settings), queries, target, 3, 4)
        own = make_scorer(name, **settings).fit(queries, target).scores(ASKED)
        found = np.interp(own, *quantile_curve(unseen))
        for score, rank in zip(own, found, strict=True):
            # between the ranks of its neighbours in the distribution
            below, above = unseen[unseen <= score], unseen[unseen >= score]
            lowest = (unseen < below.max()).mean() if len(below) else 0.0
            highest = (unseen <= above.min()).mean() if len(above) else 1.0
            assert lowest <= rank <= highest
        ranks.append(found)
    np.testing.assert_allclose(ensemble.scores(ASKED), np.mean(ranks, axis=0))


def test_a_score_does_not_depend_on_the_queries_it_is_tested_with() -> None:
    ensemble = RankEnsemble(MEMBERS, folds=3).fit(*lesson(60))
    alone = [float(ensemble.scores([query])[0]) for query in ASKED]
    crowd = [*ASKED, *[ask("What is 1 + 1?", "arithmetic")] * 50]
    assert ensemble.scores(crowd)[: len(ASKED)] == pytest.approx(alone)
    assert 0 <= min(alone) <= max(alone) <= 1


def test_the_mean_ensemble_is_the_mean_of_its_members() -> None:
    queries, target = lesson(60)
    members = [make_scorer("subject-prior"), make_scorer("tfidf", min_texts=1)]
    expected = np.mean([member.fit(queries, target).scores(ASKED) for member in members], axis=0)
    np.testing.assert_allclose(MeanEnsemble(MEMBERS).fit(queries, target).scores(ASKED), expected)


def test_members_that_read_by_the_same_encoder_share_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    common = {"model": str(tiny_encoder(tmp_path)), "cache": False}
    members = [{"scorer": "embedding-lr", **common}, {"scorer": "embedding-knn", "neighbours": 5, **common}]
    ensemble = MeanEnsemble(members).fit(*lesson(60))
    read: list[int] = []
    encode = SentenceEncoder.encode
    monkeypatch.setattr(SentenceEncoder, "encode", lambda own, texts: (read.append(len(texts)), encode(own, texts))[1])
    scores = [ensemble.scores(ASKED[:1])[0], *ensemble.scores(ASKED)]
    assert read == [1, len(ASKED)]
    assert scores[0] == pytest.approx(scores[1])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], r"members must be a list of scorers, not \[\]"),
        ("tfidf", "members must be a list of scorers, not 'tfidf'"),
        (["tfidff"], "there is no scorer 'tfidff'; did you mean 'tfidf'"),
        ([{"name": "tfidf"}], "a mapping with `scorer` and its settings, not {'name': 'tfidf'}"),
        ([7], "a mapping with `scorer` and its settings, not 7"),
        ([{"scorer": "tfidf", "min_text": 2}], "has no setting 'min_text'; did you mean 'min_texts'"),
        (["learned-cascade"], "'learned-cascade' looks at the edge's answer"),
    ],
)
def test_members_that_cannot_be_are_named(members: object, message: str) -> None:
    with pytest.raises(RouterError, match=message):
        RankEnsemble(members)  # type: ignore[arg-type]


def test_the_default_members_are_known_scorers_of_questions() -> None:
    assert make_scorer("rank-ensemble").settings() == make_scorer("mean-ensemble").settings() | {"folds": 5, "seed": 0}


def test_too_few_queries_for_the_folds_are_refused() -> None:
    with pytest.raises(RouterError, match="cannot be cut into 5 folds"):
        RankEnsemble(MEMBERS).fit(*lesson(6))


@pytest.mark.parametrize("change", [lambda array: array[1:], lambda array: array[:0]])
def test_a_distribution_that_is_cut_is_refused(change: object, tmp_path: Path) -> None:
    RankEnsemble(MEMBERS, folds=3).fit(*lesson(60)).save(tmp_path)
    arrays = load_file(tmp_path / "learned.safetensors")
    cut = {name: change(array) if name == "scores-0" else array for name, array in arrays.items()}  # type: ignore[operator]
    save_file(cut, tmp_path / "learned.safetensors")
    with pytest.raises(RouterError, match="train the router again"):
        RankEnsemble(MEMBERS, folds=3).restore(tmp_path)
