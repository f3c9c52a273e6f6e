"""One way to call a model, wherever it runs: `load_model("transformers", "zoo:edge").generate("2 + 2 =")`."""

from ianvs_collab.modelserver.locate import fingerprint, resolve_model
from ianvs_collab.modelserver.registry import backend_names, load_model, register_backend
from ianvs_collab.modelserver.shared import SharedAnswers
from ianvs_collab.modelserver.stepping import Session, StepError, Stepper, open_stepper
from ianvs_collab.modelserver.types import (
    GREEDY,
    Footprint,
    Generation,
    Message,
    ModelInfo,
    ModelServer,
    ModelServerError,
    ModelTimeoutError,
    Prompt,
    SamplingParams,
    prompt_sha256,
)

__all__ = [
    "GREEDY",
    "Footprint",
    "Generation",
    "Message",
    "ModelInfo",
    "ModelServer",
    "ModelServerError",
    "ModelTimeoutError",
    "Prompt",
    "SamplingParams",
    "Session",
    "SharedAnswers",
    "StepError",
    "Stepper",
    "backend_names",
    "fingerprint",
    "load_model",
    "open_stepper",
    "prompt_sha256",
    "register_backend",
    "resolve_model",
]
