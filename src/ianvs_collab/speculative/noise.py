"""Noise that edge and cloud both make without sending it: keyed by a seed and the position of a token.

A counter-based generator (Philox: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") gives the numbers
of any position at once, whatever was drawn before. So a draft that was rolled back and is drawn again meets the same
noise.
"""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

_WORD = 2**64 - 1
_KEPT_BITS = 52


def fresh_seed() -> int:
    """A seed for a query whose user gave none; it has to be sent along where both sides need it."""
    return secrets.randbits(63)


def uniforms(seed: int, position: int, count: int) -> NDArray[np.float64]:
    """Uniform numbers, strictly between 0 and 1, that belong to a position.

    The bits are Philox's own, which numpy keeps the same from version to version.

    Args:
        seed: Any integer.
        position: Index of the token in the completion, from 0.
        count: How many, e.g. the size of the vocabulary.
    """
    key = np.array([seed & _WORD, 0], dtype=np.uint64)
    # The low word of the counter runs through the numbers of one position, the next word holds the position.
    counter = np.array([0, position, 0, 0], dtype=np.uint64)
    bits = np.random.Philox(key=key, counter=counter).random_raw(count)
    # 52 bits and a half: 53 would round the largest up to 1, whose logarithm is 0.
    return ((bits >> np.uint64(64 - _KEPT_BITS)).astype(np.float64) + 0.5) * 2.0**-_KEPT_BITS


def gumbel(seed: int, position: int, count: int) -> NDArray[np.float64]:
    """Standard Gumbel noise that belongs to a position; see `uniforms`."""
    noise: NDArray[np.float64] = -np.log(-np.log(uniforms(seed, position, count)))
    return noise
