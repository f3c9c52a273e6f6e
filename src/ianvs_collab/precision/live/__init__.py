"""The orchestrator at work on real processes: one worker a device, open-loop arrivals, faults and all."""

from ianvs_collab.precision.live.calibration import by_hardness, calibrate, recalibrated
from ianvs_collab.precision.live.fleet import Berth, Death, Fleet, Reply
from ianvs_collab.precision.live.outcome import LiveOutcome, Served
from ianvs_collab.precision.live.process import WorkerError, WorkerProcess
from ianvs_collab.precision.live.serving import Rules, serve

__all__ = [
    "Berth",
    "Death",
    "Fleet",
    "LiveOutcome",
    "Reply",
    "Rules",
    "Served",
    "WorkerError",
    "WorkerProcess",
    "by_hardness",
    "calibrate",
    "recalibrated",
    "serve",
]
