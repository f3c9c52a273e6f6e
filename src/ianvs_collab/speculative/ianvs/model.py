"""Speculative decoding as an Ianvs module: the edge drafts, the cloud verifies."""

from __future__ import annotations

from typing import Any

from ianvs_collab.inference import Answer, Participant
from ianvs_collab.speculative.ianvs.drafting import Drafting, warm
from ianvs_collab.speculative.ianvs.outcome import edge_share
from ianvs_collab.speculative.ianvs.participant import SpeculativeParticipant
from ianvs_collab.speculative.ianvs.selfdesign import DECODING, SelfDesigned
from ianvs_collab.speculative.ianvs.target import current_target


class SpeculativeModel(SelfDesigned):
    """Drafts at the edge for the target in the cloud.

    Args:
        drafter: `model`, `prompt-lookup`, `suffix`, `retrieval`, `early-exit`, `aligned`, or a registered one.
        draft_model: For `model` and `aligned`: `zoo:edge`, a local checkpoint folder, or a hub name.
        draft_backend: Its back-end, one with a step interface.
        draft_options: Options of that back-end.
        mode: `greedy` with temperature 0; `rejection`, `sample-match` or `gumbel` above 0.
        protocol: `ids`; with `rejection` `quantised-q`, `dssd` or `full-q`.
        protocol_options: Settings of the protocol, e.g. `{top: 8}`.
        pipelining: `synchronous`, `pre-draft`, `asynchronous` or `branches`.
        draft_length: Tokens of a block, or `measured`.
        stream: Tokens that the cloud streams where nothing is drafted.
        window: With `asynchronous` and `branches`, blocks that may be under way.
        given: What all strategies take (`deployment`, `max_tokens`, ...; see `SelfDesigned`), and the drafter's own
            options.

    Raises:
        SpeculativeError: If a name is unknown, a number is out of range, or two things exclude one another.
        DeploymentError: If the deployment file is missing or wrong.
    """

    def __init__(
        self,
        *,
        drafter: str = "model",
        draft_model: str = "zoo:edge",
        draft_backend: str = "transformers",
        draft_options: dict[str, Any] | None = None,
        mode: str = "greedy",
        protocol: str = "ids",
        protocol_options: dict[str, Any] | None = None,
        pipelining: str = "synchronous",
        draft_length: int | str = 5,
        stream: int = 8,
        window: int = 4,
        **given: Any,
    ) -> None:
        super().__init__(**{name: given.pop(name) for name in DECODING if name in given})
        self.drafting = Drafting(
            drafter=drafter,
            model=draft_model,
            backend=draft_backend,
            model_options=draft_options or {},
            options=given,
            mode=mode,
            protocol=protocol,
            protocol_options=protocol_options or {},
            pipelining=pipelining,
            draft_length=draft_length,
            stream=stream,
            window=window,
        )
        self.drafting.check(self.params)

    def _make(self) -> Participant:
        target = current_target()
        decoder = self.drafting.decoder(warm(target.verifying()), self._keep)
        return SpeculativeParticipant(target, decoder, self.drafting, self.params, chat=self.chat)

    def _four(self, answer: Answer) -> list[Any]:
        """The target's answer, with what the edge read and drafted for it."""
        return [True, answer, edge_share(answer, answer["speculation"]["drafted"]), answer]
