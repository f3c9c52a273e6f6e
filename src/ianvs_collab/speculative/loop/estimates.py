"""What a controller knows from measurements: means, a line, how often drafts stand, how long answers are.

Old measurements fade: each new one multiplies the weight of those before it by 1 - 1 / memory.
"""

from __future__ import annotations

from collections.abc import Sequence

_SAME = 1e-9
_JUMP, _JUMP_S = 0.5, 0.002
"""A level has jumped where values are off by more than this share of it and these seconds."""
_ALPHA, _ALPHA_TOKENS = 0.75, 4.0
"""Acceptance to begin with, and the tokens that this is worth."""
_POSITION_TOKENS = 10.0
"""Tokens that the acceptance over all positions is worth at each single one."""
_LEAST_KAPPA = 0.01
_HAZARD = 1 / 64
"""Probability to begin with that a token is the last one, worth one answer."""


class Mean:
    """A mean in which old values fade; None before the first.

    Args:
        memory: Values after which one has faded to 1/e.
    """

    def __init__(self, memory: float) -> None:
        self._keep = 1 - 1 / memory
        self._sum = self._weight = 0.0

    @property
    def value(self) -> float | None:
        """The mean."""
        return self._sum / self._weight if self._weight else None

    def add(self, value: float) -> None:
        """Take a value in."""
        self._sum = self._keep * self._sum + value
        self._weight = self._keep * self._weight + 1


class Level(Mean):
    """A mean that begins anew after a jump: two values in succession that are far off, on the same side.

    Args:
        memory: Values after which one has faded to 1/e.
    """

    def __init__(self, memory: float) -> None:
        super().__init__(memory)
        self._strange: float | None = None

    def add(self, value: float) -> None:
        """Take a value in."""
        mean = value if self.value is None else self.value
        off = value - mean
        far = abs(off) > _JUMP * mean + _JUMP_S
        if far and self._strange is not None and off * (self._strange - mean) > 0:
            self._sum, self._weight = self._strange, 1.0
        self._strange = value if far else None
        super().add(value)


class Line:
    """A rising line through points, by least squares in which old points fade; flat where they do not say more.

    Args:
        memory: Points after which one has faded to 1/e.
    """

    def __init__(self, memory: float) -> None:
        self._x, self._y, self._xx, self._xy = (Mean(memory) for _ in range(4))

    @property
    def known(self) -> bool:
        """Whether there is a point."""
        return self._y.value is not None

    def add(self, x: float, y: float) -> None:
        """Take a point in."""
        for mean, value in ((self._x, x), (self._y, y), (self._xx, x * x), (self._xy, x * y)):
            mean.add(value)

    def at(self, x: float) -> float:
        """Height of the line, 0 at least."""
        mx, my, mxx, mxy = (mean.value or 0.0 for mean in (self._x, self._y, self._xx, self._xy))
        spread = mxx - mx * mx
        slope = max(0.0, (mxy - mx * my) / spread) if spread > _SAME else 0.0
        return max(0.0, my + slope * (x - mx))


class Acceptance:
    """Probability that a drafted token stands, by its position in the block.

    Each position is drawn towards the mean of all, the more the less was seen of it.

    Args:
        memory: Blocks after which one has faded to 1/e.
    """

    def __init__(self, memory: float) -> None:
        self._keep = 1 - 1 / memory
        self._offered: list[float] = []
        self._stood: list[float] = []

    def add(self, offered: int, stood: int) -> None:
        """Take a block in.

        Args:
            offered: Tokens of it that were looked at.
            stood: How many of these stood: all, or all but the last.
        """
        missing = offered - len(self._offered)
        for counts, count in ((self._offered, offered), (self._stood, stood)):
            counts.extend([0.0] * missing)
            counts[:] = [self._keep * value + (place < count) for place, value in enumerate(counts)]

    def by_position(self, longest: int) -> list[float]:
        """The probability at each of `longest` positions."""
        mean = (sum(self._stood) + _ALPHA * _ALPHA_TOKENS) / (sum(self._offered) + _ALPHA_TOKENS)
        seen = [*zip(self._stood, self._offered, strict=True)][:longest]
        known = [(stood + mean * _POSITION_TOKENS) / (offered + _POSITION_TOKENS) for stood, offered in seen]
        return [*known, *[mean] * (longest - len(known))]


class Belief:
    """How a draft model's own probabilities tell what the target takes: P(token stands) = probability^κ.

    A token is then a time of -log probability in which rejections have the rate κ, so κ is the number of rejections in
    the time that passed; in a token that was rejected about half of its time had passed. κ is 1 for a model that is as
    sure as it is right, and near 0 for one that is right without being sure, as a flat model may be in greedy decoding.

    Args:
        memory: Blocks after which one has faded to 1/e.
    """

    def __init__(self, memory: float) -> None:
        self._mistrust, self._rejected = Mean(memory), Mean(memory)
        self.add(1.0, 1)

    def add(self, mistrust: float, rejected: int) -> None:
        """Take a block in.

        Args:
            mistrust: Sum of -log probabilities of the tokens that stood, and half of that of a rejected one.
            rejected: How many of these were rejected: 0 or 1.
        """
        self._mistrust.add(mistrust)
        self._rejected.add(rejected)

    def as_drafter(self, probability: float) -> float:
        """The drafter's own probability of a draft that stands with this one."""
        mistrust, rejected = self._mistrust.value or 0.0, self._rejected.value or 0.0
        kappa = max(_LEAST_KAPPA, rejected / mistrust) if mistrust else 1.0
        return float(probability ** (1 / kappa))


class AnswerLengths:
    """Probability that a token is the last one of its answer, by its place in it (Kaplan and Meier 1958).

    Args:
        memory: Answers after which one has faded to 1/e.
    """

    def __init__(self, memory: float) -> None:
        self._keep = 1 - 1 / memory
        self._reached: list[float] = []
        self._ended: list[float] = []

    def add(self, tokens: int, *, ended: bool) -> None:
        """Take an answer in.

        Args:
            tokens: Its length, at least 1.
            ended: Whether it ended there, and was not cut off.
        """
        missing = tokens - len(self._reached)
        for counts in (self._reached, self._ended):
            counts.extend([0.0] * missing)
            counts[:] = [self._keep * value for value in counts]
        for place in range(tokens):
            self._reached[place] += 1
        self._ended[tokens - 1] += ended

    def hazards(self, first: int, count: int) -> Sequence[float]:
        """The probability for `count` places from `first` (0 for an answer's first token) on."""
        found = []
        for place in range(first, first + count):
            known = place < len(self._reached)
            ended, reached = (self._ended[place], self._reached[place]) if known else (0.0, 0.0)
            found.append((ended + _HAZARD) / (reached + 1))
        return found
