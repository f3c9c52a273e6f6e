"""A deployment: what the edge device, the cloud and the link between them are like, read from a small YAML file.

A deployment is named by a hyperparameter of a module, so comparing networks or devices is an ordinary Ianvs grid:

    edgemodel:
      hyperparameters:
        - deployment: {values: ["testenv/deployments/home-wifi.yaml", "testenv/deployments/4g.yaml"]}

The deployment that the edge model names is the one in force for every module of the test case (`current_deployment`).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ianvs_collab.link.rate import BITS_PER_MEGABIT, RateTrace

EMULATED_TIERS = ("relay", "namespaces")
"""Tiers in which the cloud is a process on this machine, behind a link that this project makes."""

Direction = Literal["uplink", "downlink"]


def _trace(given: Any) -> Any:
    """A rate trace of what stands in a deployment file."""
    if isinstance(given, RateTrace):
        return given
    wanted = given if isinstance(given, dict) else {"file" if isinstance(given, str) else "points": given}
    repeat = wanted.get("repeat_after")
    if wanted.keys() - {"repeat_after"} == {"file"}:
        return RateTrace.read(wanted["file"], repeat_after=repeat)
    if wanted.keys() - {"repeat_after"} != {"points"}:
        raise ValueError("a trace is a list of [seconds, mbps], a CSV file, or a mapping with `points` or `file`")
    try:
        return RateTrace(tuple((float(seconds), float(mbps)) for seconds, mbps in wanted["points"]), repeat)
    except TypeError as error:
        raise ValueError(f"the points of a trace are pairs of seconds and Mbit/s ({error})") from error


Trace = Annotated[RateTrace, BeforeValidator(_trace)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class DeploymentError(ValueError):
    """A deployment file is missing or wrong; the message names the file, the field and the mend."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(_Strict):
    """What a provider charges, in currency units per million tokens."""

    prompt: NotNegative = 0.0
    completion: NotNegative = 0.0


class Device(_Strict):
    """A machine that runs a model.

    Attributes:
        slowdown: Measured compute time is multiplied by this: 4 stands for a device four times slower than the machine
            that ran the model, 0.25 for one four times faster, 1 for this very machine.
        power_w: Power drawn while busy, in watts; leave it out where it is not known, and energy is reported as
            unavailable.
        memory_gb: Memory for weights and cache, in gigabytes; None for no limit.
        price_per_million_tokens: What a token costs there.
    """

    slowdown: Positive = 1.0
    power_w: Positive | None = None
    memory_gb: Positive | None = None
    price_per_million_tokens: Price = Price()


class Link(_Strict):
    """The network between edge and cloud.

    Attributes:
        rtt_ms: Round-trip time without load, in milliseconds, half of it each way.
        uplink_mbps: Rate from edge to cloud, in megabits per second.
        downlink_mbps: Rate from cloud to edge, in megabits per second.
        jitter_ms: Standard deviation of the one-way delay, in milliseconds.
        overhead_ms: What the software at both ends takes for a message, in milliseconds: about 1 for gRPC in Python.
            Only `tier: virtual` adds it; elsewhere that software is at work. (The overhead o of LogP, both ends
            together: Culler et al. 1993, PPoPP 93.)
        loss: Probability that a packet is lost and sent again one round trip later.
        uplink_trace: A rate that changes with time, instead of `uplink_mbps`; it begins with each query. A list of
            (seconds, megabits per second), a CSV file, or a mapping with `points` or `file`, and `repeat_after`.
        downlink_trace: Likewise.
    """

    rtt_ms: NotNegative = 0.0
    uplink_mbps: Positive = 1000.0
    downlink_mbps: Positive = 1000.0
    jitter_ms: NotNegative = 0.0
    overhead_ms: NotNegative = 0.0
    loss: Annotated[float, Field(ge=0, lt=1)] = 0.0
    uplink_trace: Trace | None = None
    downlink_trace: Trace | None = None

    def finish(self, direction: Direction, start: float, nbytes: int) -> float:
        """When the last of `nbytes` has left the sender's side, if the first leaves at `start`, in seconds."""
        trace, mbps = self._rates(direction)
        return start + nbytes * 8 / (mbps * BITS_PER_MEGABIT) if trace is None else trace.finish(start, nbytes)

    def trace(self, direction: Direction) -> RateTrace:
        """The rate of a direction, constant or not."""
        trace, mbps = self._rates(direction)
        return trace or RateTrace.constant(mbps)

    def _rates(self, direction: Direction) -> tuple[RateTrace | None, float]:
        if direction == "uplink":
            return self.uplink_trace, self.uplink_mbps
        return self.downlink_trace, self.downlink_mbps


class Deployment(_Strict):
    """Edge, cloud, the link between them, and how much of that is emulated.

    Attributes:
        name: For tables and pictures; the file's base name if left out.
        edge: The small device.
        cloud: The data centre.
        link: The network.
        tier: `virtual`: compute is run and timed for real, the network is added on a virtual clock. `relay`: edge and
            cloud are processes on this machine, and a process between them delays, shapes and counts what passes.
            `namespaces`: likewise, each in a network namespace of its own. `real`: the cloud model is reached over a
            real network. In all but the first the network's delay is in the measured times, so nothing is added.
        seed: Seed of jitter and loss.
    """

    name: str = ""
    edge: Device = Device()
    cloud: Device = Device()
    link: Link = Link()
    tier: Literal["virtual", "relay", "namespaces", "real"] = "virtual"
    seed: int = 0

    @model_validator(mode="after")
    def _the_tier_can_do_it(self) -> Self:
        slowdown = self.cloud.slowdown
        if self.tier == "real" and slowdown != 1:
            raise ValueError("cloud.slowdown: a real cloud is as fast as it is; leave it out, or set tier: virtual")
        if self.tier in EMULATED_TIERS and slowdown < 1:
            raise ValueError(
                f"cloud.slowdown: a process here cannot be faster than this machine, as {slowdown} says; "
                "set tier: virtual, or 1 or more"
            )
        if self.tier == "namespaces" and (self.link.uplink_trace or self.link.downlink_trace):
            raise ValueError("link: the kernel of tier: namespaces has constant rates; use tier: relay with a trace")
        return self

    def device(self, where: Literal["edge", "cloud"]) -> Device:
        """The device that `where` names."""
        return self.edge if where == "edge" else self.cloud


def load_deployment(path: str | Path | None) -> Deployment:
    """Read a deployment file; None gives edge and cloud on this machine with an ideal link.

    Args:
        path: A YAML file, relative to the working directory like every path in Ianvs.

    Raises:
        DeploymentError: If the file is missing, is not YAML, or has a wrong field.
    """
    if path is None:
        return Deployment(name="this-machine")
    return _load(str(Path(path).resolve()), str(path))


@lru_cache(maxsize=64)
def _load(resolved: str, shown: str) -> Deployment:
    try:
        content = yaml.safe_load(Path(resolved).read_bytes())
    except OSError as error:
        raise DeploymentError(
            f"deployment {shown!r}: {error.strerror or error}; "
            f"paths are relative to the working directory ({Path.cwd()})"
        ) from error
    except yaml.YAMLError as error:
        raise DeploymentError(f"deployment {shown!r} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise DeploymentError(f"deployment {shown!r} must be a mapping with edge, cloud and link, not {content!r}")
    try:
        return Deployment.model_validate({"name": Path(resolved).stem, **content})
    except ValidationError as error:
        raise DeploymentError(f"deployment {shown!r}: {_problems(error)}") from error


def _problems(error: ValidationError) -> str:
    def one(loc: tuple[int | str, ...], message: str, kind: str, given: object) -> str:
        where = ".".join(map(str, loc))
        if kind == "value_error":  # found by a check of ours, which names the field
            return message.removeprefix("Value error, ")
        if kind != "extra_forbidden":
            return f"{where}: {message}, not {given!r}"
        return f"{where}: no such field; see docs/reference/deployments.md for the fields there are"

    return "; ".join(one(e["loc"], e["msg"], e["type"], e["input"]) for e in error.errors())


_current = [Deployment(name="this-machine")]


def use_deployment(deployment: Deployment) -> Deployment:
    """Put a deployment in force for every module of this process until the next call; returns it."""
    _current[0] = deployment
    return deployment


def current_deployment() -> Deployment:
    """The deployment in force; this machine with an ideal link until some module names another."""
    return _current[0]
