"""What the edge's answer shows of its worth: how sure the model was of each token, and how the text fits the options.

Uncertainty is summed up in several ways at once, after Gupta et al., "Language Model Cascades: Token-level uncertainty
and beyond" (ICLR 2024), who learn the deferral rule from quantiles of the token probabilities, because none of them is
best everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ianvs_collab.inference import Answer
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.text import question_text
from ianvs_collab.routing.traces.trace import Floats

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75)
FEATURES = (
    "unparsed",
    "tokens",
    "mean",
    "sum",
    "spread",
    *(f"quantile {level}" for level in QUANTILES),
    "second lowest",
    "first",
    "last",
    "place of the lowest",
    "margin of the lowest",
    "options named",
    "option in words",
    "words from the question",
    "option is a number",
    "place of the option",
    "options",
    "question characters",
    "question digits",
)
"""Names of the columns, in order."""


def answer_features(answers: Sequence[Answer], scorer: str) -> Floats:
    """Features of the edge's answers, shape (len(answers), len(FEATURES)).

    Args:
        answers: With log-probabilities.
        scorer: Name of the scorer that asks, for messages.

    Raises:
        RouterError: If an answer comes without log-probabilities.
    """
    return np.array([_features(answer, scorer) for answer in answers], dtype=float).reshape(-1, len(FEATURES))


def _features(answer: Answer, scorer: str) -> list[float]:
    logprobs = answer.get("logprobs")
    if not logprobs:
        raise RouterError(
            f"the scorer {scorer!r} needs log-probabilities of the edge's answers: give the edgemodel "
            "`logprobs: {values: [true]}`, or record the trace from a model that has them"
        )
    unparsed = answer.get("outcome") == "unparsed" or answer.get("answer") is None
    return [float(unparsed), *_certainty(np.asarray(logprobs, dtype=float)), *_wording(answer)]


def _certainty(logprobs: Floats) -> list[float]:
    """Statistics of log-probabilities, in nats."""
    falling = np.sort(logprobs)
    second = falling[1] if len(falling) > 1 else 0.0
    return [
        float(np.log1p(len(logprobs))),
        float(logprobs.mean()),
        float(logprobs.sum()),
        float(logprobs.std()),
        *np.quantile(logprobs, QUANTILES).tolist(),
        float(second),
        float(logprobs[0]),
        float(logprobs[-1]),
        float(logprobs.argmin() / len(logprobs)),
        float(second - falling[0]),
    ]


def _wording(answer: Answer) -> list[float]:
    """How the completion's text goes together with the question and its options."""
    question = question_text(answer.query)
    completion = str(answer.get("completion") or "")
    choices = answer.query.get("choices") or {}
    letter = answer.get("answer") or ""
    option = str(choices.get(letter, ""))
    words = _words(completion)
    return [
        sum(bool(text) and str(text) in completion for text in choices.values()),
        float(bool(option) and option in completion),
        sum(word in question for word in words) / max(len(words), 1),
        float(option.strip().isdigit()),
        float(sorted(choices).index(letter)) if letter in choices else -1.0,
        len(choices),
        float(np.log1p(len(question))),
        sum(character.isdigit() for character in question) / max(len(question), 1),
    ]


def _words(text: str) -> list[str]:
    """Words, and single characters of scripts without spaces."""
    return re.findall(r"[\u2e80-\u9fff]|[^\W\u2e80-\u9fff]+", text)
