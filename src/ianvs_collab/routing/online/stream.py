"""A trace as a stream whose distribution shifts: its subjects arrive in blocks.

The subjects are shuffled and dealt to blocks; the queries of a block come in random order, so within a block nothing
shifts, and at its end every subject is replaced by another. The first block is what the router's makers knew: its first
part is the training trace, its rest shows the router before the shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ianvs_collab.routing.base import RouterError

Indices = NDArray[np.int_]


@dataclass(frozen=True)
class Stream:
    """Row numbers of a trace in the order of their arrival.

    Attributes:
        warm_up: Rows that both models answered beforehand, from the first block's subjects.
        before: The rest of the first block.
        after: The other blocks, one array each.
    """

    warm_up: Indices
    before: Indices
    after: tuple[Indices, ...]

    @property
    def arriving(self) -> Indices:
        """All that is routed, in order."""
        return np.concatenate([self.before, *self.after])


def subject_blocks(subjects: NDArray[np.str_], seed: int, blocks: int = 4, warm_up: float = 2 / 3) -> Stream:
    """Deal subjects to blocks.

    Args:
        subjects: Subject of each row, shape (n,).
        seed: Seed of the deal and of the order within blocks.
        blocks: Number of blocks, at least 2.
        warm_up: Fraction of the first block that is known beforehand.

    Raises:
        RouterError: If there are fewer subjects than blocks, or a part would be empty.
    """
    names = np.unique(subjects)
    if not 2 <= blocks <= len(names):  # noqa: PLR2004 - one block has no shift
        raise RouterError(f"{len(names)} subjects cannot make {blocks} blocks; there must be 2 to {len(names)}")
    rng = np.random.default_rng(seed)
    dealt = np.array_split(rng.permutation(names), blocks)
    rows = [rng.permutation(np.flatnonzero(np.isin(subjects, part))) for part in dealt]
    cut = round(len(rows[0]) * warm_up)
    if not 0 < cut < len(rows[0]):
        raise RouterError(f"warm_up {warm_up!r} of {len(rows[0])} queries leaves no query before it or after it")
    return Stream(rows[0][:cut], rows[0][cut:], tuple(rows[1:]))
