"""Routing by expected utility: the cloud is asked where what it is expected to add is worth what it takes.

    utility = 100 · E[quality] − λ_$ · cost − λ_t · latency − λ_E · energy − λ_B · bytes

A query goes to the cloud if that is higher there than at the edge. The rates λ have units: how many percentage points
of accuracy a currency unit, a second, a joule or a megabyte is worth. The expected gain is calibrated: an isotonic
regression of the measured difference in quality on out-of-fold scores, so that 0.1 means ten answers in a hundred. The
expenses follow from the deployment in force, so the same router takes another route in another network.

It works before anything is answered, and in a cascade, where the edge's expenses are spent whatever is decided.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from sklearn.isotonic import IsotonicRegression

from ianvs_collab.inference import Answer, Query
from ianvs_collab.link import Deployment, current_deployment
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.expenses import TypicalSide, expenses, missing
from ianvs_collab.routing.traces import read_trace
from ianvs_collab.routing.traces.estimate import Where
from ianvs_collab.routing.traces.trace import Floats
from ianvs_collab.routing.trained import Recipe, ScorerRouter

Latency = Literal["first", "seconds"]


class UtilityRouter(ScorerRouter):
    """Sends a query to the cloud if its expected utility is higher there.

    Args:
        train_data: Folder of a trace, disjoint from the test data, with tokens and compute seconds.
        scorer: Name of the scorer that predicts the gain; one that reads answers makes a cascade.
        per_currency: Percentage points of accuracy that a currency unit is worth, as the other three 0 or more.
        per_second: The same for a second of latency.
        per_joule: The same for a joule of energy on both devices.
        per_megabyte: The same for a megabyte (10⁶ bytes) on the link.
        latency: `seconds` for the time to the last token, `first` for the time to the first.
        label: What the scorer learns.
        folds: For its out-of-fold scores, and the scorer's own if it has any.
        seed: Of the folds, and of the scorer if it draws at random.
        **settings: The scorer's.

    Raises:
        RouterError: If a rate is negative, or the trace does not hold what a rate above 0 needs.
    """

    def __init__(
        self,
        *,
        train_data: str,
        scorer: str = "tfidf",
        per_currency: float = 0.0,
        per_second: float = 0.0,
        per_joule: float = 0.0,
        per_megabyte: float = 0.0,
        latency: Latency = "seconds",
        label: str = "delta",
        folds: int = 5,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        if latency not in get_args(Latency):
            raise RouterError(f"UtilityRouter: latency must be 'seconds' or 'first', not {latency!r}")
        rates = {"currency": per_currency, latency: per_second, "joules": per_joule, "megabytes": per_megabyte}
        for name, rate in rates.items():
            if not 0 <= rate < math.inf:
                raise RouterError(f"UtilityRouter: the rate of {name} must be 0 or more, not {rate!r}")
        self.rates = {name: rate for name, rate in rates.items() if rate}
        recipe = Recipe.of(scorer, settings, train_data, label, folds=folds, seed=seed)
        super().__init__(recipe.trained(), threshold=math.nextafter(0.0, 1.0))
        self._lesson = _lesson(recipe, folds, seed)

    def scores(self, batch: Any) -> np.ndarray:
        """Utility in the cloud minus utility at the edge, in percentage points of accuracy, shape (len(batch),).

        Raises:
            RouterError: If the scorer looks at answers and there are none, or an expense cannot be told.
        """
        deployment = current_deployment()
        points = 100 * self._lesson.gain(super().scores(batch))
        prices: Floats = np.array([self._price(data, deployment) for data in batch], dtype=float)
        return points - prices

    def _price(self, data: Query | Answer, deployment: Deployment) -> float:
        """What the cloud's answer takes more than the edge's, or all of it if the edge has answered, in points."""
        if not self.rates:
            return 0.0
        prompt = str(Query.of(data)["query"])
        price = self._points("cloud", prompt, deployment)
        return price if isinstance(data, Answer) else price - self._points("edge", prompt, deployment)

    def _points(self, where: Where, prompt: str, deployment: Deployment) -> float:
        typical = self._lesson.edge if where == "edge" else self._lesson.cloud
        amounts = expenses(typical, where, prompt, deployment)._asdict()
        for name in self.rates:
            if amounts[name] is None:
                raise missing(name, where, self._lesson.trace, deployment)
        return math.fsum(rate * amounts[name] for name, rate in self.rates.items())


class Lesson(NamedTuple):
    """What a trace teaches beside the scorer.

    Attributes:
        trace: Its name.
        edge: The edge's typical answer.
        cloud: The cloud's.
        calibration: From a score to the expected difference in quality.
    """

    trace: str
    edge: TypicalSide
    cloud: TypicalSide
    calibration: IsotonicRegression

    def gain(self, scores: Floats) -> Floats:
        """Expected quality in the cloud minus at the edge, shape of `scores`."""
        gain: Floats = self.calibration.predict(scores)
        return gain


@lru_cache(maxsize=8)
def _lesson(recipe: Recipe, folds: int, seed: int) -> Lesson:
    trace = read_trace(recipe.folder)
    difference = trace.quality("cloud") - trace.quality("edge")
    calibration = IsotonicRegression(out_of_bounds="clip").fit(recipe.held_out_scores(folds, seed), difference)
    return Lesson(trace.name, TypicalSide.of(trace, "edge"), TypicalSide.of(trace, "cloud"), calibration)
