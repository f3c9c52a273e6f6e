"""What a decoding comes to in an answer: the completion with the times of its tokens, and an account of the drafts."""

from __future__ import annotations

import math
from typing import Any

from ianvs_collab.inference import Answer
from ianvs_collab.modelserver import Generation, Stepper
from ianvs_collab.speculative.decoder import Decoding


def generation_of(decoding: Decoding, target: Stepper, prompt_tokens: int) -> Generation:
    """A decoding as a model server gives a completion; tokens have the times at which they were committed.

    Args:
        decoding: What was decoded.
        target: The model whose output it is.
        prompt_tokens: Tokens of the prompt.
    """
    times = tuple(decoding.timeline.commits)
    return Generation(
        text=target.decode(decoding.tokens),
        prompt_tokens=prompt_tokens,
        completion_tokens=len(decoding.tokens),
        token_times=times,
        token_ids=tuple(decoding.tokens),
        finish_reason=decoding.finish_reason,
        duration=times[-1],
    )


def account(decoding: Decoding, **how: Any) -> dict[str, Any]:
    """What an answer says under `speculation`, in JSON's terms.

    Args:
        decoding: What was decoded.
        how: What describes the strategy: mode, drafter, ...
    """
    tally = decoding.tally
    margin = min(decoding.margins, default=math.inf)
    return {
        **how,
        "acceptance": tally.acceptance,
        "offered": sum(tally.offered),
        "stood": sum(tally.stood),
        "rounds": tally.blocks,
        "drafted": tally.drafted,
        "accepted": tally.accepted,
        "committed": tally.committed,
        "streamed": tally.streamed,
        "smallest_margin": None if math.isinf(margin) else margin,
    }


def traffic(decoding: Decoding) -> dict[str, Any]:
    """Bytes of a decoding whose drafts crossed the link.

    Payload is what the protocol writes; the prompt is counted apart, since every way of asking the cloud sends it. Wire
    bytes hold prompt and framing as well.
    """
    meter = decoding.meter
    wire = meter.wire_uplink_bytes + meter.wire_downlink_bytes
    return {
        "prompt_bytes": meter.prompt_bytes,
        "payload_bytes": {"uplink": meter.uplink_bytes, "downlink": meter.downlink_bytes},
        "wire_bytes": {"uplink": meter.wire_uplink_bytes, "downlink": meter.wire_downlink_bytes},
        "bytes_per_token": wire / len(decoding.tokens),
    }


def edge_share(answer: Answer, drafted: int) -> dict[str, Any]:
    """What the edge had in an answer that the cloud confirmed: tokens read and drafted. All else is in the answer.

    Args:
        answer: The answer.
        drafted: Tokens that the edge proposed.
    """
    read = answer["usage"]["prompt_tokens"]
    return {
        "completion": "",
        "usage": {"prompt_tokens": read, "completion_tokens": drafted, "total_tokens": read + drafted},
        "perf": dict.fromkeys(answer["perf"]),
        "link": {"uplink_bytes": 0, "downlink_bytes": 0, "round_trips": 0},
        "outcome": "ok",
        "query_id": answer["query_id"],
        "subject": answer["subject"],
        "where": "edge",
    }
