"""Prompts of every source; random ones have exactly as many tokens as asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.modelserver import ModelServerError, resolve_model
from ianvs_collab.modelserver.bench.prompts import Prompts, read_prompts
from ianvs_collab.modelserver.bench.randomtext import load_tokenizer, random_texts


def read(word: str, **more: Any) -> Prompts:
    return read_prompts(word, **{"needed": 6, "seed": 0, "tokenizer": "zoo:edge", **more})


def test_the_zoos_questions_are_chats_and_all_different() -> None:
    found = read("zoo")
    assert found.max_tokens is None
    assert all(list(prompt[0]) == ["role", "content"] for prompt in found.prompts if not isinstance(prompt, str))
    assert len({prompt[0]["content"] for prompt in found.prompts if not isinstance(prompt, str)}) > 1000


def test_a_file_holds_texts_or_chats(tmp_path: Path) -> None:
    plain, rows = tmp_path / "prompts.txt", tmp_path / "prompts.jsonl"
    plain.write_text("one\n\n  two\n", encoding="utf-8")
    assert list(read(str(plain)).prompts) == ["one", "  two"]
    chat = [{"role": "user", "content": "三"}]
    rows.write_text(
        '{"prompt": "one"}\n{"prompt": "", "query": "two"}\n{"messages": [{"role": "user", "content": "三"}]}\n',
        encoding="utf-8",
    )
    found = read(str(rows))
    assert list(found.prompts) == ["one", "two", chat]
    assert found.source == "the file prompts.jsonl"


def test_prompts_go_round() -> None:
    assert Prompts("", ["a", "b", "c"]).take(2, 5) == ["c", "a", "b", "c", "a"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("p.jsonl", b'{"prompt": "one"}\n{"text": "two"}\n', r"p\.jsonl:2: has neither `prompt`"),
        ("p.jsonl", b"one\n", r"p\.jsonl:1: is not JSON"),
        ("p.jsonl", b"[1]\n", "has neither"),
        ("p.jsonl", b'{"messages": []}\n', "has neither"),
        ("p.jsonl", b'{"messages": [{"role": "user"}]}\n', "has neither"),
        ("p.txt", b" \n", "there is no prompt in it"),
        ("p.txt", b"\xff\xfe", "cannot be read as text"),
        ("p.txt", None, "cannot be read as text"),
    ],
)
def test_a_file_that_holds_no_prompts_is_refused(
    tmp_path: Path, name: str, content: bytes | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelServerError, match=complaint):
        read(str(tmp_path / name))


@pytest.mark.parametrize("word", ["random:", "random:12", "random:0:5", "random:12:0", "random:a:b", "random:1:2:3"])
def test_a_random_source_needs_two_numbers(word: str) -> None:
    with pytest.raises(ModelServerError, match="write random:INPUT:OUTPUT with two numbers"):
        read(word)


@pytest.mark.parametrize("length", [1, 7, 60])
def test_random_text_has_exactly_its_tokens(length: int) -> None:
    found = read(f"random:{length}:20", needed=5)
    tokenizer = load_tokenizer(str(resolve_model("zoo:edge")))
    assert [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in found.prompts] == [length] * 5
    assert (found.max_tokens, found.source) == (20, f"random words, {length} tokens each")
    assert found == read(f"random:{length}:20", needed=5)
    assert found != read(f"random:{length}:20", needed=5, seed=1)


def test_without_a_tokenizer_or_words_in_it_there_is_no_random_text(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelServerError, match="no tokenizer can be loaded from .* in --tokenizer"):
        read("random:5:5", tokenizer=str(tmp_path))

    class Bytes:
        def __len__(self) -> int:
            return 256

        def decode(self, tokens: list[int]) -> str:
            return chr(tokens[0])

    with pytest.raises(ModelServerError, match="has no words to make random text of"):
        random_texts(Bytes(), 5, 1, 0)
