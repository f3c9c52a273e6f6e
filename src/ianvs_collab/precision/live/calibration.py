"""Service times of a fleet as it is now: every variant of every device asked the same questions, all devices at once.

What a neighbour does to this machine changes within minutes, and devices that work at the same time slow one another
down. So a comparison of a live run with a simulation needs service times from the same minutes and the same workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ianvs_collab.precision.live.fleet import Death, Fleet
from ianvs_collab.precision.portfolio import Pair, Portfolio, PrecisionError
from ianvs_collab.precision.profile.questions import Item

Samples = Mapping[tuple[str, str], Sequence[float]]
"""Seconds that an answer kept its device busy, by (variant, device)."""

_POLL_S = 5.0


def calibrate(fleet: Fleet, items: Sequence[Item]) -> dict[tuple[str, str], list[float]]:
    """Ask every variant of every device every question, one after the other on each device.

    Returns:
        By (variant, device), how long each question kept the device busy, in the order of the questions.

    Raises:
        PrecisionError: If a worker dies, or a model does not answer.
    """
    work = [
        (item, device, variant) for item in items for device, variants in fleet.loaded.items() for variant in variants
    ]
    seconds = [0.0] * len(work)
    for tag, (item, device, variant) in enumerate(work):
        _unharmed(fleet.submit(device, variant, item.messages, tag))
    left = len(work)
    while left:
        for event in fleet.poll(_POLL_S):
            if isinstance(event, Death):
                _unharmed(event)
            elif "failed" in event.content:
                raise PrecisionError(f"{work[event.tag][2]} on {event.device}: {event.content['failed']}")
            else:
                seconds[event.tag] = event.content["busy_s"]
                left -= 1
    found: dict[tuple[str, str], list[float]] = {}
    for (_, device, variant), taken in zip(work, seconds, strict=True):
        found.setdefault((variant, device), []).append(taken)
    return found


def by_hardness(items: Sequence[Item], samples: Samples) -> list[Item]:
    """Questions from the easiest to the hardest: by their mean rank over all pairs.

    Args:
        items: The questions.
        samples: A time for each question, for one or more pairs.
    """
    ranks = np.mean([np.argsort(np.argsort(times, kind="stable")) for times in samples.values()], axis=0)
    return [items[place] for place in np.argsort(ranks, kind="stable")]


def recalibrated(portfolio: Portfolio, samples: Samples) -> Portfolio:
    """A portfolio with other service times; pairs that have no samples keep theirs.

    Modelled energy grows and shrinks with the mean time; the times of single tokens are dropped, which no longer fit.
    """

    def renewed(pair: Pair) -> Pair:
        times = samples.get((pair.variant, pair.device))
        if not times:
            return pair
        modelled = pair.energy_source == "modelled" and pair.energy_joules is not None
        joules = (pair.energy_joules or 0.0) * float(np.mean(times)) / pair.mean_seconds
        changes = {"service_seconds": tuple(times), "ttft_seconds": (), "tpot_seconds": ()}
        return pair.model_copy(update=changes | ({"energy_joules": joules} if modelled else {}))

    return portfolio.model_copy(update={"pairs": tuple(map(renewed, portfolio.pairs))})


def _unharmed(death: Death | None) -> None:
    if death is not None:
        raise PrecisionError(death.reason)
