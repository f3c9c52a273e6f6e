"""A portfolio: variants of one function at several precisions, and what each does on each device.

A *pair* is a variant on a device, e.g. `q4_0` on `edge`. Its service times are kept as the samples that were measured,
because tails are what queues are made of, and its accuracy as counts, so that the interval can always be had. A
portfolio says of itself whether it was measured or made up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ianvs_collab.statistics import wilson

Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
EnergySource = Literal["measured", "modelled", "unavailable"]


class PrecisionError(ValueError):
    """A portfolio, an orchestrator or a simulation is wrong; the message says what, and how to mend it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Device(_Strict):
    """A machine that serves one request at a time, first come first served.

    A machine with several workers is several devices.

    Attributes:
        name: For pairs to name it.
        memory_bytes: Memory for models; None for no limit.
    """

    name: Name
    memory_bytes: Count | None = None


class Pair(_Strict):
    """A variant on a device, as it was measured.

    Attributes:
        variant: Name of the variant, e.g. its precision.
        device: Name of the device.
        service_seconds: Time that one request kept the device busy, a sample an element.
        correct: Calibration questions answered rightly.
        answered: Calibration questions asked.
        memory_bytes: Memory that the variant occupies while it is loaded.
        energy_joules: Mean energy of one request; None if unavailable.
        energy_source: How the energy is known; the tag travels with the number.
        price: What a request costs there, in currency units.
        unparsed: Calibration questions whose answer named no option; they count as wrong. None if it was not counted.
        ttft_seconds: Measured times to the first token on that device, a sample an element; empty if there are none.
        tpot_seconds: Measured times per output token after the first, likewise.
        weight_bytes: Parameters and buffers as they are stored; None if unknown.
        kv_bytes_per_token: Growth of the key-value cache with a token; None if unknown.
        peak_rss_bytes: Largest resident memory of a process that served this variant alone; None if unknown.
        load_seconds: From the call that loads to the first request that can be served, on the machine that measured;
            None if unknown.
    """

    variant: Name
    device: Name
    service_seconds: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    correct: Count
    answered: Annotated[int, Field(gt=0)]
    memory_bytes: Count
    energy_joules: NotNegative | None = None
    energy_source: EnergySource = "unavailable"
    price: NotNegative = 0.0
    unparsed: Count | None = None
    ttft_seconds: tuple[Seconds, ...] = ()
    tpot_seconds: tuple[Seconds, ...] = ()
    weight_bytes: Count | None = None
    kv_bytes_per_token: Count | None = None
    peak_rss_bytes: Count | None = None
    load_seconds: Seconds | None = None

    @property
    def accuracy(self) -> float:
        """Share of the calibration questions answered rightly."""
        return self.correct / self.answered

    def accuracy_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's interval of the accuracy, (low, high)."""
        return wilson(self.correct, self.answered, confidence)

    @property
    def mean_seconds(self) -> float:
        """Mean service time."""
        return float(np.mean(self.service_seconds))

    def __str__(self) -> str:
        """Variant and device, as messages and tables name a pair."""
        return f"{self.variant} on {self.device}"

    @model_validator(mode="after")
    def _counts_and_energy_agree(self) -> Self:
        if self.correct > self.answered:
            raise ValueError(f"{self}: correct ({self.correct}) exceeds answered ({self.answered})")
        if self.correct + (self.unparsed or 0) > self.answered:
            raise ValueError(f"{self}: correct and unparsed together exceed answered ({self.answered})")
        if (self.energy_joules is None) != (self.energy_source == "unavailable"):
            raise ValueError(
                f"{self}: energy_joules is {self.energy_joules!r} but energy_source is {self.energy_source!r}; "
                "give both or neither"
            )
        return self


class Portfolio(_Strict):
    """All pairs to choose from. Every variant of a device is loaded there, so together they must fit.

    Attributes:
        format: Tells the file from others.
        version: Of the form.
        function: What the variants do, in words.
        origin: `measured` by a profiler, or `synthetic`: made up, for tests and for studying orchestrators.
        devices: The machines.
        pairs: What runs on them.
        provenance: Where the figures come from: calibration data, revisions, machine.
    """

    format: Literal["ianvs-collab portfolio"] = "ianvs-collab portfolio"
    version: Literal[1] = 1
    function: Name
    origin: Literal["measured", "synthetic"]
    devices: Annotated[tuple[Device, ...], Field(min_length=1)]
    pairs: Annotated[tuple[Pair, ...], Field(min_length=1)]
    provenance: dict[str, JsonValue] = {}

    @property
    def variants(self) -> list[str]:
        """Names of the variants, in order of appearance."""
        return list(dict.fromkeys(pair.variant for pair in self.pairs))

    def occupied_bytes(self, device: str) -> int:
        """Memory of a device that its loaded variants occupy."""
        return sum(pair.memory_bytes for pair in self.pairs if pair.device == device)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        known = [device.name for device in self.devices]
        _once(known, "device")
        _once(map(str, self.pairs), "pair")
        for pair in self.pairs:
            if pair.device not in known:
                raise ValueError(f"{pair}: there is no device {pair.device!r}; devices has {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for device in self.devices:
            needed = self.occupied_bytes(device.name)
            if device.memory_bytes is not None and needed > device.memory_bytes:
                raise ValueError(
                    f"the variants on {device.name} need {needed} bytes together, but it has {device.memory_bytes}; "
                    "leave variants out"
                )
        return self


def _once(names: Iterable[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"the {what} {twice[0]!r} is there twice")
