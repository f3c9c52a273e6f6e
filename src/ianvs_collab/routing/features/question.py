"""A question taken apart: its stem and its options, and the forms of them that the features look at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from ianvs_collab.inference import Query
from ianvs_collab.inference.dataset import choices_of
from ianvs_collab.routing.text import question_text

_WORD = re.compile(r"[^\W\d_][\w'’]*")
_FIRST_OPTION = re.compile(r"^[ \t]*\(?A\)?[.、:：．)][ \t]*", re.MULTILINE)


@dataclass(frozen=True)
class QuestionParts:
    """Stem and options.

    Attributes:
        stem: What is asked, without the options.
        options: Texts of the options in order; empty where the query offers none.
    """

    stem: str
    options: tuple[str, ...] = ()

    @cached_property
    def whole(self) -> str:
        """Stem and options as one text."""
        return " ".join((self.stem, *self.options))

    @cached_property
    def lower(self) -> str:
        """The stem in lower case."""
        return self.stem.lower()

    @cached_property
    def words(self) -> list[str]:
        """Words of stem and options; numbers are none."""
        return _WORD.findall(self.whole)

    @cached_property
    def stem_words(self) -> list[str]:
        """Words of the stem."""
        return _WORD.findall(self.stem)


def parts_of(query: Query) -> QuestionParts:
    """Take the question of a query apart; solved examples before it are not looked at."""
    text = question_text(query)
    options = tuple(str(option) for option in (query.get("choices") or choices_of(text)).values())
    return QuestionParts(_stem(text, options), options)


def _stem(text: str, options: tuple[str, ...]) -> str:
    """What stands before the last list of options in a text that shows its options."""
    if not options:
        return text
    places = [match.start() for match in _FIRST_OPTION.finditer(text)]
    fitting = [place for place in places if options[0] in text[place:]]
    return text[: fitting[-1]].rstrip() if fitting else text
