"""Random text of a given number of tokens, for loads in which only lengths matter."""

from __future__ import annotations

import random
from typing import Any

from ianvs_collab.modelserver.locate import resolve_model
from ianvs_collab.modelserver.types import ModelServerError


def load_tokenizer(name: str) -> Any:
    """A tokenizer of transformers.

    Args:
        name: A folder, a zoo model or a hub name.

    Raises:
        ModelServerError: If there is none.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415 - heavy, and needed for random text only

    try:
        return AutoTokenizer.from_pretrained(resolve_model(name) if name.startswith("zoo:") else name)
    except (OSError, ValueError, KeyError) as error:
        raise ModelServerError(
            f"no tokenizer can be loaded from {name!r}; name the model's checkpoint (a folder, zoo:edge or a hub name) "
            "in --tokenizer, so that random prompts can be counted in its tokens"
        ) from error


def random_texts(tokenizer: Any, length: int, count: int, seed: int) -> list[str]:
    """Texts of random words.

    Words are tokens that stand for themselves: a space and letters, which the tokenizer gives back as that one token.
    In a row they stay as many tokens as they are, because tokenizers cut before a space. What a chat template or the
    server adds comes on top; the count that the model saw is in the result.

    Args:
        tokenizer: A tokenizer of transformers.
        length: Tokens of each text.
        count: Number of texts.
        seed: The same seed gives the same texts.

    Raises:
        ModelServerError: If the vocabulary has no such words.
    """
    words = _words(tokenizer)
    if not words:
        raise ModelServerError(
            "this tokenizer has no words to make random text of; give a file of prompts in --prompts instead"
        )
    chance = random.Random(seed)  # noqa: S311 - filler, not a secret
    return ["".join(chance.choices(words, k=length)) for _ in range(count)]


def _words(tokenizer: Any) -> list[str]:
    """Tokens that stand for themselves, in order of the vocabulary; single letters are left out."""
    texts = ((token, tokenizer.decode([token])) for token in range(len(tokenizer)))
    return [text for token, text in texts if _is_word(text) and _encode(tokenizer, text) == [token]]


def _is_word(text: str) -> bool:
    return len(text) > 2 and text[0] == " " and text[1:].isascii() and text[1:].isalpha()  # noqa: PLR2004


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
