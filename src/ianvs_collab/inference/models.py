"""The edge model and the cloud model as Ianvs modules: constructor keywords are hyperparameters, methods are Ianvs's.

Ianvs's TORCH back-end calls `load()` once (and only logs what it raises), then `predict(data=..., mining_mode=...)` for
each query at the edge and `inference(data, post_process=..., mining_mode=...)` in the cloud, then `cleanup()`.
"""

from __future__ import annotations

import os
from typing import Any

from ianvs_collab.inference.participants import CloudParticipant, EdgeParticipant, Participant
from ianvs_collab.inference.query import Answer, Query
from ianvs_collab.link import EMULATED_TIERS, current_deployment, load_deployment, use_deployment
from ianvs_collab.modelserver import load_model
from ianvs_collab.modelserver.shared import SharedAnswers
from ianvs_collab.modelserver.types import ModelServer, SamplingParams


class _Model:
    """A model served by any back-end, loaded when first needed.

    Args:
        model: `zoo:edge`, `zoo:cloud`, a local checkpoint folder, a hub name, or the name an endpoint knows it by.
        backend: `transformers`, `openai`, `replay`, or a registered one.
        max_tokens: Longest completion, in tokens.
        temperature: 0 for greedy decoding.
        top_p: Nucleus sampling.
        seed: Seed of the sampler.
        logprobs: Ask for token log-probabilities (a cascade needs the edge model's).
        chat: Send the query as a chat; false sends the bare prompt text.
        share: Share answers between the test cases of one run, with their measured timings.
        options: Handed to the back-end (`dtype`, `base_url`, `api_key_env`, ...).
    """

    participant: type[Participant]
    default_model: str

    def __init__(
        self,
        *,
        model: str | None = None,
        backend: str = "transformers",
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        logprobs: bool = False,
        chat: bool = True,
        share: bool = True,
        **options: Any,
    ) -> None:
        self.model = model or self.default_model
        self.backend = backend
        self.params = SamplingParams(
            max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed, logprobs=logprobs
        )
        self.chat = chat
        self.share = share
        self.options = options
        self._participant: Participant | None = None

    def load(self, **_: Any) -> None:
        """Load the model.

        Raises:
            ModelServerError: If it cannot be loaded.
        """
        if self._participant is None:
            server = self._serve()
            shared = SharedAnswers(server) if self.share else server
            self._participant = self.participant(shared, self.params, chat=self.chat)

    def _serve(self) -> ModelServer:
        return load_model(self.backend, self.model, **self.options)

    def answer(self, data: Any) -> Answer:
        """Answer a query; loads the model if it is not loaded yet, and raises what goes wrong there."""
        return self.loaded().answer(Query.of(data))

    def loaded(self) -> Participant:
        """The model at its end of the link; loaded if it is not loaded yet.

        Raises:
            ModelServerError: If it cannot be loaded.
        """
        self.load()
        if self._participant is None:
            raise RuntimeError("unreachable: load() either sets the participant or raises")
        return self._participant

    def cleanup(self) -> None:
        """Release the model."""
        if self._participant is not None:
            self._participant.server.close()
            self._participant = None


class EdgeModel(_Model):
    """The small model at the edge; it also names the deployment in force for the whole test case.

    Args:
        deployment: Deployment file (edge device, cloud device, link); None for this machine with an ideal link.
        **arguments: As for any model.
    """

    participant = EdgeParticipant
    default_model = "zoo:edge"

    def __init__(self, deployment: str | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.deployment = use_deployment(load_deployment(deployment))
        os.environ["BACKEND_TYPE"] = "TORCH"  # Sedna's word for: call load() and predict() and stay out of the way
        os.environ["model_path"] = _sedna_model_path(self.model)  # noqa: SIM112 - Sedna's spelling

    def predict(self, data: Any, **_: Any) -> Answer:
        """Answer a query at the edge."""
        return self.answer(data)


class CloudModel(_Model):
    """The large model in the cloud, behind the link of the deployment in force."""

    participant = CloudParticipant
    default_model = "zoo:cloud"

    def _serve(self) -> ModelServer:
        deployment = current_deployment()
        if deployment.tier in EMULATED_TIERS:
            from ianvs_collab.inference.emulated import EmulatedCloud  # noqa: PLC0415 - these tiers only

            return EmulatedCloud(deployment, self.backend, self.model, self.options)
        return super()._serve()

    def inference(self, data: Any, **_: Any) -> Answer:
        """Answer a query in the cloud."""
        return self.answer(data)


def _sedna_model_path(model: str) -> str:
    """A value that Sedna accepts: it must exist or look like `owner/name`, and nothing reads it afterwards."""
    return model if os.path.exists(model) else "ianvs-collab/edge"
