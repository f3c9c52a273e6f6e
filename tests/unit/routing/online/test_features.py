from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ianvs_collab.inference import Query
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.online import FeatureMap

from .conftest import make_trace


def test_a_batch_and_one_by_one_are_the_same():
    queries = make_trace(60, subjects=7).queries()
    batch = FeatureMap(components=5, subjects=4).fit(queries).transform(queries)
    single = FeatureMap(components=5, subjects=4).fit(queries)
    np.testing.assert_allclose(np.vstack([single.transform([query]) for query in queries]), batch, atol=1e-12)
    assert batch.shape == (60, single.dimension) == (60, 1 + 1 + 5 + 4)


@given(st.lists(st.text(max_size=60), min_size=3, max_size=8))
def test_any_text_alone_has_the_features_that_it_has_in_a_batch(texts):
    queries = [Query(query=text) for text in [*texts, "", "zero zero one", "“小”的反义词是什么？"]]
    features = FeatureMap(components=2, buckets=8).fit(queries)  # few buckets, so that words collide
    alone = np.vstack([features.transform([query]) for query in queries])
    np.testing.assert_allclose(alone, features.transform(queries), atol=1e-9)


def test_each_subject_has_its_coordinate_until_they_are_used_up():
    queries = [Query(query=f"text {i}", subject=f"s{i}") for i in range(5)]
    features = FeatureMap(components=2, subjects=3, subject_scale=0.7).fit(queries)
    slots = features.transform(queries)[:, -3:]
    np.testing.assert_allclose(slots, 0.7 * np.eye(3)[[0, 1, 2, 2, 2]])


def test_features_of_the_text_are_scaled_and_cut_off():
    queries = make_trace(100).queries()
    features = FeatureMap(components=4, text_scale=0.1).fit(queries)
    text = features.transform(queries)[:, 1:6]
    np.testing.assert_allclose(text.std(axis=0), 0.1, atol=0.02)
    odd = features.transform([Query(query="x" * 100_000)])
    assert np.abs(odd[:, 1:6]).max() <= 0.4 + 1e-12


def test_the_right_answer_is_no_feature():
    features = FeatureMap(components=2).fit(make_trace(20).queries())
    plain, oracle = Query(query="a b c", subject="s"), Query(query="a b c", subject="s", gold="A")
    np.testing.assert_array_equal(features.transform([plain]), features.transform([oracle]))


def test_it_goes_round_with_its_subjects(tmp_path):
    queries = make_trace(30).queries()
    features = FeatureMap(components=3).fit(queries)
    features.transform(queries[:2])
    features.save(tmp_path)
    loaded = FeatureMap.load(tmp_path)
    assert loaded == features
    shuffled = queries[::-1]
    np.testing.assert_array_equal(loaded.transform(shuffled), features.transform(shuffled))


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(RouterError, match="at least two queries"):
        FeatureMap().fit([Query(query="x")])
    with pytest.raises(RouterError, match="components"):
        FeatureMap(components=0)
    with pytest.raises(RouterError, match="cannot be read"):
        FeatureMap.load(tmp_path)
    FeatureMap(components=2).fit(make_trace(9).queries()).save(tmp_path)
    (tmp_path / "features.json").write_text('{"settings": {"colour": 1}, "slots": {}}')
    with pytest.raises(RouterError, match="another version"):
        FeatureMap.load(tmp_path)
