"""The strategy over a link that is really there: a worker in a process of its own verifies the edge's drafts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.inference import Query
from ianvs_collab.modelserver import ModelServerError
from ianvs_collab.speculative import SpeculativeError
from ianvs_collab.speculative.ianvs import CloudAlone, SpeculativeModel, TargetModel
from ianvs_collab.speculative.remote import EXTENSION
from ianvs_collab.zoo.export import test_questions as questions

WAIT = 300.0  # only a worker that is stuck takes so long
TEXTS = [row.prompt for row in questions()[:2]]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKEND_TYPE", "model_path"):
        monkeypatch.setenv(name, "")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "ianvs_collab.inference.cloudprocess", "--model", "zoo:cloud", "--port", "0"]
    with subprocess.Popen(
        [*command, "--extension", EXTENSION],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdin
        assert process.stdout
        ready = re.search(r":(\d+), plaintext", process.stdout.readline())
        assert ready
        yield f"127.0.0.1:{ready[1]}"
        process.stdin.close()
        process.wait(WAIT)


@pytest.fixture
def there(tmp_path: Path) -> str:
    path = tmp_path / "there.yaml"
    path.write_text("tier: real\n")
    return str(path)


def answers(strategy: Any) -> list[Any]:
    try:
        return [
            strategy.predict(Query(query_id=f"q{index}", query=text, messages=[{"role": "user", "content": text}]))
            for index, text in enumerate(TEXTS)
        ]
    finally:
        strategy.cleanup()


@pytest.mark.parametrize("pipelining", ["synchronous", "asynchronous"])
def test_the_answers_are_those_of_the_cloud_alone(address: str, there: str, pipelining: str) -> None:
    target = TargetModel(model=address, backend="cloud", insecure=True)
    alone = answers(CloudAlone(deployment=there, share=False))
    found = answers(SpeculativeModel(deployment=there, pipelining=pipelining, draft_length=4))
    target.cleanup()
    for (_, reference, *_), (hard, answer, edge, cloud) in zip(alone, found, strict=True):
        assert (hard, cloud) == (True, answer)
        assert answer["completion"] == reference["completion"]
        assert answer["usage"] == reference["usage"]
        told, link = answer["speculation"], answer["link"]
        assert answer["tier"] == "real"
        assert told["smallest_margin"] is None  # margins stay at the cloud
        assert edge["usage"]["completion_tokens"] == told["drafted"] >= told["accepted"] > 0
        assert link["uplink_bytes"] == told["wire_bytes"]["uplink"] > told["payload_bytes"]["uplink"]
        assert link["downlink_bytes"] == told["wire_bytes"]["downlink"] > told["payload_bytes"]["downlink"]
        assert 1 <= told["rounds"] <= link["round_trips"]
        assert len(answer["timeline"]["commits"]) == answer["usage"]["completion_tokens"]


def test_in_tier_real_the_target_is_a_worker(there: str) -> None:
    target = TargetModel(fused=False)
    with pytest.raises(SpeculativeError, match="has tier 'real', .* `backend: cloud` and its `host:port` as `model`"):
        answers(SpeculativeModel(deployment=there))
    target.cleanup()


def test_behind_a_link_that_is_made_here_the_answers_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    path.write_text("link: {rtt_ms: 60, uplink_mbps: 20, downlink_mbps: 20}\ntier: relay\n")
    target = TargetModel(threads=1, fused=False)
    try:
        found = answers(SpeculativeModel(deployment=str(path), draft_length=4))
    except ModelServerError as error:
        if "the relay is off" not in str(error):
            raise
        pytest.skip("this machine is too busy for the relay, which says so")
    finally:
        target.cleanup()
    here = TargetModel(fused=False)
    alone = answers(CloudAlone(share=False))
    here.cleanup()
    assert [answer["completion"] for _, answer, *_ in found] == [answer["completion"] for _, answer, *_ in alone]
    for _, answer, *_ in found:
        assert answer["tier"] == "relay"
        assert answer["perf"]["end_to_end_latency"] > 0.06 * answer["speculation"]["rounds"]


def test_a_worker_that_is_not_there_is_named(there: str) -> None:
    target = TargetModel(model="127.0.0.1:9", backend="cloud", insecure=True, connect_timeout=0.2)
    with pytest.raises(ModelServerError, match="127.0.0.1:9"):
        answers(SpeculativeModel(deployment=there))
    target.cleanup()
