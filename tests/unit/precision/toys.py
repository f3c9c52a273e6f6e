"""Made-up portfolios: nothing in them was measured, and they say so."""

from __future__ import annotations

import numpy as np

from ianvs_collab.precision import Device, Pair, Portfolio


def toy_pair(variant: str = "q4", device: str = "edge", mean: float = 1.0, **changes: object) -> Pair:
    fields: dict[str, object] = {
        "variant": variant,
        "device": device,
        "service_seconds": (0.5 * mean, mean, 1.5 * mean),
        "correct": 70,
        "answered": 100,
        "memory_bytes": 100,
        "energy_joules": 2.0,
        "energy_source": "modelled",
        "price": 0.1,
        **changes,
    }
    return Pair.model_validate(fields)


def toy_portfolio(*pairs: Pair, memory: int | None = 1000) -> Portfolio:
    """Two edge variants and a cloud one, or the pairs given; devices in order of appearance."""
    chosen = pairs or (
        toy_pair("q4", "edge", 0.8, correct=60, energy_joules=2.0, price=0.1),
        toy_pair("q8", "edge", 1.3, correct=70, energy_joules=3.5, price=0.1),
        toy_pair("f32", "cloud", 0.5, correct=90, energy_joules=20.0, price=1.0),
    )
    devices = tuple(Device(name=name, memory_bytes=memory) for name in dict.fromkeys(pair.device for pair in chosen))
    return Portfolio(function="a made-up function", origin="synthetic", devices=devices, pairs=chosen)


def random_portfolio(seed: int) -> Portfolio:
    """Up to three devices with up to three variants each, all figures drawn."""
    rng = np.random.default_rng(seed)
    pairs = []
    for device in range(rng.integers(1, 4)):
        for variant in range(rng.integers(1, 4)):
            pairs.append(
                toy_pair(
                    f"v{variant}",
                    f"d{device}",
                    service_seconds=tuple(rng.gamma(2.0, 0.5, size=rng.integers(1, 6))),
                    correct=int(rng.integers(10, 100)),
                    energy_joules=float(rng.uniform(1, 10)),
                    price=float(rng.uniform(0.1, 2)),
                )
            )
    return toy_portfolio(*pairs)
