"""One query between edge and cloud: the two halves, and the order in which they work."""

from ianvs_collab.speculative.loop.cloud import CloudHalf
from ianvs_collab.speculative.loop.edge import EdgeHalf
from ianvs_collab.speculative.loop.exchange import Cloud, Exchange, Meter
from ianvs_collab.speculative.loop.lengths import FixedLength, LengthPolicy, MeasuredLength, Round
from ianvs_collab.speculative.loop.pipelined import run_pipelined
from ianvs_collab.speculative.loop.pipelined_edge import PipelinedEdge
from ianvs_collab.speculative.loop.synchronous import run_synchronous
from ianvs_collab.speculative.loop.tally import Tally

__all__ = [
    "Cloud",
    "CloudHalf",
    "EdgeHalf",
    "Exchange",
    "FixedLength",
    "LengthPolicy",
    "MeasuredLength",
    "Meter",
    "PipelinedEdge",
    "Round",
    "Tally",
    "run_pipelined",
    "run_synchronous",
]
