"""A worker process: it loads variants and answers questions one at a time, first come first served.

Started by its path, not as a module, so that nothing of this package is in its memory but what the model needs: its
peak is then the variant's. It talks over one inherited socket in JSON messages, and ends when the other side does.

A device that is `slowdown` times slower than this machine is emulated by staying busy: after an answer that took t
seconds of real work, the worker sleeps until slowdown · t seconds have passed since it began. With the clock `cpu`, t
is the time that the process had the processor, so that neighbours who take it away do not count as slowness.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

from ianvs_collab.modelserver import ModelServer, ModelServerError, SamplingParams, load_model
from ianvs_collab.modelserver.memory import peak_rss_bytes

_CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Worker:
    """What one worker process does with the messages it is sent.

    Args:
        slowdown: How many times slower the emulated device is.
        clock: `wall` or `cpu`: by which an answer's work is measured.
    """

    def __init__(self, slowdown: float, clock: str) -> None:
        self._slowdown, self._clock = slowdown, _CLOCKS[clock]
        self._servers: dict[str, ModelServer] = {}

    def handle(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what a message asks for; whatever a model complains of becomes the reply's `failed`."""
        try:
            return self._load(message) if message["do"] == "load" else self._answer(message)
        except (ModelServerError, OSError, MemoryError) as error:
            return {"number": message["number"], "failed": str(error) or type(error).__name__}

    def _load(self, message: dict[str, Any]) -> dict[str, Any]:
        before = peak_rss_bytes()
        start = time.perf_counter()
        server = load_model(message["backend"], message["model"], **message["options"])
        seconds = time.perf_counter() - start
        self._servers[message["variant"]] = server
        footprint = getattr(server.info, "footprint", None)
        return {
            "number": message["number"],
            "load_s": seconds,
            "rss_before_bytes": before,
            "peak_rss_bytes": peak_rss_bytes(),
            "footprint": None if footprint is None else dataclasses.asdict(footprint),
            "revision": server.info.revision,
            "threads": server.info.extra.get("threads"),
        }

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        server = self._servers[message["variant"]]
        begin, mark = time.perf_counter(), self._clock()
        made = server.generate(message["prompt"], SamplingParams(max_tokens=message["max_tokens"]))
        worked = self._clock() - mark
        computed = time.perf_counter() - begin
        rest = self._slowdown * worked - computed
        if self._slowdown != 1 and rest > 0:
            time.sleep(rest)
        return {
            "number": message["number"],
            "text": made.text,
            "worked_s": worked,
            "computed_s": computed,
            "busy_s": time.perf_counter() - begin,
            "late": self._slowdown != 1 and rest < 0,
            "token_times": made.token_times,
            "prompt_tokens": made.prompt_tokens,
            "completion_tokens": made.completion_tokens,
            "peak_rss_bytes": peak_rss_bytes(),
        }


def main(arguments: list[str]) -> None:
    """Serve until the other side closes.

    Args:
        arguments: Number of the inherited socket, slowdown, clock.
    """
    worker = Worker(float(arguments[1]), arguments[2])
    with Connection(int(arguments[0])) as link:
        while True:
            try:
                message = json.loads(link.recv_bytes())
            except EOFError:
                return
            try:
                link.send_bytes(json.dumps(worker.handle(message)).encode())
            except BrokenPipeError:  # the other side went away while an answer was made
                return


if __name__ == "__main__":
    main(sys.argv[1:])
