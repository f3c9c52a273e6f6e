"""From what was measured on this machine to a portfolio of the devices of a deployment.

A device's slowdown scales the measured times, so a pair on an emulated device is measured work times a stated factor;
the provenance says so. Energy: measured if the device is this very machine and RAPL can be read; else modelled as
power_w times busy time if the deployment gives a power; else unavailable.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from pydantic import JsonValue

from ianvs_collab.link import Deployment
from ianvs_collab.link.deployment import Device as Profile
from ianvs_collab.machine import machine, versions
from ianvs_collab.precision.portfolio import Device, EnergySource, Pair, Portfolio, PrecisionError
from ianvs_collab.precision.profile.measuring import Failure, Measured, Plan

Where = Literal["edge", "cloud"]
_DIGITS = 7  # of seconds: a tenth of a microsecond


def build_portfolio(
    found: Sequence[Measured],
    failures: Sequence[Failure],
    deployment: Deployment,
    plan: Plan,
    *,
    function: str,
    data: Mapping[str, JsonValue],
    places: Mapping[Where, Sequence[str]] | None = None,
) -> Portfolio:
    """Make a portfolio.

    Args:
        found: What was measured.
        failures: What could not be.
        deployment: The devices: slowdown, memory, power, price.
        plan: How it was measured.
        function: What the variants do, in words.
        data: What is to be on record of the calibration questions.
        places: Which variants each device gets, in the order in which they are to find room; all of them if left out.

    Raises:
        PrecisionError: If no variant was measured, or none fits on any device.
    """
    if not found:
        reasons = "; ".join(f"{each.variant}: {each.reason}" for each in failures)
        raise PrecisionError(f"no variant could be measured, so there is no portfolio: {reasons}")
    left_out: dict[str, JsonValue] = {each.variant: each.reason for each in failures}
    by_name, pairs = {each.variant.name: each for each in found}, list[Pair]()
    for where in get_args(Where):
        names = list(by_name) if places is None else [name for name in places.get(where, ()) if name in by_name]
        room = _Room(deployment.device(where))
        for name in names:
            pair = _pair(by_name[name], where, deployment.device(where))
            if room.takes(pair):
                pairs.append(pair)
            else:
                left_out[str(pair)] = room.complaint(pair)
    if not pairs:
        raise PrecisionError(f"no variant fits on any device of deployment {deployment.name!r}; give more memory_gb")
    used = {pair.device for pair in pairs}
    return Portfolio(
        function=function,
        origin="measured",
        devices=tuple(
            Device(name=where, memory_bytes=_Room(deployment.device(where)).limit)
            for where in get_args(Where)
            if where in used
        ),
        pairs=tuple(pairs),
        provenance=_provenance(found, deployment, plan, data) | {"left_out": left_out},
    )


class _Room:
    """The memory of a device, as variants take it up one after the other."""

    def __init__(self, device: Profile) -> None:
        self.limit = None if device.memory_gb is None else int(device.memory_gb * 1e9)
        self._taken = 0

    def takes(self, pair: Pair) -> bool:
        """Whether a pair still fits; if so, its memory is taken."""
        if self.limit is not None and self._taken + pair.memory_bytes > self.limit:
            return False
        self._taken += pair.memory_bytes
        return True

    def complaint(self, pair: Pair) -> str:
        return f"needs {pair.memory_bytes} bytes, and of {self.limit} bytes {self._taken} are taken by those before it"


def _pair(found: Measured, where: Where, device: Profile) -> Pair:
    seconds = [each * device.slowdown for each in found.seconds]
    joules, source = _energy(found, device, seconds)
    footprint = found.loaded["footprint"] or {}
    weights, cache = footprint.get("weight_bytes"), footprint.get("kv_bytes_per_token")
    price = device.price_per_million_tokens
    prompts, completions = (float(np.mean(each)) for each in zip(*found.tokens, strict=True))
    return Pair(
        variant=found.variant.name,
        device=where,
        service_seconds=_rounded(seconds),
        correct=sum(found.right),
        answered=len(found.right),
        memory_bytes=_memory(found, weights, cache),
        energy_joules=joules,
        energy_source=source,
        price=(prompts * price.prompt + completions * price.completion) / 1e6,
        unparsed=found.unparsed,
        ttft_seconds=_rounded([each * device.slowdown for each in found.ttft]),
        tpot_seconds=_rounded([each * device.slowdown for each in found.tpot]),
        weight_bytes=weights,
        kv_bytes_per_token=cache,
        peak_rss_bytes=found.peak_rss_bytes,
        load_seconds=found.loaded["load_s"],
    )


def _memory(found: Measured, weights: int | None, cache: int | None) -> int:
    """Weights and the cache of the longest question; without a footprint, what the process grew by."""
    if weights is None:
        return max(found.peak_rss_bytes - int(found.loaded["rss_before_bytes"]), 0)
    return weights + (cache or 0) * max(map(sum, found.tokens))


def _energy(found: Measured, device: Profile, seconds: Sequence[float]) -> tuple[float | None, EnergySource]:
    if found.joules is not None and device.slowdown == 1:
        return found.joules / len(seconds), "measured"
    if device.power_w is not None:
        return device.power_w * float(np.mean(seconds)), "modelled"
    return None, "unavailable"


def _rounded(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(max(round(each, _DIGITS), 10**-_DIGITS) for each in seconds)


def _provenance(
    found: Sequence[Measured], deployment: Deployment, plan: Plan, data: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    slowdowns: dict[str, JsonValue] = {where: deployment.device(where).slowdown for where in get_args(Where)}
    return {
        "data": dict(data),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "clock": plan.clock,
        "rounds": plan.rounds,
        "max_tokens": plan.max_tokens,
        "extractor": plan.extractor,
        "deployment": deployment.name,
        "slowdown": slowdowns,
        "times": "measured on this machine, one variant at work at a time, then multiplied by the device's slowdown",
        "variants": {
            each.variant.name: {
                "backend": each.variant.backend,
                "revision": each.loaded["revision"],
                "threads": each.loaded["threads"],
            }
            for each in found
        },
        "machine": machine(),
        "versions": dict(versions()),
    }
