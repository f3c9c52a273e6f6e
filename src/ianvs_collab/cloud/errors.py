"""What can go wrong between edge and cloud, one class for each thing that a caller would do differently."""

from __future__ import annotations

from ianvs_collab.modelserver.stepping.protocol import StepError
from ianvs_collab.modelserver.types import ModelServerError


class CloudError(ModelServerError):
    """The cloud worker cannot be started, is not to be had, or refuses what it is asked."""


class FrameError(CloudError):
    """Bytes that are no message of this protocol."""


class LimitError(CloudError, StepError):
    """The worker has a limit that the request would exceed; a session is as it was before."""


class UnreachableError(CloudError, StepError):
    """The worker could not be reached, not even after waiting; a session is as it was before, and may try again."""


class LostError(CloudError):
    """The stream broke for a reason that a new stream may mend."""


class Refusal(Exception):  # noqa: N818 - it is an answer, no accident
    """What the worker answers instead of doing what it was asked; the stream goes on.

    Args:
        code: One of `CODES`.
        text: What is wrong and what to do.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


CODES = ("step", "limit", "deadline", "request", "model", "internal")
"""A session cannot do it; too much; too late; no such message, session or value; the model failed; a bug."""
