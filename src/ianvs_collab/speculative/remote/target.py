"""A target at a worker: the connection, what `SpeculativeDecoder` needs to know of the model, and queries on it."""

from __future__ import annotations

from typing import Any, Self

from ianvs_collab.cloud.backend import load
from ianvs_collab.cloud.client.client import Client
from ianvs_collab.cloud.client.stepper import RemoteStepper
from ianvs_collab.cloud.errors import CloudError
from ianvs_collab.link.relay import Relay
from ianvs_collab.modelserver.stepping import Stepper
from ianvs_collab.speculative.remote import messages
from ianvs_collab.speculative.remote.cloud import RemoteCloud
from ianvs_collab.speculative.remote.terms import Terms


class RemoteTarget(RemoteStepper):
    """A model behind `ianvs cloud` that verifies drafts there; otherwise a stepper like that of any remote model.

    Args:
        client: The connection; its `timeout` is how long a verdict is waited for.
        relay: What the connection goes through, if its bytes are to be counted; its user starts and stops it.

    Raises:
        CloudError: If the worker does not verify drafts.
    """

    def __init__(self, client: Client, relay: Relay | None = None) -> None:
        super().__init__(client, "float32")
        self._relay = relay
        if messages.Verify.__name__ not in client.capabilities["messages"].values():
            raise CloudError(
                "the worker does not verify drafts; start it with "
                f"`ianvs cloud --extension {messages.__name__}` beside its other options"
            )

    @classmethod
    def of(cls, stepper: Stepper, relay: Relay | None = None) -> Self:
        """The target at the worker of a stepper, on the same connection.

        Args:
            stepper: Of a model of the back-end `cloud`.
            relay: What its connection goes through.

        Raises:
            CloudError: If it is of another back-end, or the worker does not verify drafts.
        """
        if not isinstance(stepper, RemoteStepper):
            raise CloudError(
                f"{type(stepper).__name__} steps a model in this process; only one of `backend: cloud` is at a worker"
            )
        return cls(stepper._client, relay)

    def begin(self, terms: Terms) -> RemoteCloud:
        """A query, on a stream of its own; nothing is sent yet.

        Raises:
            CloudError: If the connection is closed.
        """
        return RemoteCloud(self._client.stream(), terms, self._client.timeout)

    def crossed(self) -> tuple[int, int] | None:
        """Bytes that have gone over the link so far, up and down, with all that TCP carries; None without a relay.

        Raises:
            RelayError: If the relay is not running.
        """
        if self._relay is None:
            return None
        counters = self._relay.counters()
        return counters.uplink.sent, counters.downlink.sent

    def close(self) -> None:
        """Hang up; the worker goes on. Closing twice is harmless."""
        self._client.close()


def connect(address: str, *, relay: Relay | None = None, **options: Any) -> RemoteTarget:
    """Connect to a worker that verifies drafts.

    Args:
        address: Where it is, `host:port`.
        relay: What the connection goes through, if its bytes are to be counted.
        options: As of `load_model("cloud", address)`. `timeout` is the time in seconds to wait for a verdict, after
            which the cloud counts as lost.

    Raises:
        CloudError: If an option cannot be, or the worker refuses this client or does not verify drafts.
        UnreachableError: If it does not answer.
    """
    server = load(address, **options)
    try:
        return RemoteTarget.of(server.stepper(), relay)
    except BaseException:
        server.close()
        raise
