"""Protocol `dssd`: q of each drafted token alone goes up, and only on a rejection one row of p comes down.

Distributed split speculative decoding (Ning et al. 2025, arXiv:2507.12000): the acceptance needs q(x) only, so the
cloud can judge without q; the replacement needs the whole of q, which the edge has. The uplink stays small, and the
rare row travels on the downlink, which is usually the faster one.
"""

from __future__ import annotations

from ianvs_collab.speculative.protocols.counts import round_to_counts
from ianvs_collab.speculative.protocols.full_q import BITS
from ianvs_collab.speculative.protocols.ids import Ids
from ianvs_collab.speculative.protocols.messages import Shape
from ianvs_collab.speculative.protocols.packing import Reader
from ianvs_collab.speculative.sampling import Floats
from ianvs_collab.speculative.verification.base import Draft

_UNIT = 2.0**-BITS
_LARGEST_SUM = 1.001


class Dssd(Ids):
    """Behind the ids, q of each as a 4-byte multiple of 2^-31; a row of p is the vocabulary's float32."""

    name = "dssd"
    distributions = True
    split = True

    def round(self, q: Floats) -> Floats:
        """The distribution nearest to q that this protocol can send."""
        return round_to_counts(q, BITS)

    def formula(self, shape: Shape) -> tuple[float, float]:
        """Payload bytes up and down per committed token.

        Up (2 + γ·(b + 4) + r·b) / N, where r is the share of blocks with a rejection, after which the next block says
        what the edge drew; down (2 + (1 - r)·c + r·4·V) / N.
        """
        up = 2 + shape.drafted * (shape.id_bytes + 4) + shape.rejected * shape.id_bytes
        down = 2 + (1 - shape.rejected) * shape.verdict_id_bytes + shape.rejected * 4 * shape.vocabulary
        return up / shape.committed, down / shape.committed

    def _encode_draft(self, draft: Draft) -> bytes:
        assert draft.chosen is not None
        return super()._encode_draft(draft) + (draft.chosen / _UNIT).astype("<u4").tobytes()

    def _decode_draft(self, reader: Reader, count: int) -> Draft:
        tokens = self._ids(reader, count)
        chosen = reader.array(count, "<u4", "q of the drafted tokens") * _UNIT
        if not chosen.all() or (chosen > 1).any():
            raise reader.error("q of a drafted token must lie above 0 and at most at 1")
        return Draft(tokens, None, chosen)

    def _encode_row(self, row: Floats) -> bytes:
        return row.astype("<f4").tobytes()

    def _decode_row(self, reader: Reader) -> Floats:
        row = reader.array(self.vocabulary, "<f4", "the row")
        # Written so that NaN is refused as well.
        if not (row >= 0).all() or not 0 < row.sum() < _LARGEST_SUM:
            raise reader.error("the row of p is no distribution")
        return row
