"""Protocol `full-q`: the whole of q for every drafted token. The baseline that the others save bytes against."""

from __future__ import annotations

import numpy as np

from ianvs_collab.speculative.protocols.counts import round_to_counts
from ianvs_collab.speculative.protocols.ids import Ids
from ianvs_collab.speculative.protocols.messages import Shape
from ianvs_collab.speculative.protocols.packing import Reader
from ianvs_collab.speculative.sampling import Floats
from ianvs_collab.speculative.verification.base import Draft

BITS = 31
_UNIT = 2.0**-BITS


class FullQ(Ids):
    """Behind the ids, for each of them, the vocabulary's probabilities as 4-byte multiples of 2^-31."""

    name = "full-q"
    distributions = True

    def round(self, q: Floats) -> Floats:
        """The distribution nearest to q that this protocol can send."""
        return round_to_counts(q, BITS)

    def formula(self, shape: Shape) -> tuple[float, float]:
        """Payload bytes up and down per committed token: (2 + γ·(b + 4·V)) / N and (2 + c) / N."""
        up = 2 + shape.drafted * (shape.id_bytes + 4 * shape.vocabulary)
        return up / shape.committed, super().formula(shape)[1]

    def _encode_draft(self, draft: Draft) -> bytes:
        assert draft.rows is not None
        return super()._encode_draft(draft) + (draft.rows / _UNIT).astype("<u4").tobytes()

    def _decode_draft(self, reader: Reader, count: int) -> Draft:
        tokens = self._ids(reader, count)
        rows = reader.array(count * self.vocabulary, "<u4", "q").reshape(count, self.vocabulary) * _UNIT
        if (rows.sum(-1) != 1).any():
            raise reader.error("a row of q does not sum to 1")
        return Draft(tokens, rows, chosen_of(reader, rows, tokens))


def chosen_of(reader: Reader, rows: Floats, tokens: list[int]) -> Floats:
    """The probability of each token in its row.

    Raises:
        ProtocolError: If one is 0: such a token cannot have been drawn.
    """
    chosen: Floats = rows[np.arange(len(tokens)), tokens]
    if not chosen.all():
        raise reader.error("a drafted token has q = 0")
    return chosen
