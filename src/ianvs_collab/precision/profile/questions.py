"""Calibration questions: what variants are asked, and how it is known whether they were right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ianvs_collab.datasets import read_ianvs
from ianvs_collab.datasets.ianvs_form import DATA_FILE
from ianvs_collab.datasets.question import DatasetError
from ianvs_collab.grading import extract
from ianvs_collab.inference import choices_of
from ianvs_collab.precision.portfolio import PrecisionError


@dataclass(frozen=True)
class Item:
    """One multiple-choice question.

    Attributes:
        id: Its name.
        prompt: The whole prompt, sent as a chat of one message.
        choices: Options by letter.
        answer: Letter of the right one.
    """

    id: str
    prompt: str
    choices: Mapping[str, str]
    answer: str

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as a chat."""
        return [{"role": "user", "content": self.prompt}]

    def letter(self, completion: str, extractor: str) -> str | None:
        """The option that a completion names, or None if it names none unambiguously.

        Raises:
            ExtractorError: If there is no such extractor.
        """
        return extract(extractor, completion, self.choices).letter


def zoo_items(limit: int) -> list[Item]:
    """Nano questions that neither training nor the test set of `testenv/nano` holds.

    Args:
        limit: How many; they are balanced over subjects and languages.

    Raises:
        PrecisionError: If there are not as many.
    """
    from ianvs_collab.zoo.export import WRITTEN, test_questions  # noqa: PLC0415 - seconds, and not every caller asks

    kept = test_questions()[WRITTEN:]
    if not 1 <= limit <= len(kept):
        raise PrecisionError(f"the zoo has {len(kept)} calibration questions, so {limit!r} of them cannot be asked")
    return [Item(one.id, one.prompt, one.choices, one.answer) for one in kept[:limit]]


def read_items(data: str | Path, limit: int) -> list[Item]:
    """The first questions of a data set in Ianvs's form.

    Args:
        data: The folder of `metadata.json` and `data.jsonl`, or one of the two files.
        limit: At most how many.

    Raises:
        PrecisionError: If the data are missing or malformed, or none is asked for.
    """
    folder = Path(data) if Path(data).is_dir() else Path(data).parent
    if limit < 1:
        raise PrecisionError(f"at least one calibration question is needed, not {limit!r}")
    try:
        known = read_ianvs(folder)[:limit]
    except DatasetError as error:
        raise PrecisionError(str(error)) from error
    lines = (folder / DATA_FILE).read_bytes().decode("utf-8").split("\n")
    texts = [row["prompt"] + row["query"] for row in map(json.loads, lines[: len(known)])]
    return [
        Item(one.id, text, one.choices or choices_of(text), one.answer) for one, text in zip(known, texts, strict=True)
    ]


def items_sha256(items: Sequence[Item]) -> str:
    """SHA-256 (hexadecimal) of what is asked and what is right."""
    text = json.dumps([[item.prompt, item.answer] for item in items], ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
