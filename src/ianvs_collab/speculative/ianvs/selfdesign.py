"""What every strategy has in common as an Ianvs module: the edge model does it all, Ianvs's mode `self-design`.

Ianvs then asks neither cloud model nor hard-example miner, and takes what the edge model returns for each query as it
is. So that must be the list of four that the other modes make: `[hard, answer, edge's share, cloud's share]`.
"""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import Any

from ianvs_collab.inference import Answer, Participant, Query
from ianvs_collab.link import load_deployment, use_deployment
from ianvs_collab.modelserver import ModelServer, SamplingParams
from ianvs_collab.speculative.errors import SpeculativeError

SELF_DESIGN = "self-design"


def wrong_mode(mode: str) -> SpeculativeError:
    """What to raise in every other mining mode.

    Args:
        mode: `hard_example_mining_mode` of the run.
    """
    return SpeculativeError(
        f"with hard_example_mining_mode {mode!r} a miner chooses between edge and cloud, but here they work on every "
        f"query together; write `hard_example_mining_mode: {SELF_DESIGN}` into the test environment file"
    )


class SelfDesigned(ABC):
    """An edge model that answers queries by whatever way its subclass makes.

    Args:
        deployment: Deployment file (edge device, cloud device, link); None for this machine with an ideal link.
        max_tokens: Longest completion, in tokens.
        temperature: 0 for greedy decoding.
        top_p: Nucleus sampling.
        top_k: Keep this many tokens; 0 for all.
        seed: Seed of the sampler; None for a fresh one for each query.
        chat: Send the query as a chat; false sends the bare prompt text.

    Raises:
        DeploymentError: If the deployment file is missing or wrong.
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        *,
        deployment: str | None = None,
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int | None = None,
        chat: bool = True,
    ) -> None:
        self.deployment = use_deployment(load_deployment(deployment))
        self.params = SamplingParams(
            max_tokens=max_tokens, temperature=temperature, top_p=top_p, top_k=top_k, seed=seed
        )
        self.chat = chat
        self._opened = ExitStack()
        self._participant: Participant | None = None
        os.environ["BACKEND_TYPE"] = "TORCH"  # Sedna's word for: call load() and predict() and stay out of the way
        os.environ["model_path"] = "ianvs-collab/edge"  # noqa: SIM112 - Sedna's spelling; it only has to look like one

    def load(self, **_: Any) -> None:
        """Load the models.

        Raises:
            ModelServerError: If one cannot be loaded.
            SpeculativeError: If they do not go together.
        """
        self._loaded()

    def predict(self, data: Any, *, mining_mode: str = SELF_DESIGN, **_: Any) -> list[Any]:
        """Answer a query; loads the models if that has not been done.

        Args:
            data: The query.
            mining_mode: What Ianvs was told to do.

        Returns:
            `[hard, answer, edge's share, cloud's share]`; hard says whether the cloud had a part in it.

        Raises:
            SpeculativeError: If the mining mode is another one, or something does not fit together.
            ModelServerError: If a model cannot be loaded or does not answer.
        """
        if mining_mode != SELF_DESIGN:
            raise wrong_mode(mining_mode)
        return self._four(self._loaded().answer(Query.of(data)))

    def cleanup(self) -> None:
        """Release the models."""
        self._participant = None
        self._opened.close()

    def _loaded(self) -> Participant:
        if self._participant is None:
            try:
                self._participant = self._make()
            except BaseException:
                self._opened.close()
                raise
        return self._participant

    def _keep(self, server: ModelServer) -> ModelServer:
        """A server that `cleanup` closes."""
        self._opened.callback(server.close)
        return server

    @abstractmethod
    def _make(self) -> Participant:
        """Load what answers queries."""

    def _four(self, answer: Answer) -> list[Any]:
        """The list of four of an answer that the cloud gave."""
        return [True, answer, None, answer]


DECODING = tuple(inspect.signature(SelfDesigned).parameters)
"""Names of the hyperparameters that all strategies have."""
