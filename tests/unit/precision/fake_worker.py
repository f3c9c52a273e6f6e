"""A worker process whose models are made up: what they do stands in the model's name, as JSON. Run by its path."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ianvs_collab import modelserver
from ianvs_collab.modelserver import Footprint, Generation, ModelInfo, ModelServerError


def real_worker() -> Any:
    """The worker's own module, without the package around it, which would take a second to import."""
    file = Path(modelserver.__file__).parents[1] / "precision" / "live" / "worker.py"
    spec = importlib.util.spec_from_file_location("worker", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class FakeServer:
    """Answers with a text, after some work, and fails where it is told to."""

    def __init__(self, backend: str, model: str) -> None:
        self.plan = json.loads(model)
        self.asked = 0
        if self.plan.get("stubborn"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.info = ModelInfo(
            model=model,
            backend=backend,
            revision="r1",
            extra={"threads": self.plan.get("threads", 1)},
            footprint=Footprint(1000, 10, 0.1, 0) if self.plan.get("footprint", True) else None,
        )

    def generate(self, prompt: Any, params: Any) -> Generation:
        self.asked += 1
        if self.asked == self.plan.get("fail_at"):
            raise ModelServerError("the prompt is too long")
        if self.asked == self.plan.get("hang_at"):
            time.sleep(600)
        if self.asked == self.plan.get("die_at"):
            print("out of luck", file=sys.stderr, flush=True)
            os._exit(7)
        start = time.perf_counter()
        while time.perf_counter() - start < self.plan.get("seconds", 0.0):
            pass
        text = prompt[0]["content"].split()[-1] if self.plan.get("echo") else self.plan.get("text", "It is Paris.")
        count = self.plan.get("tokens", 3)
        times = tuple(0.001 * (place + 1) for place in range(count if self.plan.get("timed", True) else 0))
        return Generation(text=text, prompt_tokens=5, completion_tokens=count, token_times=times)


def load_model(backend: str, model: str, **options: Any) -> Any:
    if backend == "broken":
        raise ModelServerError(f"no such model, {sorted(options)}")
    return FakeServer(backend, model)


if __name__ == "__main__":
    worker = real_worker()
    worker.load_model = load_model
    worker.main(sys.argv[1:])
