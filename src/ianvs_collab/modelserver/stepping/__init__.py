"""Token-level control of a model: `open_stepper(load_model("transformers", "zoo:edge")).open()` gives a `Session`."""

from ianvs_collab.modelserver.stepping.greedy import greedy
from ianvs_collab.modelserver.stepping.ledger import Ledger
from ianvs_collab.modelserver.stepping.protocol import Session, StepError, Steppable, Stepper, open_stepper
from ianvs_collab.modelserver.stepping.session import LedgerSession, LedgerText
from ianvs_collab.modelserver.stepping.together import step_together

__all__ = [
    "Ledger",
    "LedgerSession",
    "LedgerText",
    "Session",
    "StepError",
    "Steppable",
    "Stepper",
    "greedy",
    "open_stepper",
    "step_together",
]
