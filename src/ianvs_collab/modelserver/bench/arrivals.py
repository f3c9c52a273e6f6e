"""When the requests of an open loop arrive: drawn from a seed, or read from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ianvs_collab.modelserver.bench.loads import Load
from ianvs_collab.modelserver.types import ModelServerError


def schedule(load: Load, requests: int, seed: int) -> list[float]:
    """Seconds from the start of the load at which each request arrives, ascending.

    Gaps are exponential (`poisson`), all equal (`constant`), or gamma-distributed with shape b and mean 1 / rate
    (`bursty`), whose coefficient of variation is 1 / sqrt(b); that is `--burstiness` of `vllm bench serve`. The sum is
    left as it was drawn: stretching it to exactly requests / rate, as that tool does, takes away the variation that a
    Poisson process has.

    Args:
        load: An open loop.
        requests: How many arrive.
        seed: Of the gaps; the same seed gives the same schedule.

    Raises:
        ModelServerError: If a file of arrivals has fewer than that.
    """
    if load.arrivals is not None:
        if len(load.arrivals) < requests:
            raise ModelServerError(
                f"the file of arrivals has {len(load.arrivals)} of {requests} requests; lower --requests"
            )
        return list(load.arrivals[:requests])
    assert load.rate is not None
    gaps = np.full(requests, 1.0)
    if load.kind != "constant":
        shape = load.burstiness or 1.0
        gaps = np.random.default_rng(seed).gamma(shape, 1 / shape, requests)
    times: list[float] = (np.cumsum(gaps) / load.rate).tolist()
    return times


def read_arrivals(path: Path) -> tuple[float, ...]:
    """Arrival times of a file: seconds, a line each; empty lines and those that begin with `#` are left out.

    Raises:
        ModelServerError: If the file cannot be read or a line is not a number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelServerError(f"{path}: cannot be read as text ({error}); name a file with a time a line") from error
    times = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                times.append(float(text))
            except ValueError as error:
                raise ModelServerError(
                    f"{path}:{number}: {text[:40]!r} is not a number; write a time in seconds, e.g. 1.25"
                ) from error
    return tuple(times)
