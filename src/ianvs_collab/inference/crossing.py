"""How an answer from the cloud comes onto the query's timeline: the link emulated, or taken over as it was measured."""

from __future__ import annotations

from ianvs_collab.link import Timeline, wire
from ianvs_collab.modelserver.types import Generation


def emulate(timeline: Timeline, generation: Generation, request_bytes: int, model: str) -> None:
    """Let the request travel up, and every token down as soon as it is computed.

    Args:
        timeline: The query's, in the virtual tier.
        generation: What the model gave, timed where it ran.
        request_bytes: Size of the request.
        model: Name that stands in each event.
    """
    timeline.transfer("uplink", request_bytes, "request")
    for nbytes, (label, seconds) in zip(_events(generation, model), _computed(generation), strict=True):
        computed = timeline.compute("cloud", seconds, label)
        timeline.commit(timeline.transfer("downlink", nbytes, "token", after=computed))
    timeline.wait(timeline.transfer("downlink", _closing(generation, model), "end", after=timeline.now))


def take_over(timeline: Timeline, generation: Generation, request_bytes: int, model: str) -> None:
    """Put tokens where they arrived: the network, whichever it was, is in their times already.

    Args:
        timeline: The query's, in a tier where the cloud is reached over a link that there is.
        generation: What the model gave, timed where it arrived. Bytes are those that were counted, or else those that
            the messages have. The cloud was busy for the time it tells, or else for as long as it took to answer.
        request_bytes: Size of the request.
        model: Name that stands in each event.
    """
    events = sum(_events(generation, model)) + _closing(generation, model)
    up, down = generation.link_bytes or (request_bytes, events)
    start, times = timeline.now, generation.token_times or (0.0,) * max(generation.completion_tokens, 1)
    timeline.transfer("uplink", up, "request")
    timeline.compute(
        "cloud", times[-1] if generation.compute_s is None else generation.compute_s, "generate", after=start
    )
    for at in times:
        timeline.commit(start + at)
    timeline.wait(timeline.transfer("downlink", down, "answer", after=start + times[-1]))


def steps(generation: Generation) -> list[tuple[str, float]]:
    """Compute steps of a generation: the prefill up to the first token, then one step a token."""
    times = generation.token_times
    gaps = [b - a for a, b in zip((0.0, *times), times, strict=False)]
    return [("prefill" if index == 0 else "decode", gap) for index, gap in enumerate(gaps)]


def _computed(generation: Generation) -> list[tuple[str, float]]:
    return steps(generation) or [("replayed", 0.0)] * max(generation.completion_tokens, 1)


def _events(generation: Generation, model: str) -> list[int]:
    """Bytes of one event for each token, the first behind the head of the response."""
    count = len(generation.token_times) or max(generation.completion_tokens, 1)
    sizes = [len(wire.token_event(piece, model)) for piece in wire.split_text(generation.text, count)]
    return [sizes[0] + len(wire.response_head()), *sizes[1:]]


def _closing(generation: Generation, model: str) -> int:
    usage = generation.prompt_tokens, generation.completion_tokens
    return len(wire.closing_events(*usage, generation.finish_reason, model))
