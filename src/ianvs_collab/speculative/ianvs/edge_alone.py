"""Baseline: the draft model alone at the edge. Fast, and as good as it is."""

from __future__ import annotations

from typing import Any

from ianvs_collab.inference import Answer, EdgeParticipant, Participant
from ianvs_collab.modelserver import SharedAnswers, load_model
from ianvs_collab.speculative.ianvs.selfdesign import SelfDesigned


class EdgeAlone(SelfDesigned):
    """Answers every query at the edge.

    Args:
        model: `zoo:edge`, a local checkpoint folder, or a hub name.
        backend: Its back-end.
        options: Options of the back-end.
        share: Share answers between the test cases of one run, with their measured timings.
        decoding: What all strategies take; see `SelfDesigned`.
    """

    def __init__(
        self,
        *,
        model: str = "zoo:edge",
        backend: str = "transformers",
        options: dict[str, Any] | None = None,
        share: bool = True,
        **decoding: Any,
    ) -> None:
        super().__init__(**decoding)
        self.model, self.backend, self.options, self.share = model, backend, options or {}, share

    def _make(self) -> Participant:
        server = self._keep(load_model(self.backend, self.model, **self.options))
        return EdgeParticipant(SharedAnswers(server) if self.share else server, self.params, chat=self.chat)

    def _four(self, answer: Answer) -> list[Any]:
        """The edge's answer; the cloud had no part in it."""
        return [False, answer, answer, None]
