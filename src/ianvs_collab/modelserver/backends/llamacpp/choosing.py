"""From logits in NumPy to the next token. Greedy decoding needs no PyTorch; sampling uses the one of transformers.

So a seed draws the same tokens from the same logits under both back-ends.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ianvs_collab.modelserver.types import SamplingParams

Chooser = Callable[[NDArray[np.float32]], int]


def make_chooser(params: SamplingParams) -> Chooser:
    """Function that maps logits, shape (vocabulary,), to a token."""
    if params.greedy:
        return lambda logits: int(logits.argmax())
    import torch  # noqa: PLC0415 - large; an edge device that decodes greedily is to do without

    from ianvs_collab.modelserver.backends.sampling import make_chooser as make  # noqa: PLC0415

    choose = make(params, 1)
    return lambda logits: int(choose(torch.from_numpy(logits)[None]))


def log_probability(logits: NDArray[np.float32], token: int) -> float:
    """Natural logarithm of a token's probability, of logits (vocabulary,)."""
    shifted = logits.astype(np.float64) - logits.max()
    return float(shifted[token] - np.log(np.exp(shifted).sum()))
