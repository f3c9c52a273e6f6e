"""What a query would take at the edge or in the cloud: money, seconds, joules and bytes, under the deployment in force.

Nobody knows beforehand how long an answer will be. So a typical one is assumed, by a training trace: as many tokens as
the model wrote on average, computed at the speed it had there, after a prompt whose tokens follow from its length.
What that costs then follows from devices, prices and the link, as for any answer (`traces.estimate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ianvs_collab.link import Deployment
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.estimate import Where, estimate
from ianvs_collab.routing.traces.trace import Floats, Side, Trace


class Expenses(NamedTuple):
    """What one answer takes; None where the trace or the deployment does not tell.

    Attributes:
        currency: Price, in currency units of the deployment.
        first: Seconds to the first token.
        seconds: Seconds to the last token.
        joules: Energy of both devices while busy.
        megabytes: Bytes both ways ÷ 10⁶.
    """

    currency: float | None
    first: float | None
    seconds: float | None
    joules: float | None
    megabytes: float | None


@dataclass(frozen=True)
class TypicalSide:
    """What a model typically makes of a prompt.

    Attributes:
        tokens: Prompt tokens as intercept and slope over the prompt's UTF-8 bytes; None if not recorded.
        prefill: Seconds to the first token as intercept and slope over prompt tokens; None if not recorded.
        per_token: Seconds of each further token.
        written: Mean number of tokens written.
        characters: Mean length of a completion, in UTF-8 bytes.
    """

    tokens: tuple[float, float] | None
    prefill: tuple[float, float] | None
    per_token: float
    written: int
    characters: int

    @classmethod
    def of(cls, trace: Trace, where: Where) -> TypicalSide:
        """Averages and least-squares lines over the answers of one side."""
        sides: list[Side] = [getattr(row, where) for row in trace]
        sizes = [len(row.text.encode("utf-8", "surrogatepass")) for row in trace]
        counted = [(size, one) for size, one in zip(sizes, sides, strict=True) if one.prompt_tokens is not None]
        timed = [one for _, one in counted if one.prefill_seconds is not None]
        texts = [one.completion for one in sides if one.completion is not None]
        return cls(
            tokens=_line([size for size, _ in counted], [one.prompt_tokens or 0 for _, one in counted]),
            prefill=_line([one.prompt_tokens or 0 for one in timed], [one.prefill_seconds or 0.0 for one in timed]),
            per_token=_seconds_per_token(timed),
            written=max(1, round(_mean([one.completion_tokens or 0 for _, one in counted]))),
            characters=round(_mean([len(text.encode("utf-8", "surrogatepass")) for text in texts])),
        )

    def answer(self, prompt: str) -> Side:
        """The typical answer to a prompt."""
        if self.tokens is None:
            return Side(0.0, completion="x" * self.characters)
        count = max(1, round(_at(self.tokens, len(prompt.encode("utf-8", "surrogatepass")))))
        first = None if self.prefill is None else max(0.0, _at(self.prefill, count))
        return Side(
            0.0,
            completion="x" * self.characters,
            prompt_tokens=count,
            completion_tokens=self.written,
            prefill_seconds=first,
            total_seconds=None if first is None else first + self.per_token * (self.written - 1),
        )


def expenses(side: TypicalSide, where: Where, prompt: str, deployment: Deployment) -> Expenses:
    """What a typical answer to a prompt takes."""
    typical = side.answer(prompt)
    found = estimate(typical, where, deployment, text=prompt)
    known = found.uplink_bytes is not None and found.downlink_bytes is not None
    megabytes = ((found.uplink_bytes or 0) + (found.downlink_bytes or 0)) / 1e6 if known else None
    return Expenses(found.cost, found.ttft, found.e2e, found.energy, megabytes)


def missing(name: str, where: Where, trace: str, deployment: Deployment) -> RouterError:
    """The complaint that an expense is weighted and cannot be told."""
    if name == "joules":
        return RouterError(
            f"per_joule needs the power of both devices: give `{where}.power_w` in deployment {deployment.name!r}, and "
            f"compute seconds in the trace {trace!r} (`ianvs trace record` keeps them)"
        )
    return RouterError(
        f"the trace {trace!r} does not hold the tokens and compute seconds of the {where} model that {name} follow "
        "from; record it with `ianvs trace record`"
    )


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    """Least-squares line through points; a level one where all have the same place; None without points."""
    if not x:
        return None
    spread = np.ptp(np.asarray(x, dtype=float)) > 0
    slope, intercept = np.polyfit(x, y, 1) if spread else (0.0, _mean(y))
    return float(intercept), float(slope)


def _at(line: tuple[float, float], place: float) -> float:
    return line[0] + line[1] * place


def _seconds_per_token(sides: Sequence[Side]) -> float:
    gaps: Floats = np.array(
        [
            ((one.total_seconds or 0.0) - (one.prefill_seconds or 0.0)) / (one.completion_tokens - 1)
            for one in sides
            if one.completion_tokens is not None and one.completion_tokens > 1
        ]
    )
    return float(np.median(gaps)) if len(gaps) else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
