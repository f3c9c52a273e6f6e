"""The cascade: let the edge answer, and ask the cloud if the edge was not sure.

The confidence of an answer comes from its tokens' probabilities: their geometric mean, the least of them, or a
quantile. These are the baselines of sequence-level uncertainty and the quantile that improves on them in Gupta et al.,
"Language Model Cascades: Token-level uncertainty and beyond" (ICLR 2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing.base import Router, RouterError

Statistic = Literal["mean", "min", "quantile"]


def confidence(logprobs: Sequence[float], statistic: Statistic = "min", quantile: float = 0.1) -> float:
    """How probable a text is, 0 to 1.

    Args:
        logprobs: Natural log-probability of each token; at least one.
        statistic: `mean` for the geometric mean of the tokens' probabilities, `min` for the least probable token,
            `quantile` for a quantile of the probabilities (interpolated between log-probabilities).
        quantile: Which; 0 is the least probable token, 1 the most probable one.
    """
    if statistic == "mean":
        return math.exp(math.fsum(logprobs) / len(logprobs))
    return math.exp(min(logprobs) if statistic == "min" else float(np.quantile(logprobs, quantile)))


class ConfidenceRouter(Router):
    """Sends a query to the cloud if the edge's answer is less probable than a threshold, or cannot be read.

    Args:
        confidence: Answers at least this probable stay at the edge, 0 to 1.
        statistic: `mean` for the geometric mean of token probabilities, `min` for the least probable token, `quantile`
            for a quantile of the probabilities.
        quantile: Which quantile, 0 to 1.

    Raises:
        RouterError: If there is no such statistic or quantile.
    """

    def __init__(self, confidence: float = 0.9, statistic: Statistic = "min", quantile: float = 0.1) -> None:
        name = type(self).__name__
        if statistic not in get_args(Statistic):
            raise RouterError(f"{name}: statistic must be 'mean', 'min' or 'quantile', not {statistic!r}")
        if not 0 <= quantile <= 1:
            raise RouterError(f"{name}: quantile must lie between 0 and 1, not {quantile!r}")
        super().__init__(threshold=math.nextafter(1 - confidence, math.inf))
        self.statistic = statistic
        self.quantile = quantile

    def score(self, data: Query | Answer) -> float:
        """How improbable the edge's answer is: 1 − its probability; infinitely so if no option can be read from it.

        Raises:
            RouterError: If there is no answer to look at, or it comes without log-probabilities.
        """
        name = type(self).__name__
        answer = edge_answer(data, name)
        if answer.get("outcome") == "unparsed":
            return math.inf
        logprobs = answer.get("logprobs")
        if not logprobs:
            raise RouterError(
                f"{name} needs token log-probabilities: give the edgemodel `logprobs: {{values: [true]}}`"
            )
        return 1 - confidence(logprobs, self.statistic, self.quantile)


def edge_answer(data: Query | Answer, router: str) -> Answer:
    """The edge's answer that a router of a cascade is given.

    Raises:
        RouterError: If it is given a query.
    """
    if isinstance(data, Answer):
        return data
    raise RouterError(f"{router} looks at the edge's answer: set hard_example_mining_mode: inference-then-mining")
