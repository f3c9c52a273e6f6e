"""Latency, throughput and goodput of any back-end under load: what `ianvs model bench` runs, as a library."""

from ianvs_collab.modelserver.bench.arrivals import read_arrivals, schedule
from ianvs_collab.modelserver.bench.formulas import Figures, Latency, figures
from ianvs_collab.modelserver.bench.loads import Load
from ianvs_collab.modelserver.bench.measurement import Measurement
from ianvs_collab.modelserver.bench.runner import Traffic, run
from ianvs_collab.modelserver.bench.session import Plan, Result, bench
from ianvs_collab.modelserver.bench.vllm_names import vllm_figures

__all__ = [
    "Figures",
    "Latency",
    "Load",
    "Measurement",
    "Plan",
    "Result",
    "Traffic",
    "bench",
    "figures",
    "read_arrivals",
    "run",
    "schedule",
    "vllm_figures",
]
