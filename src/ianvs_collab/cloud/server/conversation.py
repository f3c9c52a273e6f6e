"""One stream: requests are read, answered in order, and whatever breaks the protocol ends the stream with a reason.

A request is read when the one before it is answered. Where a handler allows it (`chained`), the next one is begun
before that, so that the model finds work when it has done the last; the replies wait for their turn.

What a handler refuses is answered by a `Problem`, and the stream goes on. However it ends, its sessions are freed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from ianvs_collab.cloud.errors import FrameError, Refusal
from ianvs_collab.cloud.handling import handler_of, is_chained
from ianvs_collab.cloud.messages.admin import Problem
from ianvs_collab.cloud.optional import need
from ianvs_collab.cloud.server.call import Call
from ianvs_collab.cloud.server.compute import Meter
from ianvs_collab.cloud.server.host import Host
from ianvs_collab.cloud.server.order import Order
from ianvs_collab.cloud.server.texts import Texts
from ianvs_collab.cloud.wire.frame import Frame, decode_frame, encode_frame
from ianvs_collab.cloud.wire.message import decode, encode
from ianvs_collab.modelserver.stepping.protocol import StepError
from ianvs_collab.modelserver.types import ModelServerError

LOGGER = logging.getLogger(__name__)


class Conversation:
    """One stream.

    Args:
        host: The worker.
        client: Who is at the other end.
        context: The stream as gRPC has it.
    """

    def __init__(self, host: Host, client: str, context: Any) -> None:
        self._host, self._context = host, context
        self._texts = Texts(host, client)
        self._order = Order(host.nonces)
        self._status = need("grpc", "grpcio").StatusCode
        self._end = need("grpc", "grpcio").aio.EOF
        self._answering: asyncio.Task[None] | None = None

    async def hold(self) -> None:
        """Answer requests until the client ends the stream, breaks the protocol or falls silent."""
        self._host.streams += 1
        try:
            while (data := await self._read()) is not self._end:
                frame = decode_frame(data, self._host.limits.message_bytes)
                self._order.check(frame)
                await self._take(frame, decode(frame.kind, frame.body))
            await self._finish()
        except FrameError as error:
            await self._context.abort(self._status.INVALID_ARGUMENT, str(error))
        finally:
            self._host.streams -= 1
            if self._answering is not None:
                self._answering.cancel()
            self._texts.drop_all()

    async def _read(self) -> Any:
        idle = self._host.limits.idle_s
        try:
            if self._answering is None:
                async with self._host.patience(idle):
                    return await self._context.read()
            reading = asyncio.ensure_future(self._context.read())
            try:
                # A client that waits for an answer is not idle.
                await asyncio.wait({reading, self._answering}, return_when=asyncio.FIRST_COMPLETED)
                if self._answering.done():
                    await self._finish()
                async with self._host.patience(idle):
                    return await reading
            finally:
                reading.cancel()
        except TimeoutError:
            if self._host.stopping:
                await self._context.abort(self._status.UNAVAILABLE, "the worker is being stopped")
            await self._context.abort(self._status.ABORTED, f"nothing was asked for {idle:g} s; the sessions are freed")

    async def _take(self, frame: Frame, request: Any) -> None:
        """Answer a request, or begin to while the one before it is answered: two at a time."""
        before = self._answering
        if not is_chained(request):
            await self._finish()
            await self._answer(frame, request, None)
            return
        self._answering = asyncio.create_task(self._answer(frame, request, before))
        if before is not None:
            try:
                await before
            except BaseException:
                before.cancel()
                raise

    async def _finish(self) -> None:
        """Wait until all is answered."""
        if self._answering is not None:
            await self._answering
            self._answering = None

    async def _answer(self, frame: Frame, request: Any, before: asyncio.Task[None] | None) -> None:
        self._host.requests += 1
        meter = Meter(time.perf_counter() + self._seconds(frame))

        async def write(reply: tuple[int, bytes], *, more: bool) -> None:
            if before is not None:
                await asyncio.wait({before})
            await self._write(frame, meter, reply, more=more)

        call = Call(self._host, self._texts, meter, lambda reply: write(encode(reply), more=True))
        try:
            reply = encode(await handler_of(request)(call, request))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client waits for an answer
            reply = encode(_problem(error))
        await write(reply, more=False)

    def _seconds(self, frame: Frame) -> float:
        """Time for a request: what the client allows, the worker allows, and gRPC's own deadline leaves."""
        allowed = [self._host.limits.request_s, self._context.time_remaining()]
        if frame.budget_ms:
            allowed.append(frame.budget_ms / 1000)
        return min(float(seconds) for seconds in allowed if seconds is not None)

    async def _write(self, request: Frame, meter: Meter, reply: tuple[int, bytes], more: bool) -> None:
        kind, body = reply
        frame = Frame(
            kind,
            body,
            request.nonce,
            request.sequence,
            more=more,
            queued_us=round(1e6 * meter.queued_s),
            compute_us=round(1e6 * meter.compute_s),
        )
        try:
            async with asyncio.timeout(self._host.limits.idle_s):
                await self._context.write(encode_frame(frame, compressed=request.takes_compressed))
        except TimeoutError:
            self._texts.drop_all()  # now: the status waits behind what the client does not read
            await self._context.abort(self._status.ABORTED, "the client does not read its replies")


def _problem(error: Exception) -> Problem:
    if isinstance(error, Refusal):
        return Problem(error.code, error.text)
    if isinstance(error, StepError):
        return Problem("step", str(error))
    if isinstance(error, ModelServerError):
        return Problem("model", str(error))
    LOGGER.error("a request failed", exc_info=error)
    return Problem("internal", f"the worker failed: {type(error).__name__}: {error}; its log has more")
