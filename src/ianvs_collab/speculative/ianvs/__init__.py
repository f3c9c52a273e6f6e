"""Speculative decoding as an Ianvs algorithm, and the baselines it is to be seen beside: one strategy a module."""

from ianvs_collab.speculative.ianvs.cloud_alone import CloudAlone
from ianvs_collab.speculative.ianvs.colocated import ColocatedSpeculation
from ianvs_collab.speculative.ianvs.drafters import Sides, drafter_names, register_drafter
from ianvs_collab.speculative.ianvs.edge_alone import EdgeAlone
from ianvs_collab.speculative.ianvs.model import SpeculativeModel
from ianvs_collab.speculative.ianvs.selfdesign import SelfDesigned
from ianvs_collab.speculative.ianvs.target import NotMined, TargetModel, current_target
from ianvs_collab.speculative.ianvs.transformers_models import TransformersAssisted, TransformersLookup

__all__ = [
    "CloudAlone",
    "ColocatedSpeculation",
    "EdgeAlone",
    "NotMined",
    "SelfDesigned",
    "Sides",
    "SpeculativeModel",
    "TargetModel",
    "TransformersAssisted",
    "TransformersLookup",
    "current_target",
    "drafter_names",
    "register_drafter",
]
