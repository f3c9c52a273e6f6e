"""The openai back-end against real servers that run a real model: the same model here and there says the same."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from ianvs_collab.machine import free_port
from ianvs_collab.modelserver import ModelServer, SamplingParams, load_model

PROMPTS = ["What is the capital of France?", "12 + 34 =", "问题：法国的首都是哪里？", "Monday, Tuesday"]
CHAT = [{"role": "user", "content": "7 times 8 is"}]


def application(model: ModelServer) -> FastAPI:
    """A small server that speaks the protocol for a model, one event a token."""
    app = FastAPI()

    def events(body: dict[str, Any], *, chat: bool) -> Iterator[str]:
        params = SamplingParams(
            body["max_tokens"], body["temperature"], seed=body.get("seed"), stop=tuple(body.get("stop", ()))
        )
        found = model.generate(body["messages"] if chat else body["prompt"], params)
        count = found.completion_tokens
        for index in range(count):
            part = found.text[len(found.text) * index // count : len(found.text) * (index + 1) // count]
            yield event({"delta": {"content": part}} if chat else {"text": part})
        yield event({"delta": {}, "finish_reason": found.finish_reason})
        usage = {"prompt_tokens": found.prompt_tokens, "completion_tokens": count}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    def event(choice: dict[str, Any]) -> str:
        return f"data: {json.dumps({'model': 'tiny', 'choices': [choice]}, ensure_ascii=False)}\n\n"

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> StreamingResponse:
        return StreamingResponse(events(await request.json(), chat=True), media_type="text/event-stream")

    @app.post("/v1/completions")
    async def completions(request: Request) -> StreamingResponse:
        return StreamingResponse(events(await request.json(), chat=False), media_type="text/event-stream")

    return app


@pytest.fixture(scope="module")
def address(server: ModelServer) -> Iterator[str]:
    """A uvicorn server in a thread of its own."""
    config = uvicorn.Config(application(server), port=0, log_level="error", ws="none", lifespan="off")
    runner = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    runner.should_exit = True
    thread.join()
    listener.close()


@pytest.mark.parametrize("prompt", [*PROMPTS, CHAT])
@pytest.mark.parametrize("params", [SamplingParams(12), SamplingParams(12, temperature=0.9, seed=5, stop=("a", "é"))])
def test_a_model_says_the_same_over_the_wire(address: str, server: ModelServer, prompt: Any, params) -> None:
    remote = load_model("openai", "tiny", base_url=address)
    found, expected = remote.generate(prompt, params), server.generate(prompt, params)
    remote.close()
    assert found.text == expected.text
    assert (found.prompt_tokens, found.completion_tokens) == (expected.prompt_tokens, expected.completion_tokens)
    assert found.finish_reason == expected.finish_reason
    assert len(found.token_times) <= found.completion_tokens


def test_a_batch_over_the_wire_keeps_its_order(address: str, server: ModelServer) -> None:
    remote = load_model("openai", "tiny", base_url=address, concurrency=3)
    found = remote.generate_batch(PROMPTS * 3, SamplingParams(6))
    remote.close()
    assert [generation.text for generation in found] == [
        server.generate(prompt, SamplingParams(6)).text for prompt in PROMPTS * 3
    ]


@pytest.fixture(scope="module")
def transformers_serve(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`transformers serve` on the tiny checkpoint; where its extra packages are absent tests skip, in CI they fail."""
    absent = [name for name in ("openai", "accelerate") if importlib.util.find_spec(name) is None]
    if absent:
        reason = f"`transformers serve` needs {' and '.join(absent)}; type: pip install 'transformers[serving]'"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    port, home = free_port(), tmp_path_factory.mktemp("home")
    (home / "hub").mkdir()
    command = [
        Path(sys.executable).parent / "transformers",
        "serve",
        checkpoint,
        "--port",
        str(port),
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    base_url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{base_url}/health", process, home / "log")
        yield base_url
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"`transformers serve` did not start: {log.read_text()[-2000:]}")


def test_transformers_serve_and_we_agree(transformers_serve: str, checkpoint: Path, server: ModelServer) -> None:
    remote = load_model("openai", str(checkpoint), base_url=transformers_serve, mode="chat")
    params = SamplingParams(max_tokens=16)
    found, expected = remote.generate(CHAT, params), server.generate(CHAT, params)
    remote.close()
    assert (found.text, found.prompt_tokens) == (expected.text, expected.prompt_tokens)
    assert found.completion_tokens == expected.completion_tokens
    # It streams words, not tokens: exactly the case in which counting pieces would be wrong.
    assert 1 <= len(found.token_times) <= found.completion_tokens
    assert remote.info.revision.startswith(str(checkpoint))
