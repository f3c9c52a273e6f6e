"""How good a router is: cost-quality curves, what is read off them, how sure that is, splits and cross-validation."""

from __future__ import annotations

from ianvs_collab.routing.evaluation.crossval import SPLITS, compare, cross_validate, make_plan
from ianvs_collab.routing.evaluation.curve import Curve, curve, realised_shares
from ianvs_collab.routing.evaluation.intervals import (
    Band,
    Comparison,
    Interval,
    bootstrap,
    bootstrap_all,
    curve_band,
    paired_bootstrap,
    t_interval,
)
from ianvs_collab.routing.evaluation.measures import MEASURES, Measure, measure
from ianvs_collab.routing.evaluation.result import Fold, Result
from ianvs_collab.routing.evaluation.scored import Points, Scored
from ianvs_collab.routing.evaluation.splits import (
    Plan,
    Split,
    delta_class,
    k_fold,
    learning_curve,
    leave_subjects_out,
    without_subjects,
)

__all__ = [
    "MEASURES",
    "SPLITS",
    "Band",
    "Comparison",
    "Curve",
    "Fold",
    "Interval",
    "Measure",
    "Plan",
    "Points",
    "Result",
    "Scored",
    "Split",
    "bootstrap",
    "bootstrap_all",
    "compare",
    "cross_validate",
    "curve",
    "curve_band",
    "delta_class",
    "k_fold",
    "learning_curve",
    "leave_subjects_out",
    "make_plan",
    "measure",
    "paired_bootstrap",
    "realised_shares",
    "t_interval",
    "without_subjects",
]
