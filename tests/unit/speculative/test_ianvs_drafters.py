"""Drafters by name, with their options, and those that a plug-in file adds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.modelserver import Prompt
from ianvs_collab.speculative import SpeculativeDecoder, SpeculativeError
from ianvs_collab.speculative.drafters import PromptLookup, Silent
from ianvs_collab.speculative.ianvs import Sides, drafter_names, register_drafter
from ianvs_collab.speculative.ianvs import drafters as registry
from ianvs_collab.speculative.ianvs.corpus import read_corpus
from ianvs_collab.speculative.ianvs.drafters import check_drafter, make_drafter

from .toys import ToyStepper, alone


class Lettered(ToyStepper):
    """Its words are letters, as those of a real model can be."""

    def encode(self, prompt: Prompt) -> list[int]:
        assert isinstance(prompt, str)
        return [(ord(letter) - ord("a")) % self.vocabulary for letter in prompt]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(chr(ord("a") + token) for token in tokens)


TARGET = Lettered(ends=(7,))


def draft() -> Lettered:
    made = Lettered(ends=(7,))
    made.table = TARGET.blurred(0.3).table
    return made


SIDES = Sides(TARGET, draft)


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    yield


def test_every_drafter_of_the_library_has_a_name() -> None:
    assert drafter_names() == ["aligned", "early-exit", "model", "prompt-lookup", "retrieval", "suffix"]


@pytest.mark.parametrize(
    ("name", "options"),
    [("model", {"confidence": 0.2}), ("prompt-lookup", {"longest": 2}), ("suffix", {"history": 0}), ("aligned", {})],
)
def test_whatever_drafts_the_output_is_the_targets(name: str, options: dict[str, Any]) -> None:
    check_drafter(name, options)
    decoder = SpeculativeDecoder(TARGET, make_drafter(name, SIDES, options))
    for prompt in ([1, 2, 1], [3, 4, 3, 4], [5]):
        decoding = decoder.decode(TARGET.decode(prompt))
        assert decoding.tokens == alone(TARGET, "greedy", prompt, decoding.params)


def test_a_corpus_is_drafted_from(tmp_path: Path) -> None:
    prompt = [1, 2]
    decoding = SpeculativeDecoder(TARGET, Silent()).decode_tokens(prompt)
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(TARGET.decode(prompt + decoding.tokens) + "\n\n")
    options = {"corpus": str(corpus), "shortest": 1}
    check_drafter("retrieval", options)
    retrieved = SpeculativeDecoder(TARGET, make_drafter("retrieval", SIDES, options)).decode_tokens(prompt)
    assert retrieved.tokens == decoding.tokens
    assert retrieved.tally.accepted > 0


def test_texts_of_a_corpus(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(json.dumps({"explanation": text, "other": text[::-1]}) for text in ("ab", "cd")) + "\n")
    assert read_corpus(rows, "explanation") == ["ab", "cd"]
    assert read_corpus(rows, "other") == ["ba", "dc"]
    with pytest.raises(SpeculativeError, match=r"rows.jsonl:1: expected an object with a text in the field 'answer'"):
        read_corpus(rows, "answer")
    lines = tmp_path / "lines.txt"
    lines.write_text("one\n\ntwo\n")
    assert read_corpus(lines, "explanation") == ["one", "two"]


@pytest.mark.parametrize("line", ["[1]", "3", '{"explanation": ""}', '{"explanation": 5}', "{"])
def test_a_line_that_is_no_such_object_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"explanation": "fine"}\n' + line + "\n")
    with pytest.raises(SpeculativeError, match=r"corpus.jsonl:2: expected an object"):
        read_corpus(path, "explanation")


def test_a_corpus_that_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpeculativeError, match=r"corpus '.*missing.txt' cannot be read"):
        read_corpus(tmp_path / "missing.txt", "x")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(SpeculativeError, match="holds no text"):
        read_corpus(tmp_path / "empty.txt", "x")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpeculativeError, match="cannot be read"):
        read_corpus(tmp_path / "binary.txt", "x")


@pytest.mark.usefixtures("restored")
def test_a_drafter_of_ones_own() -> None:
    @register_drafter("mine")
    class Mine(PromptLookup):
        def __init__(self, sides: Sides, *, length: int = 2) -> None:
            super().__init__(longest=length)
            self.sides = sides

    @register_drafter("typeless")
    def typeless(sides, length):  # type: ignore[no-untyped-def]
        return Silent()

    check_drafter("mine", {"length": 1}, "asynchronous")
    made = make_drafter("mine", SIDES, {"length": 1})
    assert isinstance(made, Mine)
    assert made.sides is SIDES
    with pytest.raises(SpeculativeError, match="drafter 'mine' knows no size, width; its options are: length"):
        check_drafter("mine", {"width": 1, "size": 2})
    with pytest.raises(SpeculativeError, match="drafter 'typeless' needs length"):
        check_drafter("typeless", {})
    with pytest.raises(SpeculativeError, match="one of early-exit, mine, model, prompt-lookup"):
        check_drafter("typeless", {"length": 1}, "asynchronous")
    check_drafter("model", {}, "branches")
    with pytest.raises(SpeculativeError, match=r"cannot be copied for branches; .* one of early-exit, model$"):
        check_drafter("prompt-lookup", {}, "branches")


@pytest.mark.usefixtures("restored")
def test_a_drafter_without_arguments_is_refused_when_it_is_registered() -> None:
    with pytest.raises(SpeculativeError, match="drafter 'deaf' has to take the sides"):
        register_drafter("deaf")(Silent)
    assert "deaf" not in drafter_names()
