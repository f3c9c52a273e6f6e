"""Query routing: which queries the edge answers and which go to the cloud.

A router is imported when it is first named: some need scikit-learn, transformers or SciPy, which take long to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ianvs_collab.routing.base import Router, RouterError, threshold_for_share

if TYPE_CHECKING:
    from ianvs_collab.routing.cascade import ConfidenceRouter
    from ianvs_collab.routing.conformal import ConformalRouter
    from ianvs_collab.routing.consistency import ConsistencyRouter
    from ianvs_collab.routing.fixed import CloudOnly, EdgeOnly
    from ianvs_collab.routing.online.router import LifelongRouter
    from ianvs_collab.routing.oracle import OracleRouter
    from ianvs_collab.routing.pretrained import RobertaRouter
    from ianvs_collab.routing.private import PrivateRouter
    from ianvs_collab.routing.random_share import RandomRouter
    from ianvs_collab.routing.trained import (
        BoostingRouter,
        CausalLmRouter,
        EmbeddingRouter,
        EncoderRouter,
        EnsembleRouter,
        FeatureRouter,
        LearnedCascadeRouter,
        LengthRouter,
        NeighbourRouter,
        SavedRouter,
        SubjectPriorRouter,
        TfidfRouter,
        TfidfSubjectRouter,
        TrainedRouter,
    )
    from ianvs_collab.routing.utility import UtilityRouter

_MODULES = {
    "BoostingRouter": "trained",
    "CausalLmRouter": "trained",
    "CloudOnly": "fixed",
    "ConfidenceRouter": "cascade",
    "ConformalRouter": "conformal",
    "ConsistencyRouter": "consistency",
    "EdgeOnly": "fixed",
    "EmbeddingRouter": "trained",
    "EncoderRouter": "trained",
    "EnsembleRouter": "trained",
    "FeatureRouter": "trained",
    "LearnedCascadeRouter": "trained",
    "LengthRouter": "trained",
    "LifelongRouter": "online.router",
    "NeighbourRouter": "trained",
    "OracleRouter": "oracle",
    "PrivateRouter": "private",
    "RandomRouter": "random_share",
    "RobertaRouter": "pretrained",
    "SavedRouter": "trained",
    "SubjectPriorRouter": "trained",
    "TfidfRouter": "trained",
    "TfidfSubjectRouter": "trained",
    "TrainedRouter": "trained",
    "UtilityRouter": "utility",
}
ROUTERS = tuple(_MODULES)
"""Names of all routers that a job can name."""

__all__ = [
    "ROUTERS",
    "BoostingRouter",
    "CausalLmRouter",
    "CloudOnly",
    "ConfidenceRouter",
    "ConformalRouter",
    "ConsistencyRouter",
    "EdgeOnly",
    "EmbeddingRouter",
    "EncoderRouter",
    "EnsembleRouter",
    "FeatureRouter",
    "LearnedCascadeRouter",
    "LengthRouter",
    "LifelongRouter",
    "NeighbourRouter",
    "OracleRouter",
    "PrivateRouter",
    "RandomRouter",
    "RobertaRouter",
    "Router",
    "RouterError",
    "SavedRouter",
    "SubjectPriorRouter",
    "TfidfRouter",
    "TfidfSubjectRouter",
    "TrainedRouter",
    "UtilityRouter",
    "threshold_for_share",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
