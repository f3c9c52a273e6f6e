"""Run in the environment that has vLLM: `python offline.py ORDERS ANSWERS` does what a JSON file says, and tells.

It loads a model once and asks it alone and in a batch, with seeds and stop texts, for too much, and after its engine
was killed. What is right the tests decide, in the environment that has pytest.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from ianvs_collab.modelserver import ModelServer, ModelServerError, SamplingParams
from ianvs_collab.modelserver.backends.vllm import load


def complaint(deed: Callable[[], object]) -> str:
    try:
        deed()
    except ModelServerError as error:
        return str(error)
    return ""


def answers(server: ModelServer, orders: dict[str, Any]) -> dict[str, Any]:
    prompts, chats = orders["prompts"], [[{"role": "user", "content": text}] for text in orders["prompts"]]
    params = SamplingParams(max_tokens=orders["max_tokens"], logprobs=True)
    seeded = SamplingParams(max_tokens=12, temperature=1.0, top_p=0.9, top_k=20, seed=7)
    stopped = SamplingParams(max_tokens=24, stop=(orders["stop"],))

    def told(found: Any) -> list[Any]:
        return [dataclasses.asdict(each) for each in found]

    return {
        "chats": told(server.generate_batch(chats, params)),
        "texts": told(server.generate_batch(prompts, params)),
        "alone": told(server.generate(prompt, params) for prompt in prompts[:8]),
        "talk": told([server.generate(orders["talk"], params)]),
        "seeded": told(server.generate(prompts[0], seeded) for _ in range(2)),
        "stopped": told(server.generate(chat, stopped) for chat in chats[:4]),
        "nothing": server.generate_batch([]),
    }


def main() -> None:
    orders = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    before = dict(os.environ)
    server = load(orders["model"], **orders["options"])
    told: dict[str, Any] = {"info": dataclasses.asdict(server.info), **answers(server, orders)}
    told["environment"] = sorted(set(os.environ.items()) ^ set(before.items()))
    told["too long"] = complaint(lambda: server.generate("a", SamplingParams(max_tokens=100_000)))
    told["empty"] = complaint(lambda: server.generate(""))
    worker = next(each for each in psutil.Process().children(recursive=True) if "Worker" in each.name())
    worker.send_signal(signal.SIGKILL)
    told["killed"] = complaint(lambda: server.generate("a"))
    server.close()
    server.close()
    told["closed"] = complaint(lambda: server.generate("a"))
    psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)
    names = [each.name() for each in psutil.Process().children(recursive=True)]
    told["left"] = [name for name in names if "VLLM" in name]
    Path(sys.argv[2]).write_text(json.dumps(told), "utf-8")


if __name__ == "__main__":
    main()
