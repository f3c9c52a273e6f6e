"""The tokenizer in a GGUF file: tokens, merges, special tokens, chat template, and how text is cut before merging.

llama.cpp cuts by rules of its own that have names. A tokenizer's rules are compared with those that the names stand
for; the conversion then checks the written file on texts (`check_vocabulary`), because two rules can look alike and cut
differently.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ianvs_collab.modelserver.backends.llamacpp.library import optional
from ianvs_collab.modelserver.backends.llamacpp.model import GgufModel
from ianvs_collab.modelserver.convert.checkpoint import Checkpoint
from ianvs_collab.modelserver.types import ModelServerError

_MOST_END_TOKENS = 3  # a GGUF file has places for an end of text, of turn and of message
_WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
_REST = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
_BYTES, _WORDS_AND_BYTES, _DIGITS = ("ByteLevel", False), ("ByteLevel", True), ("Digits", True)
_PRE_TOKENIZERS: dict[tuple[Any, ...], str] = {
    (_WORDS_AND_BYTES,): "gpt-2",
    (_DIGITS, _WORDS_AND_BYTES): "smollm",
    (("Split", f"{_WORDS}\\p{{N}}{{1,3}}{_REST}"), _BYTES): "llama-bpe",
    (("Split", f"{_WORDS}\\p{{N}}{_REST}"), _BYTES): "qwen2",
}
_PROBES = (
    "The quick brown fox, it's jumping; they'll say: DON'T! 3 + 14 = 17, 1234567890.",
    "  two  spaces,\ttabs\n\nlines \r\n and trailing blanks   ",
    "问题：法国的首都是哪里？答案：巴黎。１２３ 一二三",
    "café naïve Ünïcödé Ελληνικά русский العربية עברית हिन्दी 한국어 日本語",
    "x² ½ Ⅳ ∑ € 🙂👩‍👩‍👧 \u200b\u3000end",
    "def f(x):\n    return x ** 2  # comment\n",
    "{0}one{0}{0} two {0} three{0}",
)


@dataclass(frozen=True)
class Vocabulary:
    """A byte-level BPE vocabulary as a GGUF file has it.

    Attributes:
        tokens: Text of each id.
        types: Kind of each id, `gguf.TokenType`.
        merges: Merges in order, two texts with a blank between them.
        cutting: llama.cpp's name of the pre-tokenizer.
    """

    tokens: list[str]
    types: list[int]
    merges: list[str]
    cutting: str


def read_vocabulary(checkpoint: Checkpoint) -> Vocabulary:
    """The vocabulary of a checkpoint.

    Raises:
        ModelServerError: If it is not a byte-level BPE that llama.cpp can cut alike, or larger than the embedding.
    """
    backend = getattr(checkpoint.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelServerError(f"the tokenizer of model {checkpoint.name!r} is not one of the `tokenizers` library")
    stored = json.loads(backend.to_str())
    _check_kind(checkpoint.name, stored)
    size = checkpoint.config.vocab_size
    special = {token["id"]: token["special"] for token in stored["added_tokens"]}
    texts = {number: text for text, number in stored["model"]["vocab"].items()}
    texts |= {token["id"]: token["content"] for token in stored["added_tokens"]}
    if max(texts) >= size:
        raise ModelServerError(
            f"the tokenizer of model {checkpoint.name!r} has an id {max(texts)}, but the embedding has {size} rows; do "
            "tokenizer.json and config.json belong together?"
        )
    kinds = optional("gguf", "gguf").TokenType
    types = [
        kinds.UNUSED if number not in texts
        else kinds.NORMAL if number not in special
        else kinds.CONTROL if special[number]
        else kinds.USER_DEFINED
        for number in range(size)
    ]  # fmt: skip
    return Vocabulary(
        tokens=[texts.get(number, f"[unused{number}]") for number in range(size)],
        types=[int(kind) for kind in types],
        merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in stored["model"]["merges"]],
        cutting=_cutting(checkpoint.name, stored["pre_tokenizer"]),
    )


def write_vocabulary(writer: Any, vocabulary: Vocabulary, checkpoint: Checkpoint) -> None:
    """Write vocabulary, special tokens and chat template into a GGUF file.

    Args:
        writer: A `gguf.GGUFWriter`.
        vocabulary: What `read_vocabulary` gave.
        checkpoint: Where it is from.

    Raises:
        ModelServerError: If there are more end tokens than a file has places for, or the tokenizer puts others than the
            begin and end token around a text.
    """
    tokenizer = checkpoint.tokenizer
    writer.add_tokenizer_model("gpt2")  # GGUF's word for byte-level BPE
    writer.add_tokenizer_pre(vocabulary.cutting)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    ends = checkpoint.end_tokens
    if len(ends) > _MOST_END_TOKENS:
        raise ModelServerError(
            f"model {checkpoint.name!r} has {len(ends)} end tokens; a GGUF file has places for {_MOST_END_TOKENS}: "
            "shorten `eos_token_id` in generation_config.json"
        )
    for add, token in zip(
        (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id), ends, strict=False
    ):
        add(token)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)
    begins, ended = _frame(checkpoint)
    writer.add_add_bos_token(begins)
    writer.add_add_eos_token(ended)
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if template is not None:
        writer.add_chat_template(template)


def check_vocabulary(model: GgufModel, checkpoint: Checkpoint) -> None:
    """Check that llama.cpp tokenises as transformers does.

    Raises:
        ModelServerError: If it does not, with the text.
    """
    mark = checkpoint.tokenizer.eos_token or ""
    for probe in _PROBES:
        text = probe.replace("{0}", mark)
        expected, found = checkpoint.tokenizer(text)["input_ids"], model.encode(text, special=True)
        if found != expected:
            raise ModelServerError(
                f"the tokenizer of model {checkpoint.name!r} cannot be converted: {text!r} is {expected} to "
                f"transformers and {found} to llama.cpp"
            )


def _check_kind(name: str, stored: dict[str, Any]) -> None:
    model, normalizer = stored["model"], stored["normalizer"] or {"type": "NFC"}
    if model["type"] != "BPE" or model.get("byte_fallback") or (stored["decoder"] or {}).get("type") != "ByteLevel":
        raise ModelServerError(
            f"the tokenizer of model {name!r} is not a byte-level BPE (as GPT-2, Llama 3 and Qwen have it), the only "
            "kind that this conversion knows; use llama.cpp's own convert_hf_to_gguf.py and give the file"
        )
    # llama.cpp normalises nothing. NFC changes only text with combining characters, so that is let through.
    if normalizer["type"] != "NFC":
        raise ModelServerError(
            f"the tokenizer of model {name!r} normalises text ({normalizer['type']}), which llama.cpp does not"
        )


def _cutting(name: str, stored: dict[str, Any] | None) -> str:
    parts = (stored or {}).get("pretokenizers", [stored])
    found = tuple(_rule(part) for part in parts)
    if found not in _PRE_TOKENIZERS:
        raise ModelServerError(
            f"the tokenizer of model {name!r} cuts text by rules that this conversion does not know ({found}); it "
            f"knows those of {', '.join(_PRE_TOKENIZERS.values())}. Use llama.cpp's own convert_hf_to_gguf.py"
        )
    return _PRE_TOKENIZERS[found]


def _rule(part: dict[str, Any] | None) -> tuple[Any, ...]:
    match part:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": bool(words)}:
            return ("ByteLevel", words)
        case {"type": "Digits", "individual_digits": bool(single)}:
            return ("Digits", single)
        case {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False}:
            return ("Split", pattern)
    return (json.dumps(part),)


def _frame(checkpoint: Checkpoint) -> tuple[bool, bool]:
    """Whether the tokenizer puts its begin token before a text, and its end token after it."""
    tokenizer = checkpoint.tokenizer
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    framed = tokenizer("a")["input_ids"]
    for begins in (False, True):
        for ended in (False, True):
            if framed == [tokenizer.bos_token_id] * begins + bare + [tokenizer.eos_token_id] * ended:
                return begins, ended
    raise ModelServerError(
        f"the tokenizer of model {checkpoint.name!r} puts tokens around a text that llama.cpp cannot: {framed} for 'a'"
    )
