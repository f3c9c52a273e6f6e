"""Many clients at one verifier: their blocks are verified in the same forward passes.

batcher = Batcher(max_batch=16)
cloud = BatchedHalf(CloudHalf(stepper, codec, verifier), batcher)  # one for each query of each client
"""

from ianvs_collab.speculative.batching.batcher import Batcher
from ianvs_collab.speculative.batching.half import BatchedHalf
from ianvs_collab.speculative.batching.lane import Lane
from ianvs_collab.speculative.batching.ticket import Ticket

__all__ = ["BatchedHalf", "Batcher", "Lane", "Ticket"]
