"""Which queries of a trace a stored router has not learned from: those that it can be calibrated and judged on."""

from __future__ import annotations

import numpy as np

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.store import StoredRouter, trace_digest
from ianvs_collab.routing.traces import Trace


def split(trace: Trace, share: float, seed: int) -> tuple[Trace, Trace]:
    """Two random parts of a trace, the first with the given share of its queries.

    Raises:
        RouterError: If one of them would be empty.
    """
    order = np.random.default_rng(seed).permutation(len(trace))
    cut = round(share * len(trace))
    if not 0 < cut < len(trace):
        raise RouterError(
            f"{len(trace)} queries of {trace.name!r} cannot be cut at {share:g} into two parts; give a longer trace or "
            "another share"
        )
    return trace.subset(np.sort(order[:cut])), trace.subset(np.sort(order[cut:]))


def unseen_part(stored: StoredRouter, trace: Trace) -> Trace:
    """The queries of a trace that a router was not trained on: the rest of its own trace, or all of another one."""
    training = stored.training
    if training.get("trace_sha256") != trace_digest(trace):
        return trace
    return split(trace, float(training["train_share"]), int(training["seed"]))[1]
