"""Measures a portfolio: every variant run on calibration questions, each in a process of its own."""

from ianvs_collab.precision.profile.building import build_portfolio
from ianvs_collab.precision.profile.measuring import Failure, Measured, Plan, measure
from ianvs_collab.precision.profile.pruning import Pruned, prune_layers
from ianvs_collab.precision.profile.questions import Item, read_items, zoo_items
from ianvs_collab.precision.profile.variants import VARIANTS, prepare_variants

__all__ = [
    "VARIANTS",
    "Failure",
    "Item",
    "Measured",
    "Plan",
    "Pruned",
    "build_portfolio",
    "measure",
    "prepare_variants",
    "prune_layers",
    "read_items",
    "zoo_items",
]
