"""How many sessions there are, in all and of each client."""

from __future__ import annotations

import threading
from collections import Counter

from ianvs_collab.cloud.errors import Refusal
from ianvs_collab.cloud.server.limits import Limits


class Census:
    """Counts sessions; used from any thread.

    Args:
        limits: How many there may be.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._clients: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def open(self) -> int:
        """Sessions in all."""
        with self._lock:
            return self._clients.total()

    @property
    def clients(self) -> int:
        """Clients with a session."""
        with self._lock:
            return len(self._clients)

    def enter(self, client: str) -> None:
        """Count one more session.

        Raises:
            Refusal: If there would be too many.
        """
        with self._lock:
            if self._clients.total() >= self._limits.sessions:
                raise _full(f"the worker has {self._limits.sessions} sessions open", "sessions")
            if self._clients[client] >= self._limits.sessions_per_client:
                raise _full(f"this client has {self._limits.sessions_per_client} sessions open", "sessions-per-client")
            self._clients[client] += 1

    def leave(self, client: str) -> None:
        """Count one session less."""
        with self._lock:
            self._clients[client] -= 1
            self._clients += Counter()  # drops clients without a session


def _full(text: str, option: str) -> Refusal:
    return Refusal("limit", f"{text}, as many as are allowed (`--{option}`); close some, or try again later")
