"""The cloud as a process behind a link that is really there: worker, link, bytes, and what becomes of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from ianvs_collab.inference import Query
from ianvs_collab.inference.emulated import EmulatedCloud
from ianvs_collab.inference.models import CloudModel
from ianvs_collab.link import Deployment, Device, Link, use_deployment
from ianvs_collab.link.relay import Calibration, CalibrationError
from ianvs_collab.modelserver import ModelServer, ModelServerError, SamplingParams, load_model, open_stepper

pytest.importorskip("grpc")
LINK = Link(rtt_ms=40, uplink_mbps=50, downlink_mbps=50)
PARAMS = SamplingParams(max_tokens=12)
CHAT = [{"role": "user", "content": "What is the capital of France?"}]
PATIENCE = 60.0


@pytest.fixture(scope="module", autouse=True)
def on_a_busy_machine() -> Iterator[None]:
    """The suite keeps the processors busy, so no link is refused for being late; that has tests of its own."""
    patch = pytest.MonkeyPatch()
    patch.setattr(Calibration, "check", lambda self: None)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def cloud(on_a_busy_machine: None) -> Iterator[EmulatedCloud]:
    made = EmulatedCloud(Deployment(name="lab", tier="relay", link=LINK), "transformers", "zoo:edge", {"fused": False})
    yield made
    made.close()


@pytest.fixture(scope="module")
def local() -> Iterator[ModelServer]:
    made = load_model("transformers", "zoo:edge", fused=False)
    yield made
    made.close()


def started() -> set[int]:
    """Processes that this one has started and that have not ended."""
    children = psutil.Process().children(recursive=True)
    return {one.pid for one in children if one.status() != psutil.STATUS_ZOMBIE}


def test_answers_are_the_model_s_and_cross_the_link(cloud: EmulatedCloud, local: ModelServer) -> None:
    far, near = cloud.generate(CHAT, PARAMS, query_id="q"), local.generate(CHAT, PARAMS)
    assert (far.text, far.token_ids, far.prompt_tokens) == (near.text, near.token_ids, near.prompt_tokens)
    assert far.token_times[0] >= 0.04  # the first token waits for a round trip, the others stream
    assert far.compute_s is not None
    assert 0 < far.compute_s < far.token_times[-1] - 0.04
    assert far.link_bytes is not None
    assert min(far.link_bytes) > 100


def test_a_batch_is_answered_one_by_one(cloud: EmulatedCloud, local: ModelServer) -> None:
    answers = cloud.generate_batch([CHAT, "2 + 2 ="], PARAMS)
    assert [one.text for one in answers] == [local.generate(each, PARAMS).text for each in (CHAT, "2 + 2 =")]


def test_it_can_be_driven_token_by_token(cloud: EmulatedCloud, local: ModelServer) -> None:
    far, near = open_stepper(cloud), open_stepper(local)
    prompt = near.encode(CHAT)
    with far.open() as session, near.open() as reference:
        assert session.prefill(prompt).argmax() == reference.prefill(prompt).argmax()


def test_its_provenance_says_what_it_is_behind(cloud: EmulatedCloud) -> None:
    link = cloud.info.extra["link"]
    assert (link["tier"], link["deployment"]) == ("relay", "lab")
    assert link["calibration"]["rtt_asked_ms"] == pytest.approx(40, abs=0.1)


def test_a_slower_cloud_is_slower() -> None:
    """The worker stretches its work, so the answer comes later by what it says that it took. Then nothing is left."""
    before = started()
    slow = Deployment(tier="relay", cloud=Device(slowdown=30))
    server = EmulatedCloud(slow, "transformers", "zoo:edge", {"fused": False})
    try:
        assert len(started() - before) == 2  # relay and worker
        server.generate(CHAT, PARAMS)
        answer = server.generate(CHAT, PARAMS)
    finally:
        server.close()
        server.close()
    assert started() == before
    assert answer.compute_s is not None
    assert answer.compute_s > 0.1  # 12 tokens of well under a millisecond, each 30 times as long
    assert answer.token_times[-1] >= answer.compute_s * 0.9


def test_a_model_of_a_job_is_put_there_by_the_deployment() -> None:
    use_deployment(Deployment(name="lab", tier="relay", link=LINK))
    model = CloudModel(model="zoo:edge", max_tokens=12)
    try:
        answer = model.inference(Query({"query_id": "q", "query": "What is the capital of France?"}))
        assert answer["tier"] == "relay"
        assert answer["perf"]["time_to_first_token"] >= 0.04
        assert answer["link"]["downlink_bytes"] > 100
    finally:
        model.cleanup()
        use_deployment(Deployment())


def test_a_worker_that_dies_is_an_error_not_a_wait() -> None:
    before = started()
    made = EmulatedCloud(Deployment(tier="relay"), "transformers", "zoo:edge", {})
    try:
        (pid,) = (pid for pid in started() - before if "cloudprocess" in str(psutil.Process(pid).cmdline()))
        os.kill(pid, signal.SIGKILL)
        start = time.monotonic()
        with pytest.raises(ModelServerError):
            made.generate(CHAT, PARAMS)
        assert time.monotonic() - start < PATIENCE
    finally:
        made.close()


def test_a_model_that_is_not_there_is_named() -> None:
    before = started()
    with pytest.raises(ModelServerError, match="worker with model 'no/such/folder' did not start: .*no/such/folder"):
        EmulatedCloud(Deployment(tier="relay"), "transformers", "no/such/folder", {})
    assert started() == before


def test_a_link_that_is_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def off(self: Calibration) -> None:
        raise CalibrationError("the relay is off: by far")

    monkeypatch.setattr(Calibration, "problems", ["by far"])
    monkeypatch.setattr(Calibration, "check", off)
    with pytest.raises(ModelServerError, match="tier 'relay' of deployment 'lab': the relay is off: by far"):
        EmulatedCloud(Deployment(name="lab", tier="relay"), "transformers", "zoo:edge", {})
