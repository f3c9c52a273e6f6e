"""The thread in which the model works, one request at a time, while the event loop goes on hearing clients.

A request that waits is dropped as soon as its client is gone or its time is up. One that is being computed is finished:
PyTorch cannot be stopped half-way.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from ianvs_collab.cloud.errors import Refusal

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Meter:
    """Where a request's time went.

    Attributes:
        deadline: When it must be over, by `time.perf_counter()`.
        queued_s: Seconds that it waited for the model.
        compute_s: Seconds that the model worked on it, as slow as it plays.
    """

    deadline: float
    queued_s: float = 0.0
    compute_s: float = 0.0

    @property
    def left_s(self) -> float:
        """Seconds to the deadline."""
        return self.deadline - time.perf_counter()

    def check(self) -> None:
        """Go on only if there is time.

        Raises:
            Refusal: If there is none.
        """
        if self.left_s <= 0:
            raise Refusal("deadline", "the time allowed for the request is over; allow more, or ask for less")


class ComputeThread:
    """Runs functions one after the other, in the order of their arrival.

    Args:
        slowdown: What a function does takes so many times as long, as on a slower device: the thread then sleeps.

    Raises:
        ValueError: If it is less than 1.
    """

    def __init__(self, slowdown: float = 1.0) -> None:
        if not 1 <= slowdown < math.inf:
            raise ValueError(f"slowdown must be 1 or more, not {slowdown!r}: a machine cannot play a faster one")
        self._slowdown = slowdown
        self._executor = ThreadPoolExecutor(1, "model")

    async def run(self, meter: Meter, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the thread.

        Args:
            meter: Gets the times, has the deadline.
            function: What to run.
            *args: Its arguments.
            **kwargs: Likewise.

        Raises:
            Refusal: If the deadline passes before it begins.
        """
        meter.check()
        submitted = time.perf_counter()

        def timed() -> T:
            started = time.perf_counter()
            meter.queued_s += started - submitted
            try:
                return function(*args, **kwargs)
            finally:
                if self._slowdown > 1:
                    time.sleep((time.perf_counter() - started) * (self._slowdown - 1))
                meter.compute_s += time.perf_counter() - started

        future = self._executor.submit(timed)
        timer = asyncio.get_running_loop().call_later(meter.left_s, future.cancel)  # cancels only what has not begun
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                meter.check()
            raise
        finally:
            timer.cancel()

    def later(self, function: Callable[[], Any]) -> None:
        """Run a function after all that was asked for before, and do not wait for it unless the thread has ended."""
        try:
            self._executor.submit(function)
        except RuntimeError:  # the worker stops while a stream ends
            function()

    def close(self) -> None:
        """Finish what was asked for, and end the thread."""
        self._executor.shutdown()
