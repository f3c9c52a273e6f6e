"""Baseline: the target alone in the cloud, its answer streamed token by token, so that it pays the round trip once."""

from __future__ import annotations

from typing import Any

from ianvs_collab.inference import CloudParticipant, Participant
from ianvs_collab.modelserver import SharedAnswers
from ianvs_collab.speculative.ianvs.selfdesign import SelfDesigned
from ianvs_collab.speculative.ianvs.target import current_target


class CloudAlone(SelfDesigned):
    """Answers every query in the cloud.

    Args:
        share: Share answers between the test cases of one run, with their measured timings.
        decoding: What all strategies take; see `SelfDesigned`.
    """

    def __init__(self, *, share: bool = True, **decoding: Any) -> None:
        super().__init__(**decoding)
        self.share = share

    def _make(self) -> Participant:
        server = current_target().server()
        return CloudParticipant(SharedAnswers(server) if self.share else server, self.params, chat=self.chat)
