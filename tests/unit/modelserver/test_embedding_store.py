"""The cache of embeddings: what goes in comes out, whatever happens to the file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.modelserver import embedding_store
from ianvs_collab.modelserver.embedding_store import CacheWarning, EmbeddingStore, cache_folder

WIDTH = 3
ONE, TWO = np.arange(3, dtype=np.float32), -np.ones(3, dtype=np.float32)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return EmbeddingStore("encoder/1", WIDTH, tmp_path)


_vectors = st.lists(st.floats(width=32, allow_nan=False), min_size=WIDTH, max_size=WIDTH)


@settings(deadline=None, max_examples=15)
@given(st.dictionaries(st.text(), _vectors, max_size=5))
def test_vectors_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, given_vectors: dict) -> None:
    store = EmbeddingStore("e", WIDTH, tmp_path_factory.mktemp("cache"))
    store.put({text: np.array(vector, dtype=np.float32) for text, vector in given_vectors.items()})
    found = store.get([*given_vectors, "never put\0"])
    assert {text: vector.tolist() for text, vector in found.items()} == given_vectors


def test_a_lone_surrogate_is_a_text_like_any_other(store: EmbeddingStore) -> None:
    store.put({"\ud800": ONE})
    assert store.get(["\ud800"])["\ud800"].tolist() == ONE.tolist()


def test_an_encoder_does_not_see_the_vectors_of_another(store: EmbeddingStore, tmp_path: Path) -> None:
    store.put({"a": ONE})
    assert EmbeddingStore("encoder/2", WIDTH, tmp_path).get(["a"]) == {}
    assert EmbeddingStore("encoder/1", WIDTH, tmp_path).get(["a"])["a"].tolist() == ONE.tolist()


def test_a_vector_is_replaced_by_a_newer_one(store: EmbeddingStore) -> None:
    store.put({"a": ONE})
    store.put({"a": TWO, "b": ONE})
    assert {text: vector.tolist() for text, vector in store.get(["a", "b"]).items()} == {
        "a": TWO.tolist(),
        "b": ONE.tolist(),
    }


def test_more_texts_than_a_statement_takes_are_found(store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_store, "_KEYS_A_QUERY", 4)
    texts = [str(number) for number in range(11)]
    store.put({text: np.full(WIDTH, float(text), dtype=np.float32) for text in texts})
    assert {text: float(vector[0]) for text, vector in store.get(texts).items()} == {
        text: float(text) for text in texts
    }


@pytest.mark.parametrize("content", [b"no database " * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_put_aside_with_a_warning_and_begun_anew(store: EmbeddingStore, content: bytes) -> None:
    store.path.write_bytes(content)
    journal = store.path.with_name(store.path.name + "-journal")
    journal.write_bytes(b"torn")
    with pytest.warns(CacheWarning, match="is damaged .* kept as .*damaged and begun anew"):
        assert store.get(["a"]) == {}
    assert store.path.with_suffix(".damaged").read_bytes() == content
    store.put({"a": ONE})
    assert store.get(["a"])["a"].tolist() == ONE.tolist()


def test_a_damaged_file_is_put_aside_when_writing_too(store: EmbeddingStore) -> None:
    store.path.write_bytes(b"no database " * 100)
    with pytest.warns(CacheWarning, match="begun anew"):
        store.put({"a": ONE})
    store.put({"a": ONE})
    assert list(store.get(["a"])) == ["a"]


@pytest.mark.parametrize("change", ["vector = x'00'", "crc = crc + 1", "vector = zeroblob(12)"])
def test_a_damaged_vector_is_no_vector(store: EmbeddingStore, change: str) -> None:
    store.put({"a": ONE})
    store.put({"b": TWO})
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute(f"UPDATE vectors SET {change} WHERE rowid = 1")
    with pytest.warns(CacheWarning, match="1 damaged embeddings are computed again"):
        assert list(store.get(["a", "b"])) == ["b"]


def test_where_none_can_be_written_there_is_a_warning_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = EmbeddingStore("e", WIDTH, tmp_path / "file" / "cache")
    with pytest.warns(CacheWarning, match="computed and not kept; name a folder .* IANVS_COLLAB_CACHE"):
        store.put({"a": ONE})
    assert store.get(["a"]) == {}


def test_a_locked_file_is_left_as_it_is(store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_store, "_LOCK_SECONDS", 0.01)
    store.put({"a": ONE})
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.warns(CacheWarning, match="locked"):
            store.put({"b": ONE})
    assert list(store.get(["a", "b"])) == ["a"]


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from ianvs_collab.modelserver.embedding_store import EmbeddingStore
store = EmbeddingStore("shared", 3, Path(sys.argv[1]))
for number in range(20):
    store.put({f"{sys.argv[2]} {number}": np.full(3, number, dtype=np.float32), "both": np.ones(3, dtype=np.float32)})
"""


def test_two_processes_write_into_one_file(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", _WRITER, str(tmp_path), name])  # noqa: S603
        for name in "ab"
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    texts = [f"{name} {number}" for name in "ab" for number in range(20)]
    found = EmbeddingStore("shared", 3, tmp_path).get([*texts, "both"])
    assert [found[text][0] for text in texts] == [*range(20), *range(20)]
    assert found["both"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"IANVS_COLLAB_CACHE": "/here"}, "/here"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/ianvs-collab"),
        ("linux", {"HOME": "/home/me"}, "/home/me/.cache/ianvs-collab"),
        ("darwin", {"HOME": "/Users/me"}, "/Users/me/Library/Caches/ianvs-collab"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/ianvs-collab"),
        ("win32", {"HOME": "/me"}, "/me/AppData/Local/ianvs-collab"),
    ],
)
def test_the_cache_lies_where_the_platform_keeps_caches(
    platform: str, variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IANVS_COLLAB_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(embedding_store.sys, "platform", platform)
    assert cache_folder() == Path(expected)
