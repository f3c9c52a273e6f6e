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
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
        unavailable. memory_gb: Memory for weights and cache, in gigabytes; None for no limit.
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
        loss: Probability that a packet is lost and sent again one round trip later.
    """

    rtt_ms: NotNegative = 0.0
    uplink_mbps: Positive = 1000.0
    downlink_mbps: Positive = 1000.0
    jitter_ms: NotNegative = 0.0
    loss: Annotated[float, Field(ge=0, lt=1)] = 0.0


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
