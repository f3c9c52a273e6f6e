"""The length of the prompt: the simplest thing a router can look at, and what any other has to beat."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import Input, Scorer, scorer
from ianvs_collab.routing.scorers.heads import check_lesson
from ianvs_collab.routing.scorers.reading import texts_of
from ianvs_collab.routing.scorers.storage import fitted, read_learned, reading, write_learned
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats

_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
SHAPES, UNITS = ("isotonic", "linear"), ("words", "characters")


@scorer("length")
@dataclass
class Length(Scorer):
    """Expected worth of the cloud as a function of the question's length.

    Attributes:
        shape: `isotonic`, a curve that only rises or only falls, whichever fits; or `linear` in the logarithm.
        unit: `words` (words and signs) or `characters`.
    """

    shape: str = "isotonic"
    unit: str = "words"

    def __post_init__(self) -> None:
        """Check the settings."""
        self.learned_: tuple[Floats, Floats] | None = None
        for field, given, known in (("shape", self.shape, SHAPES), ("unit", self.unit, UNITS)):
            if given not in known:
                raise RouterError(f"length: {field} must be one of {', '.join(known)}, not {given!r}")

    def fit(self, inputs: Sequence[Input], target: Target) -> Self:
        """Find the corners of the curve."""
        check_lesson(self.name, len(inputs), target)
        lengths = self._lengths(inputs)
        if np.ptp(lengths) == 0:
            raise RouterError(f"length: all {len(inputs)} questions are equally long, so length tells nothing")
        if self.shape == "linear":
            model = LinearRegression().fit(lengths[:, None], target.expected)
            self.learned_ = np.zeros(1), np.array([model.intercept_, model.coef_[0]])
        else:
            self.learned_ = _monotonic(lengths, target.expected)
        return self

    def scores(self, inputs: Sequence[Input]) -> Floats:
        """The curve at each question's length; beyond the training lengths an isotonic curve stays level."""
        corners, heights = fitted(self.learned_, self.name)
        lengths = self._lengths(inputs)
        if self.shape == "linear":
            return np.asarray(heights[0] + heights[1] * lengths, dtype=float)
        return np.asarray(np.interp(lengths, corners, heights), dtype=float)

    def save(self, folder: Path) -> None:
        """Write the curve."""
        corners, heights = fitted(self.learned_, self.name)
        write_learned(folder, {"corners": corners, "heights": heights}, {})

    def restore(self, folder: Path) -> None:
        """Read back the curve."""
        with reading(folder):
            arrays, _ = read_learned(folder, {"corners": 1, "heights": 1})
            if self.shape == "isotonic" and len(arrays["corners"]) != len(arrays["heights"]):
                raise ValueError("corners and heights differ in number")
            if self.shape == "linear" and (len(arrays["corners"]), len(arrays["heights"])) != (1, 2):
                raise ValueError("a line has an intercept and a slope")
            self.learned_ = arrays["corners"], arrays["heights"]

    def _lengths(self, inputs: Sequence[Input]) -> Floats:
        """Logarithms of one plus the lengths, shape (n,)."""
        texts = texts_of(inputs)
        pieces = texts if self.unit == "characters" else map(_WORD_OR_SIGN.findall, texts)
        return np.log1p([float(len(piece)) for piece in pieces])


def _monotonic(lengths: Floats, worth: Floats) -> tuple[Floats, Floats]:
    """Corners and heights of the rising or the falling curve, whichever leaves the smaller squared error."""
    curves = [IsotonicRegression(increasing=up, out_of_bounds="clip").fit(lengths, worth) for up in (True, False)]
    rising, falling = (float(((curve.predict(lengths) - worth) ** 2).sum()) for curve in curves)
    chosen = curves[0] if rising <= falling else curves[1]
    return chosen.X_thresholds_, chosen.y_thresholds_
