"""The sessions of one stream, by the number that the client gave each. They end with the stream."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ianvs_collab.cloud.errors import Refusal
from ianvs_collab.modelserver.stepping.protocol import Session

if TYPE_CHECKING:
    from ianvs_collab.cloud.server.call import Call
    from ianvs_collab.cloud.server.host import Host


@dataclass
class Text:
    """A session on the worker.

    Attributes:
        session: The model's own.
        hidden: Whether it keeps hidden states.
    """

    session: Session
    hidden: bool


class Texts:
    """Sessions of one stream.

    Args:
        host: The worker.
        client: Whose they are.
    """

    def __init__(self, host: Host, client: str) -> None:
        self._host, self._client = host, client
        self._texts: dict[int, Text | None] = {}
        self._temporary = itertools.count(-1, -1)

    def get(self, branch: int) -> Text:
        """The session of a number.

        Raises:
            Refusal: If there is none.
        """
        text = self._texts.get(branch)
        if text is None:
            raise Refusal("request", f"this stream has no session {branch}; open it first")
        return text

    async def add(self, call: Call, branch: int, make: Callable[[], Text]) -> Text:
        """Open a session.

        Args:
            call: The request for it.
            branch: Its number.
            make: Function that makes it, run in the model's thread.

        Raises:
            Refusal: If the number is taken, or there are too many sessions.
        """
        if branch in self._texts:
            raise Refusal("request", f"this stream has a session {branch} already; give the new one another number")
        self._host.census.enter(self._client)
        self._texts[branch] = None  # counted from now on, also if the stream ends before the session is made

        def job() -> Text:
            self._texts[branch] = text = make()
            return text

        try:
            return await call.compute(job)
        except Exception:
            self.drop(branch)
            raise

    @asynccontextmanager
    async def temporary(self, call: Call) -> AsyncIterator[Text]:
        """A session for one request.

        Raises:
            Refusal: If there are too many sessions.
        """
        branch = next(self._temporary)
        text = await self.add(call, branch, lambda: Text(self._host.stepper.open(), hidden=False))
        try:
            yield text
        finally:
            self.drop(branch)

    def drop(self, branch: int) -> None:
        """Free a session once the model has done what it was asked before; harmless if there is none."""
        if branch in self._texts:
            self._host.thread.later(lambda: self._free(branch))

    def drop_all(self) -> None:
        """Free every session."""
        for branch in list(self._texts):
            self.drop(branch)

    def _free(self, branch: int) -> None:
        if branch in self._texts:
            text = self._texts.pop(branch)
            try:
                if text is not None:
                    text.session.close()
            finally:
                del text
                self._host.forget(self._client)
