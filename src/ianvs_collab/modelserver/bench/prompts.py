"""What to ask: the nano models' questions, prompts of a file, or random text of a given length."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ianvs_collab.modelserver.types import ModelServerError, Prompt

ZOO = "zoo"


@dataclass(frozen=True)
class Prompts:
    """Prompts to choose from.

    Attributes:
        source: Where they come from, in words.
        prompts: The prompts; no two are the same unless a file says so.
        max_tokens: Longest answer that they ask for, or None.
    """

    source: str
    prompts: Sequence[Prompt]
    max_tokens: int | None = None

    def take(self, first: int, count: int) -> list[Prompt]:
        """A number of prompts from the first-th on, going round at the end."""
        return [self.prompts[(first + index) % len(self.prompts)] for index in range(count)]


def read_prompts(word: str, *, needed: int, seed: int, tokenizer: str) -> Prompts:
    """Prompts that a word of the command line names.

    Args:
        word: `zoo`, `random:INPUT:OUTPUT` (tokens of prompt and answer), or a file: `*.jsonl` with `prompt` (a text),
            `messages` (a chat) or `query` (a text) in each line, or any other text with a prompt on each line.
        needed: How many a random source makes.
        seed: Of random text.
        tokenizer: Whose tokens random text is counted in: a folder, `zoo:edge` or a hub name.

    Raises:
        ModelServerError: If the word or the file is none of these.
    """
    if word == ZOO:
        from ianvs_collab.zoo.export import test_questions  # noqa: PLC0415 - generating them takes a while

        chats = [[{"role": "user", "content": question.prompt}] for question in test_questions()]
        return Prompts("held-out questions of the nano models, as chats", chats)
    if word.startswith("random:"):
        from ianvs_collab.modelserver.bench.randomtext import load_tokenizer, random_texts  # noqa: PLC0415 - heavy

        length, answer = _lengths(word)
        texts = random_texts(load_tokenizer(tokenizer), length, needed, seed)
        return Prompts(f"random words, {length} tokens each", texts, answer)
    path = Path(word)
    prompts = list(_from_file(path))
    if not prompts:
        raise ModelServerError(f"{path}: there is no prompt in it; write one on each line")
    return Prompts(f"the file {path.name}", prompts)


def _lengths(word: str) -> tuple[int, int]:
    try:
        length, answer = (int(part) for part in word.split(":")[1:])
    except ValueError:
        length = answer = 0
    if length < 1 or answer < 1:
        raise ModelServerError(f"--prompts {word!r}: write random:INPUT:OUTPUT with two numbers, e.g. random:128:64")
    return length, answer


def _from_file(path: Path) -> Iterator[Prompt]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelServerError(
            f"--prompts {path}: cannot be read as text ({error}); give zoo, random:INPUT:OUTPUT or a file of prompts"
        ) from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _parsed(line, f"{path}:{number}") if path.suffix == ".jsonl" else line


def _parsed(line: str, where: str) -> Prompt:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ModelServerError(f"{where}: is not JSON ({error}); write an object on each line") from error
    if isinstance(row, dict):
        for key in ("prompt", "query"):
            if isinstance(row.get(key), str) and row[key]:
                return str(row[key])
        if _is_chat(row.get("messages")):
            chat: list[dict[str, str]] = row["messages"]
            return chat
    raise ModelServerError(
        f"{where}: has neither `prompt` or `query` (a text) nor `messages` (a list of role and content); add one"
    )


def _is_chat(messages: object) -> bool:
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(
            isinstance(message, dict)
            and isinstance(message.get("role"), str)
            and isinstance(message.get("content"), str)
            for message in messages
        )
    )
