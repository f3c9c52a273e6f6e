"""Answers that were measured over a link that there is go onto the timeline as they came."""

from __future__ import annotations

import dataclasses

import pytest

from ianvs_collab.inference import crossing
from ianvs_collab.link import Deployment, Device, Link, Timeline
from ianvs_collab.modelserver.types import Generation

SLOW = Link(rtt_ms=500, uplink_mbps=0.01, downlink_mbps=0.01)
ANSWER = Generation(
    "The answer is Paris.", 20, 3, token_times=(0.2, 0.3, 0.45), duration=0.5, compute_s=0.12, link_bytes=(300, 700)
)


def over(tier: str, generation: Generation, **cloud: float) -> Timeline:
    timeline = Timeline(Deployment(link=SLOW, tier=tier, cloud=Device(**cloud)))  # type: ignore[arg-type]
    timeline.compute("edge", 1.0, "first the edge tried")
    crossing.take_over(timeline, generation, 999, "model")
    return timeline


@pytest.mark.parametrize("tier", ["relay", "namespaces", "real"])
def test_tokens_come_when_they_came(tier: str) -> None:
    timeline = over(tier, ANSWER)
    assert timeline.commits == [pytest.approx(1.2), pytest.approx(1.3), pytest.approx(1.45)]
    assert timeline.now == pytest.approx(1.45)


def test_bytes_are_those_that_were_counted() -> None:
    timeline = over("relay", ANSWER)
    assert (timeline.nbytes("uplink"), timeline.nbytes("downlink")) == (300, 700)


def test_where_nobody_counted_they_are_those_of_the_messages() -> None:
    uncounted = dataclasses.replace(ANSWER, link_bytes=None)
    virtual = Timeline(Deployment())
    crossing.emulate(virtual, uncounted, 999, "model")
    real = over("real", uncounted)
    assert real.nbytes("uplink") == virtual.nbytes("uplink") == 999
    assert real.nbytes("downlink") == virtual.nbytes("downlink") > 0


def test_the_cloud_was_busy_for_what_it_told_and_no_slower() -> None:
    assert over("relay", ANSWER, slowdown=7.0).busy_seconds("cloud") == pytest.approx(0.12)
    assert over("real", dataclasses.replace(ANSWER, compute_s=None)).busy_seconds("cloud") == pytest.approx(0.45)


def test_an_answer_without_times_takes_none() -> None:
    timeline = over("real", Generation("Paris.", 5, 2))
    assert timeline.commits == [1.0, 1.0]
    assert timeline.now == 1.0
