"""One query between edge and cloud: the two halves, and the order in which they work."""

from ianvs_collab.speculative.loop.branching import Branching, BranchingEdge, check_branching
from ianvs_collab.speculative.loop.cloud import CloudHalf
from ianvs_collab.speculative.loop.controlled import run_controlled
from ianvs_collab.speculative.loop.edge import EdgeHalf
from ianvs_collab.speculative.loop.exchange import Exchange, Meter
from ianvs_collab.speculative.loop.lengths import FixedLength, LengthPolicy, MeasuredLength, Planning, Round
from ianvs_collab.speculative.loop.live import Arrival, FarCloud, LiveExchange
from ianvs_collab.speculative.loop.pipelined import run_pipelined
from ianvs_collab.speculative.loop.pipelined_edge import PipelinedEdge
from ianvs_collab.speculative.loop.synchronous import run_synchronous
from ianvs_collab.speculative.loop.tally import Tally
from ianvs_collab.speculative.loop.virtual import Cloud, VirtualExchange

__all__ = [
    "Arrival",
    "Branching",
    "BranchingEdge",
    "Cloud",
    "CloudHalf",
    "EdgeHalf",
    "Exchange",
    "FarCloud",
    "FixedLength",
    "LengthPolicy",
    "LiveExchange",
    "MeasuredLength",
    "Meter",
    "PipelinedEdge",
    "Planning",
    "Round",
    "Tally",
    "VirtualExchange",
    "check_branching",
    "run_controlled",
    "run_pipelined",
    "run_synchronous",
]
