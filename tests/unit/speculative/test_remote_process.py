"""A real worker in a process of its own: `ianvs cloud` with the nano models, used, then killed in mid-block."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ianvs_collab.cloud.command import make_parser
from ianvs_collab.modelserver import SamplingParams, load_model, open_stepper
from ianvs_collab.modelserver.stepping import Stepper, greedy
from ianvs_collab.speculative import (
    CloudLostError,
    ModelDrafter,
    PromptLookup,
    SpeculativeDecoder,
    make_chooser,
)
from ianvs_collab.speculative.loop import Arrival
from ianvs_collab.speculative.remote import EXTENSION, RemoteCloud, RemoteTarget, connect
from ianvs_collab.zoo.export import test_questions as questions

START = "import sys; from ianvs_collab.cloud.command import main; sys.exit(main(sys.argv[1:]))"
READY = re.compile(r"serving zoo:cloud \(transformers, float32\) on 127\.0\.0\.1:(\d+), plaintext\n")
WAIT = 300.0  # only a worker that is stuck takes so long
PROMPTS = [[{"role": "user", "content": row.prompt}] for row in questions()[:2]]


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, "-c", START, "--model", "zoo:cloud", "--port", "0", "--extension", EXTENSION],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    yield started
    started.kill()
    started.communicate(timeout=WAIT)


@pytest.fixture(scope="module")
def local() -> Stepper:
    return open_stepper(load_model("transformers", "zoo:cloud"))


@pytest.fixture(scope="module")
def draft() -> Stepper:
    return open_stepper(load_model("transformers", "zoo:edge"))


@pytest.fixture(scope="module")
def address(process: subprocess.Popen[str], local: Stepper, draft: Stepper) -> str:
    assert process.stdout is not None
    ready = READY.fullmatch(process.stdout.readline())
    assert ready
    return f"127.0.0.1:{ready[1]}"


@pytest.fixture(scope="module")
def target(address: str) -> Iterator[RemoteTarget]:
    made = connect(address, timeout=WAIT)
    yield made
    made.close()


def alone(stepper: Stepper, mode: str, tokens: list[int], params: SamplingParams) -> list[int]:
    """What the target gives by itself, a token at a time."""
    with stepper.open() as session:
        if mode == "greedy":
            return greedy(session, tokens, params.max_tokens, stepper.end_tokens)
        chooser, found = make_chooser(mode, params), list[int]()
        logits = session.prefill(tokens)
        while True:
            found.append(chooser.take(logits, len(found)))
            if len(found) == params.max_tokens or found[-1] in stepper.end_tokens:
                return found
            logits = session.prefill(found[-1:])


def params_for(mode: str) -> SamplingParams:
    return SamplingParams(temperature=0.0 if mode == "greedy" else 0.8, seed=7, max_tokens=24)


@pytest.mark.parametrize("mode", ["greedy", "gumbel", "sample-match"])
def test_the_output_is_that_of_the_target_alone(
    mode: str, target: RemoteTarget, local: Stepper, draft: Stepper
) -> None:
    params = params_for(mode)
    model, lookup = ModelDrafter(draft, target.vocabulary, end_tokens=target.end_tokens), PromptLookup()
    first, second = (alone(local, mode, local.encode(prompt), params) for prompt in PROMPTS)
    for pipelining in ("synchronous", "pre-draft", "asynchronous"):
        decoder = SpeculativeDecoder(target, model, mode=mode, draft_length=4, pipelining=pipelining)
        assert decoder.decode(PROMPTS[0], params).tokens == first
    decoder = SpeculativeDecoder(target, lookup, mode=mode, draft_length=3, pipelining="asynchronous")
    assert decoder.decode(PROMPTS[1], params).tokens == second


def test_the_example_of_the_reference_runs(repository: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = (repository / "docs" / "reference" / "speculative.md").read_text(encoding="utf-8")
    section = page.partition("## Over a link")[2].partition("\n## ")[0]
    (command,) = re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)
    assert make_parser().parse_args(command.split()[2:]).extension == [EXTENSION]
    (example,) = re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)
    exec(example.replace("127.0.0.1:50051", address), {})
    told = capsys.readouterr().out
    assert len(told.splitlines()) == 1
    assert "Paris" in told


def test_a_worker_that_is_killed_in_the_middle_of_a_block(
    process: subprocess.Popen[str],
    target: RemoteTarget,
    local: Stepper,
    draft: Stepper,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params, prompt = params_for("greedy"), local.encode(PROMPTS[0])
    expected = alone(local, "greedy", prompt, params)
    take, post, blocks = RemoteCloud.take, RemoteCloud.post, [0]

    def stop_first(cloud: RemoteCloud, payload: bytes) -> int:
        blocks[0] += 1
        if blocks[0] == 2:
            process.send_signal(signal.SIGSTOP)
        return post(cloud, payload)

    def kill_then(cloud: RemoteCloud) -> Arrival:
        if blocks[0] == 2:
            process.send_signal(signal.SIGKILL)
        return take(cloud)

    monkeypatch.setattr(RemoteCloud, "post", stop_first)
    monkeypatch.setattr(RemoteCloud, "take", kill_then)
    drafter = ModelDrafter(draft, target.vocabulary, end_tokens=target.end_tokens)
    with pytest.raises(CloudLostError, match="append them to the prompt") as lost:
        SpeculativeDecoder(target, drafter, draft_length=2).decode_tokens(prompt, params)
    assert 0 < len(lost.value.tokens) < len(expected)
    assert lost.value.tokens == expected[: len(lost.value.tokens)]
    decoder = SpeculativeDecoder(target, drafter, draft_length=2, when_cut="edge")
    decoding = decoder.decode_tokens(prompt, params)  # there is nobody at all any more
    assert decoding.lossless_tokens == 0
    assert decoding.tokens == alone(draft, "greedy", prompt, params)
