"""Waiting lines of many devices in many replications: ring buffers in flat arrays, grown when one of them is full.

First come, first served: a request's finish is known when it joins, so a line is a queue of finishes and the next
event is at its head. That is why the simulation needs no heap.
"""

from __future__ import annotations

import numpy as np

from ianvs_collab.precision.arrays import Floats, Integers


class Lines:
    """L lines, each with the requests that are not finished, in order.

    Attributes:
        length: Unfinished requests of each line, shape (L,).
    """

    def __init__(self, lines: int, capacity: int = 16) -> None:
        """Makes empty lines; `capacity` is a power of two, the places that each has at first."""
        self.length = np.zeros(lines, dtype=np.int64)
        self._head = np.zeros(lines, dtype=np.int64)
        self._finish, self._work = np.empty((lines, capacity)), np.empty((lines, capacity))
        self._item = np.empty((lines, capacity), dtype=np.int64)

    def join(self, lines: Integers, finish: Floats, work: Floats, items: Integers) -> None:
        """Add one request to each of m different lines.

        Args:
            lines: Which, shape (m,).
            finish: When it will be finished, seconds, (m,).
            work: Its expected work, seconds, (m,).
            items: A number to know it by, (m,).
        """
        length = self.length[lines]
        if len(lines) and length.max() == self._finish.shape[1]:
            self._grow()
        places = (self._head[lines] + length) & (self._finish.shape[1] - 1)
        self._finish[lines, places], self._work[lines, places], self._item[lines, places] = finish, work, items
        self.length[lines] = length + 1

    def leave(self, lines: Integers) -> tuple[Floats, Integers, Floats]:
        """Remove the first request of each of m different lines, none of them empty.

        Returns:
            Their expected work, their numbers, and when the next request in the line finishes (infinity if there is
            none), each of shape (m,).
        """
        head, mask = self._head[lines], self._finish.shape[1] - 1
        work, items = self._work[lines, head & mask], self._item[lines, head & mask]
        head += 1
        length = self.length[lines] - 1
        self._head[lines], self.length[lines] = head, length
        return work, items, np.where(length > 0, self._finish[lines, head & mask], np.inf)

    def _grow(self) -> None:
        lines, capacity = self._finish.shape
        order = (self._head[:, None] + np.arange(capacity)) & (capacity - 1)
        rows = np.arange(lines)[:, None]
        for name in ("_finish", "_work", "_item"):
            old = getattr(self, name)
            new = np.empty((lines, 2 * capacity), dtype=old.dtype)
            new[:, :capacity] = old[rows, order]
            setattr(self, name, new)
        self._head[:] = 0
