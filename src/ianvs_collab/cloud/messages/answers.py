"""In which form a step's logits travel: all of them at a chosen precision, or only what the client will use."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from ianvs_collab.cloud.errors import Refusal
from ianvs_collab.cloud.wire.tensors import EMPTY, FLOATS, Tensor, pack

if TYPE_CHECKING:
    import torch

    from ianvs_collab.cloud.server.call import Call

_NARROW = 2**16
_LOGIT = _ID = 4  # bytes; the model computes logits in float32, whatever of them travels


class Answer(IntEnum):
    """Forms of an answer."""

    NONE = 0
    LOGITS = 1
    ARGMAX = 2
    TOP = 3


def check_answer(call: Call, form: int, top: int, dtype: int, rows: int) -> None:
    """Refuse an answer that there is not, or that would be too long, before anything is computed.

    Raises:
        Refusal: If it is.
    """
    vocabulary, limit = call.host.stepper.vocabulary, call.host.limits.reply_bytes
    if form > max(Answer) or dtype >= len(FLOATS) or (form == Answer.TOP and not 0 < top <= vocabulary):
        raise Refusal(
            "request",
            f"there is no answer of form {form}, type {dtype} and top {top}: forms are 0 to {max(Answer)}, types 0 to "
            f"{len(FLOATS) - 1}, and the top 1 to {vocabulary} tokens can be asked for",
        )
    size = rows * max(_LOGIT * vocabulary, (_LOGIT + _ID) * top)
    if size > limit:
        raise Refusal("limit", f"the logits would have {size} bytes, but may have {limit}; step by fewer tokens")


def shorten(logits: torch.Tensor, form: Answer, top: int, dtype: str) -> tuple[Tensor, Tensor]:
    """Token ids and logits as they travel.

    Args:
        logits: Shape (positions, vocabulary).
        form: What is wanted.
        top: Tokens for each position with `Answer.TOP`, the most probable first.
        dtype: Type of the logits.
    """
    if form is Answer.NONE:
        return EMPTY, EMPTY
    if form is Answer.LOGITS:
        return EMPTY, pack(logits, dtype)
    kind = "uint16" if logits.shape[-1] <= _NARROW else "int32"
    if form is Answer.ARGMAX:
        return pack(logits.argmax(-1), kind), EMPTY
    values, ids = logits.topk(top, -1)
    return pack(ids, kind), pack(values, dtype)


def native(tensor: torch.Tensor) -> str:
    """The type on the wire in which a tensor loses nothing: its own, or float32 if that does not travel."""
    name = str(tensor.dtype).removeprefix("torch.")
    return name if name in FLOATS else "float32"
