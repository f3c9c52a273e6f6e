"""Protocol `quantised-q`: the most probable tokens of q, with few bits each.

q is cut to its `top` largest entries and rounded to multiples of 2^-bits that sum to 1. The edge draws from what is
left, and the cloud gets exactly that, so the output keeps the target's distribution; the coarser q is, the more is
rejected. Without that order (draw first, then round) it would not be lossless. Sparsified and quantised draft
distributions: Zhang et al. 2025, "Quantize-Sample-and-Verify" (arXiv:2507.00605).
"""

from __future__ import annotations

import numpy as np

from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.protocols.counts import keep_largest, round_to_counts
from ianvs_collab.speculative.protocols.ids import Ids
from ianvs_collab.speculative.protocols.messages import Shape
from ianvs_collab.speculative.protocols.packing import Reader, varint
from ianvs_collab.speculative.sampling import Floats
from ianvs_collab.speculative.verification.base import Draft

_MAX_BITS = 31


class QuantisedQ(Ids):
    """Instead of ids, for each drafted token its row and which entry of it was drawn.

    A row is: varint entries, then for each entry in order of ids varint (id - last id - 1) and varint (count - 1),
    then varint index of the drawn entry. The last count is left out, because all of them sum to 2^bits.

    Args:
        vocabulary: Number of token ids of the target.
        top: Entries of q that are kept.
        bits: Resolution of a probability.

    Raises:
        SpeculativeError: If `top` or `bits` is out of range.
    """

    name = "quantised-q"
    distributions = True

    def __init__(self, vocabulary: int, top: int = 16, bits: int = 10) -> None:
        super().__init__(vocabulary)
        if top < 1 or not 1 <= bits <= _MAX_BITS:
            raise SpeculativeError(f"quantised-q needs top >= 1 and 1 <= bits <= {_MAX_BITS}, not {top} and {bits}")
        self._top, self._bits = top, bits

    def round(self, q: Floats) -> Floats:
        """The distribution nearest to q that this protocol can send."""
        return round_to_counts(keep_largest(q, self._top), self._bits)

    def formula(self, shape: Shape) -> tuple[float, float]:
        """Payload bytes up and down per committed token: (2 + γ·(2 + s·e)) / N and (2 + c) / N.

        With s entries of e bytes in a row, before and after which stand the number of entries and the drawn one.
        """
        up = 2 + shape.drafted * (2 + shape.support * shape.entry_bytes)
        return up / shape.committed, super().formula(shape)[1]

    def _encode_draft(self, draft: Draft) -> bytes:
        assert draft.rows is not None
        return b"".join(self._encode_q(row, token) for row, token in zip(draft.rows, draft.tokens, strict=True))

    def _encode_q(self, row: Floats, token: int) -> bytes:
        ids = row.nonzero()[0]
        steps = np.diff(ids, prepend=-1) - 1
        counts = (row[ids] * 2.0**self._bits).astype(np.int64) - 1
        entries = [number for pair in zip(steps.tolist(), counts.tolist(), strict=True) for number in pair]
        drawn = int(ids.searchsorted(token))
        return b"".join(map(varint, [len(ids), *entries[:-1], drawn]))

    def _decode_draft(self, reader: Reader, count: int) -> Draft:
        tokens, rows, chosen = [], np.zeros((count, self.vocabulary)), np.empty(count)
        for index, row in enumerate(rows):
            ids = self._decode_q(reader, row)
            tokens.append(ids[reader.varint(len(ids), "the drawn entry")])
            chosen[index] = row[tokens[-1]]
        return Draft(tokens, rows, chosen)

    def _decode_q(self, reader: Reader, row: Floats) -> list[int]:
        """Fill a row; returns the ids that are in it."""
        entries = reader.varint(min(self._top, self.vocabulary) + 1, "the number of entries")
        if not entries:
            raise reader.error("a row of q has no entries")
        ids: list[int] = []
        left = 2**self._bits
        for index in range(entries):
            last = ids[-1] if ids else -1
            ids.append(last + 1 + reader.varint(self.vocabulary - last - 1, "an id of q"))
            count = left if index == entries - 1 else 1 + reader.varint(left - 1, "a probability of q")
            row[ids[-1]] = count * 2.0**-self._bits
            left -= count
        return ids
