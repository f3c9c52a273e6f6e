"""Precision-aware inference: which variant of a model, on which device, serves which request."""

from ianvs_collab.precision.arrivals import Arrivals, Bursty, Poisson
from ianvs_collab.precision.baselines import (
    DeviceOnly,
    FixedVariant,
    JoinShortestQueue,
    MinCost,
    RoundRobin,
    SimplifiedScore,
)
from ianvs_collab.precision.codec import read_portfolio, write_portfolio
from ianvs_collab.precision.lyapunov import Lyapunov
from ianvs_collab.precision.optimum import Averages, capacity, least_cost
from ianvs_collab.precision.orchestrator import Decision, Orchestrator, Refusal
from ianvs_collab.precision.outcome import Outcome
from ianvs_collab.precision.policy import Policy, View
from ianvs_collab.precision.portfolio import Device, Pair, Portfolio, PrecisionError
from ianvs_collab.precision.requirements import Requirements
from ianvs_collab.precision.simulation import simulate
from ianvs_collab.precision.workload import Mix, Workload, draw_workload

__all__ = [
    "Arrivals",
    "Averages",
    "Bursty",
    "Decision",
    "Device",
    "DeviceOnly",
    "FixedVariant",
    "JoinShortestQueue",
    "Lyapunov",
    "MinCost",
    "Mix",
    "Orchestrator",
    "Outcome",
    "Pair",
    "Poisson",
    "Policy",
    "Portfolio",
    "PrecisionError",
    "Refusal",
    "Requirements",
    "RoundRobin",
    "SimplifiedScore",
    "View",
    "Workload",
    "capacity",
    "draw_workload",
    "least_cost",
    "read_portfolio",
    "simulate",
    "write_portfolio",
]
