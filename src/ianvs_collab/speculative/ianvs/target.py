"""The cloud model: it holds the target, which the strategy at the edge takes from here.

Ianvs makes the modules of an algorithm in the order of its file and shows none of them the others. So the target that
was made last is the one in force, as a deployment is, and the edge model asks for it when it loads: by then all modules
are made.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ianvs_collab.link import EMULATED_TIERS, current_deployment
from ianvs_collab.modelserver import ModelServer, Stepper, load_model, open_stepper
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.ianvs.selfdesign import wrong_mode
from ianvs_collab.speculative.remote import EXTENSION, RemoteTarget

if TYPE_CHECKING:
    from ianvs_collab.inference.emulated import EmulatedCloud

_current: list[TargetModel] = []


class TargetModel:
    """The large model in the cloud, whose output it is.

    Args:
        model: `zoo:cloud`, a local checkpoint folder, or a hub name; of the back-end `cloud` the worker's `host:port`.
        backend: A back-end; all strategies but the cloud alone need one with a step interface. `cloud` in tier `real`.
        options: Of the back-end, e.g. `dtype`.
    """

    def __init__(self, *, model: str = "zoo:cloud", backend: str = "transformers", **options: Any) -> None:
        self.model, self.backend, self.options = model, backend, options
        self._opened = ExitStack()
        self._server: ModelServer | None = None
        self._emulated: EmulatedCloud | None = None
        self._verifying: Stepper | None = None
        _current[:] = [self]

    def server(self) -> ModelServer:
        """The model as one completes texts with it, in this process or behind the deployment's link; loaded once.

        Raises:
            ModelServerError: If it cannot be loaded.
        """
        if self._server is None:
            self._server = self._load()
            self._opened.callback(self._server.close)
        return self._server

    def stepper(self) -> Stepper:
        """The model in this process, as one drives it token by token.

        Raises:
            ModelServerError: If it cannot be loaded, or its back-end has no step interface.
            SpeculativeError: If the deployment's tier is not `virtual`.
        """
        deployment = current_deployment()
        if deployment.tier != "virtual":
            raise SpeculativeError(
                f"deployment {deployment.name!r} has tier {deployment.tier!r}, but this strategy works on the model in "
                "this process; write `tier: virtual` into its file"
            )
        return open_stepper(self.server())

    def verifying(self) -> Stepper:
        """The model as it verifies drafts: in this process, or at the worker behind the deployment's link.

        Raises:
            ModelServerError: If it cannot be loaded, has no step interface, or the worker does not verify drafts.
            SpeculativeError: If the deployment's tier is `real` and the back-end is not `cloud`.
        """
        if self._verifying is None:
            self._verifying = self._open_verifying()
        return self._verifying

    def begin(self, query_id: str) -> None:
        """Let a link that is made here have the jitter and the losses of this query."""
        if self._emulated is not None:
            self._emulated.relay.restart(query_id)

    def inference(self, *_: Any, mining_mode: str = "", **__: Any) -> Any:
        """Is asked in another mining mode only.

        Raises:
            SpeculativeError: Always.
        """
        raise wrong_mode(mining_mode)

    def cleanup(self) -> None:
        """Release the model; it is not in force any more."""
        self._opened.close()
        self._server = self._emulated = self._verifying = None
        if self in _current:
            _current.clear()

    def _load(self) -> ModelServer:
        deployment = current_deployment()
        if deployment.tier in EMULATED_TIERS:
            from ianvs_collab.inference.emulated import EmulatedCloud  # noqa: PLC0415 - these tiers only

            self._emulated = EmulatedCloud(deployment, self.backend, self.model, self.options, extensions=[EXTENSION])
            return self._emulated
        return load_model(self.backend, self.model, **self.options)

    def _open_verifying(self) -> Stepper:
        deployment = current_deployment()
        if deployment.tier == "virtual":
            return self.stepper()
        if deployment.tier == "real" and self.backend != "cloud":
            raise SpeculativeError(
                f"deployment {deployment.name!r} has tier 'real', where drafts are verified by a worker: start "
                f"`ianvs cloud --extension {EXTENSION}`, and give the TargetModel `backend: cloud` and its `host:port` "
                "as `model`"
            )
        stepper = open_stepper(self.server())
        return RemoteTarget.of(stepper, self._emulated.relay if self._emulated else None)


def current_target() -> TargetModel:
    """The target in force.

    Raises:
        SpeculativeError: If the algorithm has none.
    """
    if not _current:
        raise SpeculativeError(
            "there is no target: let the `cloudmodel` of the algorithm file be the TargetModel of "
            "testalgorithms/speculative_decoding/target_model.py"
        )
    return _current[0]


class NotMined:
    """The hard-example miner that the contract asks for; nothing is routed, so it has nothing to say."""

    def __call__(self, *_: Any, **__: Any) -> bool:
        """Is called in another mining mode only.

        Raises:
            SpeculativeError: Always.
        """
        raise wrong_mode("mining-then-inference or inference-then-mining")
